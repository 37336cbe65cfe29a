// Whether what was measured meets a quality contract. Pure functions: the job, the stored gate and whoever looks for
// the cheapest recipe ask the same ones.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/spec/quality_contract.h"

namespace gwq {

struct MeasuredMetric {
  std::string name;
  double value = 0;  // may be infinite
};
struct MeasuredEvaluation {
  std::string name;  // the task's title
  std::vector<MeasuredMetric> metrics;
};
// Of an artifact.
struct QualityMeasures {
  std::optional<double> bits;                   // stored bits per weight of the whole model; none: not known
  std::vector<MeasuredEvaluation> evaluations;  // in the job's order
};

// A bound that was not met.
struct ContractMiss {
  std::string bound;            // field of the contract: "max_mean_kl", "floors[2]"
  std::string what;             // what is bounded: "mean_kl of text", "bits per weight of the model"
  std::optional<double> value;  // none: nothing measured it
  double limit = 0;
  bool at_most = true;  // `limit` bounds from above; else from below
};

// Index of the evaluation that a floor names among `titles`: a title first, then an index in decimal digits. None if
// there is no such one, or several have the title.
[[nodiscard]] std::optional<size_t> EvaluationIndex(std::string_view name, const std::vector<std::string>& titles);

// Every bound that is not met, in the contract's order; empty: the contract is met. A bound that equals the value is
// met. A measure that is missing or not a number misses its bound.
[[nodiscard]] std::vector<ContractMiss> CheckContract(const QualityContract& contract, const QualityMeasures& measures);

// "max_mean_kl: mean_kl of text is 0.25, the limit is at most 0.1; ...".
[[nodiscard]] std::string MissesText(const std::vector<ContractMiss>& misses);

}  // namespace gwq
