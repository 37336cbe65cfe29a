// The metrics of one evaluation in a quantization's report.
#pragma once

#include <cmath>
#include <nlohmann/json.hpp>
#include <string_view>

namespace gwq::testing {

class ReportMetrics {
 public:
  // `report` outlives it.
  ReportMetrics(const nlohmann::json& report, size_t evaluation)
      : metrics_(report.at("evaluations").at(evaluation).at("metrics")) {}

  // NaN if there is none of that name.
  [[nodiscard]] double Before(std::string_view name) const { return Value(name, "before"); }
  [[nodiscard]] double After(std::string_view name) const { return Value(name, "after"); }

 private:
  [[nodiscard]] double Value(std::string_view name, const char* side) const {
    for (const nlohmann::json& metric : metrics_) {
      if (metric.at("name") == name) return metric.value(side, std::nan(""));
    }
    return std::nan("");
  }

  const nlohmann::json& metrics_;
};

}  // namespace gwq::testing
