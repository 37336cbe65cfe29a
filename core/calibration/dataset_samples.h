// The samples that a calibration takes from a dataset.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/artifact/stored_dataset.h"
#include "core/artifact/stored_model.h"
#include "core/base/progress.h"
#include "core/calibration/sample_set.h"
#include "core/spec/recipe.h"
#include "core/text/model_text.h"

namespace gwq {

// The datasets that the recipe's calibration names, in the order of CalibrationDatasets; none if its source is another.
// The errors of StoredDataset::Open, with the field that names the dataset before them.
[[nodiscard]] absl::StatusOr<std::vector<StoredDataset>> OpenCalibrationDatasets(BlobStore& store,
                                                                                 const Calibration& calibration);

// Which of `lines` lines `samples` samples are, ascending: all if there are no more; evenly spread from the first
// one on where `seed` is 0; else drawn by it, none twice. Equal arguments give equal lines.
[[nodiscard]] std::vector<size_t> ChooseLines(size_t lines, size_t samples, uint64_t seed);

// A sample for each line that ChooseLines takes, in their order:
//   text                the first max_tokens tokens (at most the model's longest context), without special tokens
//   messages            what the model's chat template makes of them, cut likewise
//   token_ids           these, cut likewise
//   question or context a user's turn, and the first right answer as the assistant's turn, or if none the head of it;
//                       cut likewise where it has no image
//   with image          the images stand before the question, as the model's processor and chat template write them
//                       (PromptBuilder); may have kImageSampleTokens tokens, or max_tokens where that is more
// A sample of fewer than two tokens is left out. Patches are made when they are read, so that a set of images takes no
// memory; the blob store of `dataset` must outlive the samples. INVALID_ARGUMENT at `field` naming the line that cannot
// be used, or if nothing is left, or no line that was taken has an image although the dataset has; the errors of
// `progress`. Phase "sample", in lines. Memory: the .jsonl file four times, and one image.
[[nodiscard]] absl::StatusOr<SampleSet> DatasetSamples(const StoredDataset& dataset, const Calibration& calibration,
                                                       int64_t samples, uint64_t seed, const StoredModel& model,
                                                       const ModelText& text, Progress& progress,
                                                       std::string_view field = "recipe.calibration.dataset");

}  // namespace gwq
