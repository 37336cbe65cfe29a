#include "core/quant/job/contract_search.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "core/base/status.h"
#include "core/io/json.h"
#include "core/io/json_fields.h"

namespace gwq {
namespace {

using Json = nlohmann::json;

// No checkpoint is larger (core/storage/checkpoint.cc).
constexpr JsonLimits kStateLimits{.max_bytes = size_t{32} << 20};
// An attempt that is this near to the last one would make nearly the same artifact.
constexpr double kLeastStep = 0.02;

struct Attempt {
  int number = 1;
  double target_bits = 0;
};

// The checkpoints of one attempt after the other: which one it is stands around the attempt's own state.
class AttemptCheckpoints final : public CheckpointSlot {
 public:
  explicit AttemptCheckpoints(CheckpointSlot& all) : all_(all) {}

  // The attempt that was under way, or `first`; what cannot be used starts with that again, as a job does.
  absl::StatusOr<Attempt> Resume(const Attempt& first) {
    absl::StatusOr<std::optional<Checkpoint>> last = all_.Load();
    if (absl::IsDataLoss(last.status())) return first;
    GWQ_RETURN_IF_ERROR(last.status());
    if (!last->has_value()) return first;
    const auto state = ParseJson("checkpoint", (*last)->state, kStateLimits);
    if (!state.ok() || !state->is_object()) return first;
    const std::optional<double> bits = NumberIn(*state, "target_bits");
    const std::optional<uint64_t> number = UintIn(*state, "number");
    const bool whole = bits && std::isfinite(*bits) && number && *number >= 1 && *number <= kMaxContractAttempts &&
                       state->contains("state");
    if (!whole) return first;
    left_ = **std::move(last);
    left_->state = CanonicalJson((*state)["state"]);
    return Attempt{static_cast<int>(*number), *bits};
  }
  void Begin(const Attempt& attempt) { now_ = attempt; }

  [[nodiscard]] bool keeps() const override { return all_.keeps(); }
  [[nodiscard]] absl::StatusOr<std::optional<Checkpoint>> Load() override { return std::exchange(left_, std::nullopt); }
  [[nodiscard]] absl::Status Save(const Checkpoint& checkpoint) override {
    GWQ_ASSIGN_OR_RETURN(Json state, ParseJson("checkpoint", checkpoint.state, kStateLimits));
    Checkpoint whole = checkpoint;
    whole.state =
        CanonicalJson(Json{{"target_bits", now_.target_bits}, {"number", now_.number}, {"state", std::move(state)}});
    return all_.Save(whole);
  }

 private:
  CheckpointSlot& all_;
  std::optional<Checkpoint> left_;
  Attempt now_;
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
                                                  CheckpointSlot& checkpoints, PassCache& passes,
                                                  const QualityContract& contract) {
  if (!Searches(recipe, contract)) {
    return QuantizeModel(store, source, recipe, progress, evaluations, &checkpoints, &passes, contract);
  }
  AttemptCheckpoints attempts(checkpoints);
  Recipe now = recipe;
  GWQ_ASSIGN_OR_RETURN(Attempt attempt, attempts.Resume({1, recipe.target.bits}));
  for (;; ++attempt.number) {
    attempts.Begin(attempt);
    now.target.bits = attempt.target_bits;
    GWQ_ASSIGN_OR_RETURN(QuantizeResult made,
                         QuantizeModel(store, source, now, progress, evaluations, &attempts, &passes, contract));
    if (!MoreBitsMayHelp(made.misses) || attempt.number == kMaxContractAttempts) return made;
    const double most = std::min(Ceiling(made, *contract.max_bits), made.most_matrix_bits);
    const double next = std::min(now.target.bits + MoreBits(made.misses), most);
    if (next < now.target.bits + kLeastStep) {
      progress.Log(fmt::format("{}; more bits than {:.4f} per weight of the matrices are not allowed",
                               MissesText(made.misses), now.target.bits));
      return made;
    }
    progress.Log(fmt::format("with {:.4f} bits per weight of the matrices {}; trying {:.4f}", now.target.bits,
                             MissesText(made.misses), next));
    attempt.target_bits = next;
  }
}

}  // namespace gwq
