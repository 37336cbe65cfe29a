// A tiny Llama with a byte-level tokenizer, imported into a blob store.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "core/base/sha256.h"
#include "core/storage/blob_store.h"

namespace gwq::testing {

// tests/support/tiny_model.py with this seed and room for 8192 positions. Its vocabulary is 258: two special tokens and
// the bytes, so random weights generate bytes that are seldom UTF-8.
[[nodiscard]] absl::StatusOr<Digest> ImportTinyModel(BlobStore& store, int seed);

}  // namespace gwq::testing
