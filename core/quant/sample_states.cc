#include "core/quant/sample_states.h"

#include <algorithm>

namespace gwq {
namespace {

uint64_t Unsigned(int64_t value) { return static_cast<uint64_t>(value); }

}  // namespace

SampleStates StatesOf(const ModelConfig& config, const Plan& plan, const Recipe& recipe) {
  SampleStates states;
  states.samples = Unsigned(plan.samples);
  const int64_t tokens = recipe.calibration.max_tokens;
  states.tokens = Unsigned(plan.sees_image ? std::max(tokens, kImageSampleTokens) : tokens);
  states.text = states.tokens * Unsigned(config.hidden_size) * 4;
  states.stages = Unsigned(config.blocks) + 3;
  states.layout = states.tokens * 4 * (1 + Unsigned(config.position_axes));
  const int64_t tower = config.vision ? std::max(config.vision->hidden_size, config.vision->projector_width) : 0;
  states.widest = Unsigned(std::max(config.hidden_size, tower));
  if (!plan.sees_image) return states;
  const VisionConfig& vision = *config.vision;
  // Rows that become an image token, and class tokens.
  states.tower_rows = states.tokens * Unsigned(vision.merge * vision.merge + 1);
  states.tower = states.tower_rows * Unsigned(vision.hidden_size) * 4;
  states.tower_stages = Unsigned(vision.blocks) + 2;
  states.image_rows = states.text;
  // VisionLayout: cosines and sines of half a head each, and a few indices. Its vectors may hold twice what they have.
  states.layout += states.tower_rows * 2 * (4 * Unsigned(vision.attention.head_dim) + 32);
  return states;
}

}  // namespace gwq
