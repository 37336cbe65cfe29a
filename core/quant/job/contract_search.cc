#include "core/quant/job/contract_search.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "core/base/status.h"
#include "core/io/json.h"

namespace gwq {
namespace {

using Json = nlohmann::json;

// No checkpoint is larger (core/storage/checkpoint.cc).
constexpr JsonLimits kStateLimits{.max_bytes = size_t{32} << 20};
// An attempt that is this near to the last one would make nearly the same artifact.
constexpr double kLeastStep = 0.02;

// The checkpoints of one attempt after the other: which one it is stands around the attempt's own state.
class AttemptCheckpoints final : public CheckpointSlot {
 public:
  explicit AttemptCheckpoints(CheckpointSlot& all) : all_(all) {}

  // The target of the attempt that was under way, if one was.
  std::optional<double> Resume() {
    auto last = all_.Load();
    if (!last.ok() || !last->has_value()) return std::nullopt;
    auto state = ParseJson("checkpoint", (*last)->state, kStateLimits);
    if (!state.ok() || !state->is_object() || !state->contains("target_bits") || !state->contains("attempt")) {
      return std::nullopt;
    }
    const Json& bits = (*state)["target_bits"];
    if (!bits.is_number()) return std::nullopt;
    left_ = **std::move(last);
    left_->state = CanonicalJson((*state)["attempt"]);
    return bits.get<double>();
  }
  void Begin(double target_bits) { target_bits_ = target_bits; }

  [[nodiscard]] bool keeps() const override { return all_.keeps(); }
  [[nodiscard]] absl::StatusOr<std::optional<Checkpoint>> Load() override { return std::exchange(left_, std::nullopt); }
  [[nodiscard]] absl::Status Save(const Checkpoint& checkpoint) override {
    GWQ_ASSIGN_OR_RETURN(Json attempt, ParseJson("checkpoint", checkpoint.state, kStateLimits));
    Checkpoint whole = checkpoint;
    whole.state = CanonicalJson(Json{{"target_bits", target_bits_}, {"attempt", std::move(attempt)}});
    return all_.Save(whole);
  }

 private:
  CheckpointSlot& all_;
  std::optional<Checkpoint> left_;
  double target_bits_ = 0;
};

bool Searches(const Recipe& recipe, const QualityContract& contract) {
  return recipe.target.bits > 0 && contract.max_bits.has_value() &&
         (contract.max_mean_kl || contract.min_same_top1 || !contract.floors.empty());
}

// More bits help where no bound on bits is missed.
bool MoreBitsMayHelp(const std::vector<ContractMiss>& misses) {
  return !misses.empty() &&
         std::ranges::none_of(misses, [](const ContractMiss& miss) { return miss.bound == "max_bits"; });
}

// The greatest target that keeps the whole model within its bound on bits.
double Ceiling(const QuantizeResult& made, double max_bits) {
  const double share = static_cast<double>(made.total_weights) / static_cast<double>(made.quantized_weights);
  return made.matrix_bits_per_weight + (max_bits - made.model_bits_per_weight) * share;
}

}  // namespace

double MoreBits(const std::vector<ContractMiss>& misses) {
  double more = 0;
  for (const ContractMiss& miss : misses) {
    const bool divergence = miss.bound == "max_mean_kl" && miss.value && std::isfinite(*miss.value) && miss.limit > 0;
    more = std::max(more, divergence ? std::log(*miss.value / miss.limit) / std::log(4.0) : 0.25);
  }
  return std::clamp(more, 0.125, 1.0);
}

absl::StatusOr<QuantizeResult> QuantizeToContract(BlobStore& store, const Digest& source, const Recipe& recipe,
                                                  Progress& progress, const std::vector<EvaluationTask>& evaluations,
                                                  CheckpointSlot& checkpoints, const QualityContract& contract) {
  if (!Searches(recipe, contract)) {
    return QuantizeModel(store, source, recipe, progress, evaluations, &checkpoints, contract);
  }
  AttemptCheckpoints attempts(checkpoints);
  Recipe now = recipe;
  now.target.bits = attempts.Resume().value_or(recipe.target.bits);
  for (int attempt = 1;; ++attempt) {
    attempts.Begin(now.target.bits);
    GWQ_ASSIGN_OR_RETURN(QuantizeResult made,
                         QuantizeModel(store, source, now, progress, evaluations, &attempts, contract));
    if (!MoreBitsMayHelp(made.misses) || attempt == kMaxContractAttempts) return made;
    const double most = std::min(Ceiling(made, *contract.max_bits), made.most_matrix_bits);
    const double next = std::min(now.target.bits + MoreBits(made.misses), most);
    if (next < now.target.bits + kLeastStep) {
      progress.Log(fmt::format("{}; more bits than {:.4f} per weight of the matrices are not allowed",
                               MissesText(made.misses), now.target.bits));
      return made;
    }
    progress.Log(fmt::format("with {:.4f} bits per weight of the matrices {}; trying {:.4f}", now.target.bits,
                             MissesText(made.misses), next));
    now.target.bits = next;
  }
}

}  // namespace gwq
