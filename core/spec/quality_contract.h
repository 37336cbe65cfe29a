// What an artifact must reach to be published: bounds on its size and on what its job measures
// (docs/quality-contract.md).
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/spec/evaluation_task.h"

namespace gwq {

// A bound on one metric of one evaluation.
struct QualityFloor {
  std::string evaluation = {};  // name of one of the job's evaluations (its kind, if it has none), or its index from 0
  std::string metric = {};      // that it gives: "acc", "perplexity", ...
  std::optional<double> at_least = {};
  std::optional<double> at_most = {};
  friend bool operator==(const QualityFloor&, const QualityFloor&) = default;
};

struct QualityContract {
  std::optional<double> max_mean_kl = {};    // of every evaluation that gives mean_kl, in nats
  std::optional<double> min_same_top1 = {};  // of every evaluation that gives same_top1, a share
  std::optional<double> max_bits = {};       // stored bytes x 8 / weights of the whole model
  std::vector<QualityFloor> floors = {};
  friend bool operator==(const QualityContract&, const QualityContract&) = default;

  // Nothing is asked for.
  [[nodiscard]] bool empty() const { return *this == QualityContract{}; }
};

// Every number within its limits, every floor with a bound. INVALID_ARGUMENT at `path` + ".<field>".
[[nodiscard]] absl::Status CheckQualityContract(const QualityContract& contract, std::string_view path);
// Every bound is on something that one of `evaluations` measures on an artifact. INVALID_ARGUMENT at `path` +
// ".<field>", naming what there is.
[[nodiscard]] absl::Status CheckMeasured(const QualityContract& contract,
                                         const std::vector<EvaluationTask>& evaluations, std::string_view path);

// Unset bounds are left out.
[[nodiscard]] nlohmann::json QualityContractJson(const QualityContract& contract);
// Unknown fields and wrong types are refused by name. Checks the result.
[[nodiscard]] absl::StatusOr<QualityContract> ParseQualityContract(const nlohmann::json& json, std::string_view path);

}  // namespace gwq
