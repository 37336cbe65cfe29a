#include "core/calibration/sample_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <span>
#include <unordered_set>

#include "core/base/draw.h"

namespace gwq {
namespace {

constexpr size_t kStretch = 8;
constexpr double kRepeatsItself = 0.2;
constexpr double kRepeatsOthers = 0.5;
constexpr int64_t kShortTokens = 64;
// Of all samples together.
constexpr size_t kMaxStretches = size_t{1} << 20;

uint64_t HashOf(std::span<const int32_t> tokens) {
  uint64_t hash = 0;
  for (const int32_t token : tokens) hash = Draw(hash, static_cast<uint32_t>(token));
  return hash;
}

// Counts of samples with one fault, and the worst of them.
struct Fault {
  int64_t samples = 0;
  size_t worst = 0;
  double share = 0;

  void Add(size_t sample, double of, double limit) {
    if (of <= limit) return;
    ++samples;
    if (of <= share) return;
    share = of;
    worst = sample;
  }
};

struct Repetition {
  Fault itself, others;
};

Repetition FindRepetition(const SampleSet& samples) {
  size_t stretches = 0;
  for (const CalibrationSample& sample : samples) stretches += sample.tokens.size();
  // The same stretches are left out in every sample, so that those that are left can still be found again.
  const uint64_t step = std::max<uint64_t>(1, stretches / kMaxStretches);
  Repetition out;
  std::unordered_set<uint64_t> seen;
  for (size_t i = 0; i < samples.size(); ++i) {
    const std::span<const int32_t> tokens = samples[i].tokens;
    if (tokens.size() < 2 * kStretch) continue;
    std::unordered_set<uint64_t> own;
    int64_t in_itself = 0, in_others = 0, all = 0, looked = 0;
    for (size_t at = 0; at + kStretch <= tokens.size(); ++at) {
      const uint64_t hash = HashOf(tokens.subspan(at, kStretch));
      ++all;
      if (!own.insert(hash).second) ++in_itself;
      if (hash % step != 0) continue;
      ++looked;
      if (seen.contains(hash)) ++in_others;
    }
    out.itself.Add(i, static_cast<double>(in_itself) / static_cast<double>(all), kRepeatsItself);
    if (looked > 0) out.others.Add(i, static_cast<double>(in_others) / static_cast<double>(looked), kRepeatsOthers);
    for (const uint64_t hash : own) {
      if (hash % step == 0) seen.insert(hash);
    }
  }
  return out;
}

std::string Percent(double share) { return fmt::format("{:.0f} %", share * 100); }

}  // namespace

std::vector<std::string> SampleWarnings(const SampleSet& samples, const SampleNeeds& needs) {
  std::vector<std::string> out;
  const Repetition repetition = FindRepetition(samples);
  if (const Fault& fault = repetition.itself; fault.samples > 0) {
    out.push_back(fmt::format(
        "{} of {} samples repeat themselves: over {} of their stretches of {} tokens stand earlier "
        "in the same sample (sample {}: {})",
        fault.samples, samples.size(), Percent(kRepeatsItself), kStretch, fault.worst, Percent(fault.share)));
  }
  if (const Fault& fault = repetition.others; fault.samples > 0) {
    out.push_back(fmt::format(
        "{} of {} samples repeat others: over {} of their stretches of {} tokens stand in samples "
        "before them (sample {}: {})",
        fault.samples, samples.size(), Percent(kRepeatsOthers), kStretch, fault.worst, Percent(fault.share)));
  }
  const int64_t limit =
      needs.max_tokens < 4 * kShortTokens ? needs.max_tokens / 4 : std::max(kShortTokens, needs.max_tokens / 4);
  int64_t tokens = 0, shorter = 0;
  for (const CalibrationSample& sample : samples) {
    tokens += std::ssize(sample.tokens);
    if (std::ssize(sample.tokens) < limit) ++shorter;
  }
  if (shorter > 0) {
    out.push_back(fmt::format("{} of {} samples are short: under {} tokens, where max_tokens is {}", shorter,
                              samples.size(), limit, needs.max_tokens));
  }
  if (std::ssize(samples) < needs.samples) {
    out.push_back(fmt::format("there are {} samples; the methods of the recipe should have {} or more", samples.size(),
                              needs.samples));
  }
  if (tokens < needs.rows) {
    out.push_back(
        fmt::format("the samples have {} tokens; the widest Gram matrix has {} columns and should be made of "
                    "as many tokens at least",
                    tokens, needs.rows));
  }
  return out;
}

}  // namespace gwq
