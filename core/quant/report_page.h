// Pieces of an HTML page. Everything that is not made here is escaped.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace gwq {

// `text` as HTML shows it, within an element or an attribute in quotes: the five characters that mean something there
// as entities, control characters and what is no UTF-8 as U+FFFD.
[[nodiscard]] std::string EscapeHtml(std::string_view text);

// A table; the cells are texts. Columns from `numbers` on are set to the right.
[[nodiscard]] std::string HtmlTable(const std::vector<std::string>& header,
                                    const std::vector<std::vector<std::string>>& rows, size_t numbers);

// A heading and what stands below it, which is HTML; nothing where that is empty.
[[nodiscard]] std::string HtmlSection(std::string_view title, std::string_view body);
// A paragraph of text.
[[nodiscard]] std::string HtmlText(std::string_view text);
// Text as it is, in lines.
[[nodiscard]] std::string HtmlLines(std::string_view text);

// A whole page, which loads nothing: styles stand in it, and its policy allows no script and no other source.
[[nodiscard]] std::string HtmlPage(std::string_view title, std::string_view body);

}  // namespace gwq
