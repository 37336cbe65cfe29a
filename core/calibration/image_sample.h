// A calibration sample with an image.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "core/artifact/stored_model.h"
#include "core/calibration/sample_set.h"
#include "core/spec/recipe.h"
#include "core/storage/blob_store.h"
#include "core/text/model_text.h"
#include "core/vision/image.h"
#include "core/vision/image_processor.h"

namespace gwq {

// The recipe's image, question and answer, or those built in, as the model's processor and chat template write them:
// a user's turn with the image before the question, and the assistant's answer where one is given, else the head of
// its turn. INVALID_ARGUMENT at "recipe.calibration.blob" for an image that cannot be read, at
// "recipe.calibration.max_tokens" if the sample has more tokens than it may; NOT_FOUND if the blob is not stored;
// the errors of ImageProcessor::Parse and PromptBuilder::Build.
[[nodiscard]] absl::StatusOr<CalibrationSample> MakeImageSample(const Calibration& calibration,
                                                                const StoredModel& model, const ModelText& text,
                                                                BlobStore& store);

// An image of 224 x 224 made by arithmetic alone: a shaded background, a red disc, a blue square, a green triangle and
// fine stripes, so that every scale of a tower has something to see.
[[nodiscard]] Image BuiltInImage();
// What is asked about it.
[[nodiscard]] std::string_view BuiltInQuestion();

}  // namespace gwq
