#include "core/engine/sampler.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/base/log_probability.h"
#include "core/base/status.h"

namespace gwq {
namespace {

constexpr double kMaxTemperature = 100;
constexpr uint64_t kGolden = 0x9e3779b97f4a7c15;

uint64_t Mix(uint64_t value) {
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
  value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
  return value ^ (value >> 31);
}

}  // namespace

absl::Status CheckSampling(const SamplingOptions& options) {
  if (!(options.temperature >= 0 && options.temperature <= kMaxTemperature)) {
    return InvalidField("sampling.temperature",
                        fmt::format("{} is outside [0, {}]; 0 is greedy", options.temperature, kMaxTemperature));
  }
  if (options.top_k < 0) {
    return InvalidField("sampling.top_k", fmt::format("{} is negative; 0 switches it off", options.top_k));
  }
  if (!(options.top_p > 0 && options.top_p <= 1)) {
    return InvalidField("sampling.top_p", fmt::format("{} is outside (0, 1]; 1 switches it off", options.top_p));
  }
  return absl::OkStatus();
}

double UniformAt(uint64_t seed, int64_t index) {
  const uint64_t bits = Mix(Mix(seed + kGolden) + kGolden * (static_cast<uint64_t>(index) + 1));
  return static_cast<double>(bits >> 11) * 0x1p-53;
}

absl::StatusOr<int32_t> Sampler::Sample(std::span<const float> logits, int64_t index) {
  const absl::StatusOr<size_t> best = LargestLogit(logits);
  if (!best.ok()) {
    return absl::InternalError(fmt::format(
        "the logits of generated token {} are not finite: the model's weights are damaged or overflow", index));
  }
  if (options_.temperature == 0 || options_.top_k == 1) return static_cast<int32_t>(*best);
  const float largest = logits[*best];
  const bool filtered =
      (options_.top_k > 0 && options_.top_k < static_cast<int64_t>(logits.size())) || options_.top_p < 1;
  return filtered ? SampleFiltered(logits, largest, index) : SampleUnfiltered(logits, largest, index);
}

double Sampler::Weight(float logit, float largest) const {
  return std::exp((static_cast<double>(logit) - static_cast<double>(largest)) / options_.temperature);
}

int32_t Sampler::SampleUnfiltered(std::span<const float> logits, float largest, int64_t index) {
  weights_.resize(logits.size());
  double total = 0;
  for (size_t i = 0; i < logits.size(); ++i) total += weights_[i] = Weight(logits[i], largest);
  double left = UniformAt(options_.seed, index) * total;
  size_t last = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    if (weights_[i] == 0) continue;
    last = i;
    left -= weights_[i];
    if (left < 0) break;
  }
  return static_cast<int32_t>(last);
}

// Sorts the most likely candidates to the front and returns how many of them reach top_p of `total`.
size_t Sampler::SortTopP(float largest, double total) {
  const auto before = [](const Candidate& a, const Candidate& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
  };
  // Nearly always a few hundred tokens hold top_p, so the whole vocabulary is seldom sorted.
  size_t sorted = 0;
  size_t wanted = 256;
  double sum = 0;
  for (;;) {
    wanted = std::min(wanted, candidates_.size());
    const auto from = candidates_.begin() + static_cast<std::ptrdiff_t>(sorted);
    const auto to = candidates_.begin() + static_cast<std::ptrdiff_t>(wanted);
    if (to != candidates_.end()) std::nth_element(from, to, candidates_.end(), before);
    std::sort(from, to, before);
    for (; sorted < wanted; ++sorted) {
      sum += Weight(candidates_[sorted].logit, largest);
      if (sum >= options_.top_p * total) return sorted + 1;
    }
    if (sorted == candidates_.size()) return sorted;
    wanted *= 8;
  }
}

int32_t Sampler::SampleFiltered(std::span<const float> logits, float largest, int64_t index) {
  candidates_.resize(logits.size());
  for (size_t i = 0; i < logits.size(); ++i) candidates_[i] = {logits[i], static_cast<int32_t>(i)};
  if (options_.top_k > 0 && static_cast<size_t>(options_.top_k) < candidates_.size()) {
    const auto before = [](const Candidate& a, const Candidate& b) {
      return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
    };
    std::nth_element(candidates_.begin(), candidates_.begin() + options_.top_k, candidates_.end(), before);
    candidates_.resize(static_cast<size_t>(options_.top_k));
    std::sort(candidates_.begin(), candidates_.end(), before);
  }
  double total = 0;
  for (const Candidate& candidate : candidates_) total += Weight(candidate.logit, largest);
  const size_t kept = SortTopP(largest, total);
  weights_.resize(kept);
  double kept_total = 0;
  for (size_t i = 0; i < kept; ++i) kept_total += weights_[i] = Weight(candidates_[i].logit, largest);
  double left = UniformAt(options_.seed, index) * kept_total;
  size_t chosen = 0;
  while (chosen + 1 < kept && weights_[chosen + 1] > 0 && left >= weights_[chosen]) left -= weights_[chosen++];
  return candidates_[chosen].token;
}

}  // namespace gwq
