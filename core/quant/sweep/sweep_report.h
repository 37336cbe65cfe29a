// What the artifacts of a sweep have and lose, side by side. docs/sweeps.md lists the fields.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/sha256.h"
#include "core/evaluation/result.h"

namespace gwq {

// One artifact.
struct SweepRow {
  std::string label;     // "3.25"
  std::string artifact;  // id
  Digest digest;
  double matrix_bits = 0, model_bits = 0;  // per weight
  uint64_t total_bytes = 0;
  struct Metric {
    std::string evaluation;  // title of the task
    std::string name;        // "perplexity", "mean_kl", "acc"
    double value = 0;        // may be infinite
  };
  std::vector<Metric> metrics;
  // Of MeasureDecodeSpeed (core/evaluation/decode_speed.h); none if it was not measured.
  std::optional<double> tokens_per_second;
  // Whether no other artifact has both fewer bytes and a smaller loss, or one of them with the other equal.
  bool pareto = false;
};

// The row of a quantization's report (core/quant/report.h). DATA_LOSS if it is none.
[[nodiscard]] absl::StatusOr<SweepRow> SweepRowOf(std::string label, std::string artifact,
                                                  std::string_view report_json);
[[nodiscard]] nlohmann::json SweepRowJson(const SweepRow& row);
// DATA_LOSS if SweepRowJson has not written it.
[[nodiscard]] absl::StatusOr<SweepRow> ParseSweepRow(const nlohmann::json& json);

struct SweepReport {
  std::string name;
  std::string model;  // id
  Digest source;
  std::string architecture;
  std::vector<SweepRow> rows;  // by rising bytes
};

// Sorts the rows and marks those that are Pareto-optimal in bytes and the loss: the first mean_kl, else the first
// perplexity. Without either none is marked.
void FinishSweep(SweepReport& report);

// Canonical JSON; a value that is not finite is a text (core/io/json_number.h).
[[nodiscard]] std::string SweepJson(const SweepReport& report);
[[nodiscard]] std::string SweepMarkdown(const SweepReport& report);
// A page that loads nothing, with the plot of loss over bytes as SVG.
[[nodiscard]] std::string SweepHtml(const SweepReport& report);

}  // namespace gwq
