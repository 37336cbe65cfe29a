// The few figures of a report that stand in a list of artifacts and at the end of a job.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace gwq {

// A metric of an evaluation of another kind than a text.
struct SummaryMetric {
  std::string evaluation;  // its name
  std::string metric;
  std::optional<double> before;  // of the model, where it has the metric
  double after = 0;              // of the artifact
};
// Such metrics in a summary, at most; the first ones.
inline constexpr size_t kMaxSummaryMetrics = 64;

struct ReportSummary {
  std::string method;         // of the recipe
  uint64_t source_bytes = 0;  // of all tensors of the model
  uint64_t total_bytes = 0;   // of the artifact
  double matrix_bits = 0;     // bits per weight of the packed matrices
  double model_bits = 0;      // of all tensors
  // Of the first evaluation of a text; unset if there is none.
  std::optional<double> perplexity_before, perplexity, mean_kl, same_top1;
  std::vector<SummaryMetric> metrics;
  double seconds = 0;              // of all phases
  uint64_t peak_memory_bytes = 0;  // the largest of the phases
};

// Of a report's JSON, of whichever version. None if it is no JSON object, or tells no size: it is of something else.
[[nodiscard]] std::optional<ReportSummary> SummaryOfReport(std::string_view report_json);

// As it is stored beside an artifact's record: canonical JSON.
[[nodiscard]] std::string SummaryJson(const ReportSummary& summary);
// None for what SummaryJson has not written.
[[nodiscard]] std::optional<ReportSummary> ParseSummary(std::string_view json);

}  // namespace gwq
