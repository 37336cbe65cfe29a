// The smallest artifact of a family that meets its contract.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "core/quant/job/quantize.h"

namespace gwq {

// QuantizeModel. If the recipe has target.bits and the contract a bound on bits and one on quality, the target is where
// the search begins: while the artifact misses a bound on quality, the next one has more bits, up to what
// contract.max_bits allows. Returns the first that meets the contract, which is the smallest one tried that does, or
// the last one with its misses, which is the nearest. At most kMaxContractAttempts are made; the log tells each.
// All attempts share the gradient passes that `passes` keeps. One that a checkpoint is of goes on from there. An
// artifact of an attempt that missed is garbage.
constexpr int kMaxContractAttempts = 8;
[[nodiscard]] absl::StatusOr<QuantizeResult> QuantizeToContract(BlobStore& store, const Digest& source,
                                                                const Recipe& recipe, Progress& progress,
                                                                const std::vector<EvaluationTask>& evaluations,
                                                                CheckpointSlot& checkpoints, PassCache& passes,
                                                                const QualityContract& contract);

// Bits more per weight of the matrices that the next attempt gets: as many as the divergence would need if it fell to a
// quarter with each bit, which is less than it needs; without a missed divergence a quarter of a bit. In [0.125, 1].
[[nodiscard]] double MoreBits(const std::vector<ContractMiss>& misses);

}  // namespace gwq
