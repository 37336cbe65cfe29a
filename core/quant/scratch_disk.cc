#include "core/quant/scratch_disk.h"

#include <algorithm>

#include "core/quant/sample_states.h"

namespace gwq {
namespace {

// The samples' tokens, and lengths and headers of the blobs.
uint64_t TokenBytes(const SampleStates& states) { return states.samples * (states.tokens + 64) * 4; }

}  // namespace

uint64_t ScratchDisk(const Model& model, const Plan& plan, const Recipe& recipe) {
  const bool gradients = AnyNeeds(plan, Needs::kGradient), grams = AnyNeeds(plan, Needs::kGram);
  if (!gradients && !grams) return 0;
  const SampleStates states = StatesOf(model.config(), plan, recipe);
  // Way forward: what every stage reads stays for the way back. One gradient more while the next one is written.
  const uint64_t inputs =
      states.samples * (states.stages * states.text + states.tower_stages * states.tower + states.image_rows);
  const uint64_t largest = states.samples * std::max(states.text, states.tower);
  const uint64_t forth_and_back = gradients ? 2 * (inputs + 2 * largest) : 0;
  // Block by block: states before and after one stage. They are in the temporary file and in the store.
  const uint64_t by_block = grams ? 2 * (2 * largest + states.samples * states.image_rows) : 0;
  return std::max(forth_and_back, by_block) + TokenBytes(states);
}

}  // namespace gwq
