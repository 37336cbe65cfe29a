// Chooses a token from logits.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/statusor.h"

namespace gwq {

struct SamplingOptions {
  double temperature = 0;  // 0: the largest logit; else in (0, 100]
  int32_t top_k = 0;       // 0: off
  double top_p = 1;        // (0, 1]
  uint64_t seed = 0;
};

// INVALID_ARGUMENT naming "sampling.temperature", "sampling.top_k" or "sampling.top_p".
[[nodiscard]] absl::Status CheckSampling(const SamplingOptions& options);

// The number in [0, 1) that decides token `index` of a request: a function of seed and index alone, so that a request's
// tokens depend neither on its batch nor on a restart in the middle. SplitMix64 (Steele, Lea, Flood 2014) from a mixed
// seed, its upper 53 bits.
[[nodiscard]] double UniformAt(uint64_t seed, int64_t index);

// Filters in the order of transformers' generate: temperature, then the k largest, then the smallest set of the largest
// whose probabilities reach top_p (at least one). llama.cpp applies temperature last, which gives a narrower top-p set
// at temperatures above 1. Equal logits count as ordered by token id, lowest first. Not thread-safe (scratch memory).
class Sampler {
 public:
  explicit Sampler(const SamplingOptions& options) : options_(options) {}

  // `index` tokens were generated before this one. INTERNAL if a logit is NaN or +infinity, or if all are -infinity:
  // the model or its weights are broken. -infinity alone bans a token.
  [[nodiscard]] absl::StatusOr<int32_t> Sample(std::span<const float> logits, int64_t index);

 private:
  struct Candidate {
    float logit;
    int32_t token;
  };
  [[nodiscard]] int32_t SampleUnfiltered(std::span<const float> logits, float largest, int64_t index);
  [[nodiscard]] int32_t SampleFiltered(std::span<const float> logits, float largest, int64_t index);
  [[nodiscard]] size_t SortTopP(float largest, double total);
  [[nodiscard]] double Weight(float logit, float largest) const;

  SamplingOptions options_;
  std::vector<Candidate> candidates_;
  std::vector<double> weights_;
};

}  // namespace gwq
