#include "core/quant/scratch_disk.h"

#include <algorithm>
#include <set>

#include "core/quant/sample_states.h"
#include "core/quant/tuned/tuned_tensor.h"
#include "core/storage/checkpoint.h"

namespace gwq {
namespace {

// The samples' tokens, and lengths and headers of the blobs.
uint64_t TokenBytes(const SampleStates& states) { return states.samples * (states.tokens + 64) * 4; }

// Metrics of all blocks; a stream more, of the full-precision model; what that makes of all samples; and what is tuned
// before and after a step.
uint64_t TunedBytes(const Plan& plan, const SampleStates& states) {
  std::set<int> stages;
  uint64_t tuned = 0;
  for (const PlannedModule& module : plan.modules) {
    if (module.kind == TensorKind::kNorm) tuned += 12 * module.weights;
    if (module.needs != Needs::kBlock) continue;
    stages.insert(module.stage);
    tuned += TunedTensor::Bytes(module.packed);
  }
  const uint64_t headers = (stages.size() + 2) * kScratchHeaderBytes + plan.modules.size() * 8;
  return 2 * stages.size() * states.widest * states.widest * 4 +
         6 * states.samples * std::max(states.text, states.tower) +
         2 * states.samples * (states.text + states.image_rows) + 2 * tuned + headers;
}

}  // namespace

uint64_t ScratchDisk(const Model& model, const Plan& plan, const Recipe& recipe) {
  const bool gradients = AnyNeeds(plan, Needs::kGradient), grams = AnyNeeds(plan, Needs::kGram);
  const bool blocks = AnyNeeds(plan, Needs::kBlock), open = HasOpenModules(plan);
  if (!gradients && !grams && !blocks && !open) return 0;
  const SampleStates states = StatesOf(model.config(), plan, recipe);
  // Way forward: what every stage reads stays for the way back. One gradient more while the next one is written.
  const uint64_t inputs =
      states.samples * (states.stages * states.text + states.tower_stages * states.tower + states.image_rows);
  const uint64_t largest = states.samples * std::max(states.text, states.tower);
  const bool passes = gradients || open || (blocks && recipe.tuned.metric_samples > 0);
  const uint64_t forth_and_back = passes ? 2 * (inputs + 2 * largest) : 0;
  // Block by block: states before and after one stage. They are in the temporary file and in the store.
  const uint64_t by_block = grams || blocks ? 2 * (2 * largest + states.samples * states.image_rows) : 0;
  return std::max(forth_and_back, by_block) + TokenBytes(states) + (blocks ? TunedBytes(plan, states) : 0);
}

}  // namespace gwq
