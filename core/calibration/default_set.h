// The calibration samples that ship in the program: prose, code, documentation and dialogues, each a line of a dataset
// (core/spec/dataset.h). docs/calibration-set.md tells where each comes from and under which licence.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/progress.h"
#include "core/calibration/sample_set.h"
#include "core/models/config.h"
#include "core/spec/dataset.h"
#include "core/spec/recipe.h"
#include "core/text/model_text.h"

namespace gwq {

// The lines of one kind, as a .jsonl file of core/calibration/default_set holds them.
struct DefaultSetFile {
  std::string_view kind;  // "prose", "code", "documentation", "chat" or "languages"
  std::string_view lines;
};
[[nodiscard]] std::span<const DefaultSetFile> DefaultSetFiles();

struct DefaultSetItem {
  std::string_view kind;
  DatasetItem item;  // with text or messages
};

// The first `samples` of the set, or all. Its order has the kinds interleaved, so that every number of samples has the
// set's mix; a `seed` other than 0 draws the order of each kind. Equal arguments give equal items. INTERNAL if a file
// is no dataset.
[[nodiscard]] absl::StatusOr<std::vector<DefaultSetItem>> ChooseDefaultItems(int64_t samples, uint64_t seed);

// Their first max_tokens tokens (at most the model's longest context), without special tokens. Dialogues are written by
// the model's chat template; where it has none, or refuses them, as plain text. Phase "sample", in samples.
[[nodiscard]] absl::StatusOr<SampleSet> DefaultSetSamples(const Calibration& calibration, int64_t samples,
                                                          uint64_t seed, const ModelConfig& config,
                                                          const ModelText& text, Progress& progress);

}  // namespace gwq
