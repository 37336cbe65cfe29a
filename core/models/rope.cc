#include "core/models/rope.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <optional>
#include <string>

#include "core/models/config_fields.h"

namespace gwq {
namespace {

constexpr double kMaxFactor = 1e6;
constexpr double kMaxTheta = 1e12;

// Single precision and this order of operations, because transformers computes so: at long positions an angle shows the
// last bit of its frequency.
std::vector<float> PlainFrequencies(int64_t head_dim, float theta) {
  std::vector<float> frequencies(static_cast<size_t>(head_dim / 2));
  for (size_t i = 0; i < frequencies.size(); ++i) {
    frequencies[i] = 1.0F / std::pow(theta, static_cast<float>(2 * i) / static_cast<float>(head_dim));
  }
  return frequencies;
}

void ScaleLinear(ConfigReader& scaling, Rope& rope) {
  const auto factor = static_cast<float>(scaling.Number("factor", 1, kMaxFactor));
  for (float& frequency : rope.inverse_frequencies) frequency /= factor;
}

// Long wavelengths are divided by the factor, short ones kept, those between blended.
void ScaleLlama3(ConfigReader& scaling, int64_t max_positions, Rope& rope) {
  const auto factor = static_cast<float>(scaling.Number("factor", 1, kMaxFactor));
  const auto low = static_cast<float>(scaling.Number("low_freq_factor", 1e-6, kMaxFactor));
  const auto high = static_cast<float>(scaling.Number("high_freq_factor", 1e-6, kMaxFactor));
  const auto original =
      static_cast<float>(scaling.IntOr("original_max_position_embeddings", max_positions, 1, kMaxPositions));
  if (!(high > low)) {
    scaling.Invalid("high_freq_factor", fmt::format("is {}, must be above low_freq_factor, which is {}", high, low));
    return;
  }
  for (float& frequency : rope.inverse_frequencies) {
    const float wavelength = 2 * std::numbers::pi_v<float> / frequency;
    if (wavelength > original / low) {
      frequency /= factor;
    } else if (wavelength >= original / high) {
      const float smooth = (original / wavelength - low) / (high - low);
      frequency = (1 - smooth) * frequency / factor + smooth * frequency;
    }
  }
}

double YarnMagnitude(double factor, double scale) { return factor <= 1 ? 1.0 : 0.1 * scale * std::log(factor) + 1.0; }

float YarnAttentionFactor(ConfigReader& scaling, double factor) {
  if (scaling.Has("attention_factor")) return static_cast<float>(scaling.Number("attention_factor", 1e-6, kMaxFactor));
  const double mscale = scaling.NumberOr("mscale", 0, 0, kMaxFactor);
  const double all_dim = scaling.NumberOr("mscale_all_dim", 0, 0, kMaxFactor);
  if (mscale == 0 || all_dim == 0) return static_cast<float>(YarnMagnitude(factor, 1));
  return static_cast<float>(YarnMagnitude(factor, mscale) / YarnMagnitude(factor, all_dim));
}

// Frequencies that turn often within the original context are kept, those that turn rarely are interpolated, with a
// linear ramp between the two (arXiv 2309.00071).
void ScaleYarn(ConfigReader& scaling, double theta, int64_t max_positions, Rope& rope) {
  const auto original =
      static_cast<double>(scaling.IntOr("original_max_position_embeddings", max_positions, 1, kMaxPositions));
  const double factor =
      scaling.NumberOr("factor", std::max(1.0, static_cast<double>(max_positions) / original), 1, kMaxFactor);
  const double fast = scaling.NumberOr("beta_fast", 32, 1e-6, kMaxFactor);
  const double slow = scaling.NumberOr("beta_slow", 1, 1e-6, kMaxFactor);
  const bool truncate = scaling.BoolOr("truncate", true);
  rope.attention_factor = YarnAttentionFactor(scaling, factor);

  const auto half = static_cast<double>(rope.inverse_frequencies.size());
  const auto dimension_of = [&](double rotations) {
    return half * std::log(original / (rotations * 2 * std::numbers::pi)) / std::log(theta);
  };
  double low = dimension_of(fast);
  double high = dimension_of(slow);
  if (truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, 2 * half - 1);
  if (low == high) high += 0.001;
  for (size_t i = 0; i < rope.inverse_frequencies.size(); ++i) {
    const auto ramp = static_cast<float>(std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0));
    float& frequency = rope.inverse_frequencies[i];
    frequency = frequency / static_cast<float>(factor) * ramp + frequency * (1 - ramp);
  }
}

// Frequencies of each position axis (M-RoPE).
void ReadSections(ConfigReader& scaling, Rope& rope) {
  int64_t total = 0;
  for (const int64_t section : scaling.Ints("mrope_section", 0, kMaxPositions)) {
    rope.sections.push_back(static_cast<int>(section));
    total += section;
  }
  const auto half = static_cast<int64_t>(rope.inverse_frequencies.size());
  if (rope.sections.empty() || (total == half && rope.sections.size() == 3)) return;
  scaling.Invalid("mrope_section", fmt::format("has {} sections of {} frequencies in total, must have 3 of {}",
                                               rope.sections.size(), total, half));
}

}  // namespace

Rope ReadRope(ConfigReader& config, int64_t head_dim, int64_t max_positions) {
  const bool version5 = config.Has("rope_parameters");
  std::optional<ConfigReader> scaling = config.Object(version5 ? "rope_parameters" : "rope_scaling");
  double theta = config.NumberOr("rope_theta", 10000.0, 1.001, kMaxTheta);
  double rotated = config.NumberOr("partial_rotary_factor", 1, 0, 1);
  Rope rope;
  if (scaling.has_value()) {
    if (scaling->HasNestedObject()) {
      config.Unsupported("rope_parameters", "separate rotary parameters for each layer type are not supported");
      return rope;
    }
    theta = scaling->NumberOr("rope_theta", theta, 1.001, kMaxTheta);
    rotated = scaling->NumberOr("partial_rotary_factor", rotated, 0, 1);
    config.Keep(scaling->status());
  }
  if (rotated != 1) {
    config.Unsupported("partial_rotary_factor", "only a rotary embedding over the whole head is supported");
  }
  rope.inverse_frequencies = PlainFrequencies(head_dim, static_cast<float>(theta));
  if (!scaling.has_value()) return rope;
  ReadSections(*scaling, rope);
  const std::string type = scaling->StringOr("rope_type", scaling->StringOr("type", "default"));
  if (type == "linear") {
    ScaleLinear(*scaling, rope);
  } else if (type == "llama3") {
    ScaleLlama3(*scaling, max_positions, rope);
  } else if (type == "yarn") {
    ScaleYarn(*scaling, theta, max_positions, rope);
  } else if (type != "default" && !(type == "mrope" && !rope.sections.empty())) {
    scaling->Unsupported("rope_type", fmt::format("'{}' is not supported; known are default, linear, llama3 and yarn",
                                                  type.substr(0, 40)));
  }
  config.Keep(scaling->status());
  return rope;
}

}  // namespace gwq
