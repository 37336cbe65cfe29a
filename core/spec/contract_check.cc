#include "core/spec/contract_check.h"

#include <fmt/format.h>

#include <algorithm>

#include "absl/strings/numbers.h"

namespace gwq {
namespace {

const MeasuredMetric* FindMetric(const MeasuredEvaluation& evaluation, std::string_view name) {
  const auto found = std::ranges::find(evaluation.metrics, name, &MeasuredMetric::name);
  return found == evaluation.metrics.end() ? nullptr : &*found;
}

class Check {
 public:
  explicit Check(const QualityMeasures& measures) : measures_(measures) {
    for (const MeasuredEvaluation& one : measures.evaluations) titles_.push_back(one.name);
  }

  // `metric` of every evaluation that has it; one at least must.
  void Everywhere(std::string_view bound, std::string_view metric, double limit, bool at_most) {
    bool measured = false;
    for (const MeasuredEvaluation& one : measures_.evaluations) {
      const MeasuredMetric* const found = FindMetric(one, metric);
      if (found == nullptr) continue;
      measured = true;
      Bound(bound, fmt::format("{} of {}", metric, one.name), found->value, limit, at_most);
    }
    if (!measured) Bound(bound, std::string(metric), std::nullopt, limit, at_most);
  }

  void Floor(const std::string& bound, const QualityFloor& floor) {
    const std::optional<size_t> index = EvaluationIndex(floor.evaluation, titles_);
    const MeasuredMetric* const found = index ? FindMetric(measures_.evaluations[*index], floor.metric) : nullptr;
    const std::string what = fmt::format("{} of {}", floor.metric, floor.evaluation);
    const std::optional<double> value = found == nullptr ? std::nullopt : std::optional(found->value);
    if (floor.at_least) Bound(bound, what, value, *floor.at_least, /*at_most=*/false);
    if (floor.at_most) Bound(bound, what, value, *floor.at_most, /*at_most=*/true);
  }

  void Bound(std::string_view bound, std::string what, std::optional<double> value, double limit, bool at_most) {
    // Written so that a NaN misses.
    const bool met = value && (at_most ? *value <= limit : *value >= limit);
    if (!met) misses_.push_back({std::string(bound), std::move(what), value, limit, at_most});
  }

  std::vector<ContractMiss> Take() { return std::move(misses_); }

 private:
  const QualityMeasures& measures_;
  std::vector<std::string> titles_;
  std::vector<ContractMiss> misses_;
};

}  // namespace

std::optional<size_t> EvaluationIndex(std::string_view name, const std::vector<std::string>& titles) {
  const auto named = std::ranges::count(titles, name);
  if (named == 1) return static_cast<size_t>(std::ranges::find(titles, name) - titles.begin());
  uint32_t index = 0;
  const bool digits = !name.empty() && std::ranges::all_of(name, [](char c) { return c >= '0' && c <= '9'; });
  if (named > 1 || !digits || !absl::SimpleAtoi(std::string(name), &index) || index >= titles.size()) {
    return std::nullopt;
  }
  return index;
}

std::vector<ContractMiss> CheckContract(const QualityContract& contract, const QualityMeasures& measures) {
  Check check(measures);
  if (contract.max_mean_kl) check.Everywhere("max_mean_kl", "mean_kl", *contract.max_mean_kl, /*at_most=*/true);
  if (contract.min_same_top1) {
    check.Everywhere("min_same_top1", "same_top1", *contract.min_same_top1, /*at_most=*/false);
  }
  if (contract.max_bits) {
    check.Bound("max_bits", "bits per weight of the model", measures.bits, *contract.max_bits, /*at_most=*/true);
  }
  for (size_t i = 0; i < contract.floors.size(); ++i) check.Floor(fmt::format("floors[{}]", i), contract.floors[i]);
  return check.Take();
}

std::string MissesText(const std::vector<ContractMiss>& misses) {
  std::string out;
  for (const ContractMiss& miss : misses) {
    if (!out.empty()) out += "; ";
    out += fmt::format("{}: {} {}, the limit is at {} {:.6g}", miss.bound, miss.what,
                       miss.value ? fmt::format("is {:.6g}", *miss.value) : "was not measured",
                       miss.at_most ? "most" : "least", miss.limit);
  }
  return out;
}

}  // namespace gwq
