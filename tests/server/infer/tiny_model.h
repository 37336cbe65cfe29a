// A tiny Llama with a byte-level tokenizer, imported into a blob store.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "core/base/sha256.h"
#include "core/storage/blob_store.h"

namespace gwq::testing {

// tests/support/tiny_model.py with this seed and room for 8192 positions. Its vocabulary is 258: two special tokens and
// the bytes, so random weights generate bytes that are seldom UTF-8.
[[nodiscard]] absl::StatusOr<Digest> ImportTinyModel(BlobStore& store, int seed);

// A tiny Qwen2-VL (tests/support/tiny_vlm.py) with patches of 4 and images of 64 to 4096 pixels; its vocabulary has
// ten special tokens before the bytes.
[[nodiscard]] absl::StatusOr<Digest> ImportTinyVlm(BlobStore& store, int seed);

// A model that an import would refuse: the same without this file.
[[nodiscard]] absl::StatusOr<Digest> WithoutFile(BlobStore& store, const Digest& model, std::string_view path);

// A tiny model of a family of tests/support/golden_family.py. "llava" has patches of 2 and images of 8 x 8; its
// template ends in "ASSISTANT:" and writes answers behind a blank. "idefics3" writes no boxes.
[[nodiscard]] absl::StatusOr<Digest> ImportTinyFamily(BlobStore& store, std::string_view family, int seed);

}  // namespace gwq::testing
