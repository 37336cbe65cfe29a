#include "core/quant/report_page.h"

#include <fmt/format.h>

#include "core/io/json.h"

namespace gwq {
namespace {

// Colours of a light page, and of a dark one for a reader that asks for it. The two of a plot's series differ in
// lightness too.
constexpr std::string_view kStyle = R"(
:root{--page:#fff;--text:#1c2024;--muted:#5b6570;--line:#d5dae0;--first:#1f6feb;--second:#b35900;color-scheme:light dark}
@media(prefers-color-scheme:dark){:root{--page:#14171a;--text:#e6e9ec;--muted:#9aa4ae;--line:#343b42;--first:#6cb0ff;
--second:#f0a35e}}
body{margin:2rem auto;max-width:60rem;padding:0 1rem;background:var(--page);color:var(--text);
font:15px/1.5 system-ui,sans-serif}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}
table{border-collapse:collapse;font-size:.9rem;display:block;overflow-x:auto}
th,td{padding:.2rem .7rem;border-bottom:1px solid var(--line);text-align:left;vertical-align:top}
th{color:var(--muted);font-weight:600}.n{text-align:right;font-variant-numeric:tabular-nums}
pre{white-space:pre-wrap;overflow-wrap:anywhere;border:1px solid var(--line);padding:.7rem;font-size:.85rem}
svg{display:block;max-width:100%;height:auto;margin:.5rem 0}svg text{fill:var(--muted);font:11px system-ui,sans-serif}
.axis{stroke:var(--line);fill:none}.first{stroke:var(--first);fill:none;stroke-width:2}
.second{stroke:var(--second);fill:none;stroke-width:2}.bar,.dot1{fill:var(--first)}.dot2{fill:var(--second)}
)";

}  // namespace

std::string EscapeHtml(std::string_view text) {
  std::string out;
  for (const char c : ToValidUtf8(text)) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        if ((static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t') || c == 0x7F) {
          out += "\xEF\xBF\xBD";
        } else {
          out += c;
        }
    }
  }
  return out;
}

std::string HtmlTable(const std::vector<std::string>& header, const std::vector<std::vector<std::string>>& rows,
                      size_t numbers) {
  if (rows.empty()) return "";
  const auto row = [&](const std::vector<std::string>& cells, std::string_view tag) {
    std::string out = "<tr>";
    for (size_t i = 0; i < cells.size(); ++i) {
      out += fmt::format("<{}{}>{}</{}>", tag, i >= numbers ? " class=\"n\"" : "", EscapeHtml(cells[i]), tag);
    }
    return out + "</tr>\n";
  };
  std::string out = "<table>\n" + row(header, "th");
  for (const std::vector<std::string>& cells : rows) out += row(cells, "td");
  return out + "</table>\n";
}

std::string HtmlSection(std::string_view title, std::string_view body) {
  return body.empty() ? "" : fmt::format("<h2>{}</h2>\n{}", EscapeHtml(title), body);
}

std::string HtmlText(std::string_view text) { return fmt::format("<p>{}</p>\n", EscapeHtml(text)); }
std::string HtmlLines(std::string_view text) { return fmt::format("<pre>{}</pre>\n", EscapeHtml(text)); }

std::string HtmlPage(std::string_view title, std::string_view body) {
  return fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<title>{0}</title>\n<style>{1}</style>\n</head>\n<body>\n<h1>{0}</h1>\n{2}</body>\n</html>\n",
      EscapeHtml(title), kStyle, body);
}

}  // namespace gwq
