// Tensors in FP16, as exports write them. Private to core/export.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "core/artifact/stored_model.h"
#include "core/base/progress.h"
#include "core/export/loss.h"
#include "core/storage/blob_store.h"

namespace gwq {

// Bytes after which a writer appends to its blob and drops the pages of its source.
inline constexpr size_t kExportPart = size_t{4} << 20;

// FP16 bits; what FP16 cannot hold becomes the largest number of its sign and adds to `saturated`, a NaN stays one.
[[nodiscard]] uint16_t SaturatedHalf(float value, int64_t& saturated);

// The tensor's weights as an FP16 blob, packed ones dequantized; a dense one in FP16 is the blob that it is. Logs how
// many weights FP16 cannot hold. `loss` gets the weights of a packed tensor. Memory: a few MiB and one packed matrix.
[[nodiscard]] absl::StatusOr<Digest> HalfBlob(BlobStore& store, const StoredModel& source, const std::string& tensor,
                                              WeightLoss& loss, Progress& progress);

// config.json with its element type set to FP16, under every name that transformers 4 and 5 give it.
[[nodiscard]] absl::StatusOr<nlohmann::json> HalfConfig(const StoredModel& source);

}  // namespace gwq
