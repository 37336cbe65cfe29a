#include "core/quant/report_html.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "core/base/status.h"
#include "core/io/json.h"
#include "core/io/json_fields.h"
#include "core/quant/report_figures.h"
#include "core/quant/report_page.h"

namespace gwq {
namespace {

using Json = nlohmann::json;
using Rows = std::vector<std::vector<std::string>>;

std::string NumberText(const Json& object, const char* name, int digits = 6) {
  const std::optional<double> number = NumberIn(object, name);
  return number ? fmt::format("{:.{}g}", *number, digits) : "";
}
std::string CountText(const Json& object, const char* name) {
  const std::optional<uint64_t> count = UintIn(object, name);
  return count ? fmt::format("{}", *count) : "";
}
std::string MiBText(const Json& object, const char* name) {
  const std::optional<uint64_t> bytes = UintIn(object, name);
  return bytes ? fmt::format("{:.1f} MiB", static_cast<double>(*bytes) / (1 << 20)) : "";
}
const Json& ObjectIn(const Json& object, const char* name) {
  static const Json empty = Json::object();
  const Json* const found = FieldIn(object, name);
  return found != nullptr && found->is_object() ? *found : empty;
}

std::string Head(const Json& report) {
  const Json& recipe = ObjectIn(report, "recipe");
  return HtmlTable(
      {"", ""},
      {{"model", TextIn(report, "source")},
       {"architecture", TextIn(report, "architecture")},
       {"artifact", TextIn(report, "artifact")},
       {"method", fmt::format("{}, {} bits, groups of {}", TextIn(recipe, "method"), CountText(recipe, "bits"),
                              CountText(recipe, "group_size"))},
       {"size", fmt::format("{} before, {} after", MiBText(report, "source_bytes"), MiBText(report, "total_bytes"))},
       {"bits per weight",
        fmt::format("{} of the matrices, {} of the model", NumberText(report, "matrix_bits_per_weight"),
                    NumberText(report, "model_bits_per_weight"))}},
      2);
}

std::string Contract(const Json& report) {
  const Json* const contract = FieldIn(report, "contract");
  if (contract == nullptr) return "";
  Rows rows;
  for (const Json& miss : ListIn(*contract, "misses")) {
    const bool at_most = FieldIn(miss, "at_most") != nullptr;
    const std::string value = NumberText(miss, "value");
    rows.push_back({TextIn(miss, "bound"), TextIn(miss, "what"), value.empty() ? "not measured" : value,
                    (at_most ? "at most " : "at least ") + NumberText(miss, at_most ? "at_most" : "at_least")});
  }
  return HtmlText(rows.empty() ? "The contract is met." : "The contract is not met; the artifact was not published.") +
         HtmlTable({"bound", "what", "value", "limit"}, rows, 2) + HtmlLines(ObjectIn(*contract, "bounds").dump(2));
}

std::string Evaluations(const Json& report) {
  Rows rows;
  for (const Json& evaluation : ListIn(report, "evaluations")) {
    for (const Json& metric : ListIn(evaluation, "metrics")) {
      rows.push_back({fmt::format("{} ({})", TextIn(evaluation, "name"), CountText(evaluation, "items")),
                      TextIn(metric, "name"), NumberText(metric, "before"), NumberText(metric, "after")});
    }
  }
  return HtmlTable({"evaluation", "metric", "model", "artifact"}, rows, 2);
}

std::string ChangedAnswers(const Json& report) {
  Rows rows;
  for (const Json& evaluation : ListIn(report, "evaluations")) {
    for (const Json& one : ListIn(evaluation, "changed_answers")) {
      rows.push_back({fmt::format("{}, line {}", TextIn(evaluation, "name"), CountText(one, "line")),
                      TextIn(one, "question"), TextIn(one, "before"), TextIn(one, "after")});
    }
  }
  return HtmlTable({"evaluation", "question", "the model's answer", "the artifact's answer"}, rows, 4);
}

std::string Parts(const Json& report) {
  Rows rows;
  for (const Json& part : ListIn(report, "parts")) {
    rows.push_back({TextIn(part, "part"), CountText(part, "weights"), CountText(part, "bytes"),
                    NumberText(part, "bits_per_weight"), NumberText(part, "matrix_bits_per_weight"),
                    CountText(part, "outliers"), NumberText(part, "relative_error")});
  }
  return HtmlTable({"part", "weights", "bytes", "bits per weight", "of its matrices", "outliers", "relative error"},
                   rows, 1);
}

std::string Phases(const Json& report) {
  Rows rows;
  for (const Json& phase : ListIn(report, "phases")) {
    rows.push_back({TextIn(phase, "name"), NumberText(phase, "seconds", 4), MiBText(phase, "peak_memory_bytes")});
  }
  return HtmlTable({"phase", "seconds", "peak memory"}, rows, 1) +
         HtmlText(fmt::format("Planned peak memory: {}.", MiBText(report, "planned_memory_bytes")));
}

std::string Modules(const Json& report) {
  const Json& modules = ListIn(report, "modules");
  Rows rows;
  for (const Json& module : modules) {
    if (rows.size() == kMaxListedModules) break;
    rows.push_back({TextIn(module, "tensor"), TextIn(module, "method"), CountText(module, "bits"),
                    CountText(module, "group_size"), CountText(module, "outliers"),
                    NumberText(module, "bits_per_weight", 4), NumberText(module, "relative_error", 4),
                    NumberText(module, "weighted_error", 4)});
  }
  std::string out = HtmlTable(
      {"tensor", "method", "bits", "group", "outliers", "bits per weight", "relative error", "gradient-weighted error"},
      rows, 2);
  if (modules.size() > rows.size()) {
    out += HtmlText(fmt::format("{} more stand in the report's JSON.", modules.size() - rows.size()));
  }
  return out;
}

// What a second run needs to make the same artifact.
std::string Repeat(const Json& report) {
  const Json& recipe = ObjectIn(report, "recipe");
  std::string out = HtmlText(
      "The same model, recipe and producer give the same artifact, byte for byte. Save the recipe as recipe.json and "
      "give it to gwq quantize --recipe recipe.json. Texts of more than 1 KiB are cut here; the job has them whole.");
  out += HtmlTable({"", ""}, {{"seed", CountText(recipe, "seed")}, {"threads", CountText(recipe, "threads")}}, 2);
  if (const Json* const producer = FieldIn(report, "producer")) out += HtmlLines(producer->dump(2));
  return out + HtmlLines(ObjectIn(report, "environment").dump(2)) + HtmlLines(recipe.dump(2));
}

}  // namespace

absl::StatusOr<std::string> ReportHtml(std::string_view report_json) {
  const absl::StatusOr<Json> report = ParseJson("report", report_json);
  if (!report.ok() || !report->is_object()) {
    return absl::DataLossError(
        fmt::format("the stored report cannot be read{}{}", report.ok() ? "" : ": ", MessageOf(report.status())));
  }
  std::string body = Head(*report);
  body += HtmlSection("Quality contract", Contract(*report));
  body += HtmlSection("Evaluations", Evaluations(*report));
  body += HtmlSection("Divergence by position", PositionFigures(*report));
  body += HtmlSection("Answers that changed", ChangedAnswers(*report));
  body += HtmlSection("Bits", Parts(*report) + BitsFigures(*report));
  body += HtmlSection("Error by block", ErrorFigure(*report));
  body += HtmlSection("What learning the blocks gained", BlockLossFigure(*report));
  body += HtmlSection("What tuning the model gained", TuningFigure(*report));
  body += HtmlSection("Time and memory", Phases(*report));
  body += HtmlSection("Matrices", Modules(*report));
  body += HtmlSection("To repeat it", Repeat(*report));
  return HtmlPage("Quantization report", body);
}

}  // namespace gwq
