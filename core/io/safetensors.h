// The safetensors file format (github.com/huggingface/safetensors, README "Format"): a little-endian u64 N, N bytes of
// JSON {name: {dtype, shape, data_offsets}}, then the tensors' bytes without gaps.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/tensor_view.h"

namespace gwq {

struct SafetensorsTensor {
  std::string name;
  DType dtype = DType::kF32;
  Shape shape;
  uint64_t offset = 0;  // in the data part
  uint64_t size = 0;
};

struct SafetensorsHeader {
  uint64_t header_size = 0;                     // length word and JSON: where the data part starts
  std::vector<SafetensorsTensor> tensors;       // by offset, then name
  std::map<std::string, std::string> metadata;  // "__metadata__"
};

// As the reference implementation: a larger header is no header.
inline constexpr uint64_t kMaxSafetensorsHeader = 100'000'000;

// 8 + N from the first 8 bytes of a file of `file_size` bytes; INVALID_ARGUMENT at "header_size".
[[nodiscard]] absl::StatusOr<uint64_t> SafetensorsHeaderSize(std::span<const std::byte> first_bytes,
                                                             uint64_t file_size);

// Reads exactly the first header_size bytes of a file of `file_size` bytes. INVALID_ARGUMENT naming the field
// ("header", "tensors[NAME].shape", ...) for JSON that is malformed, has duplicate or unknown keys, element types that
// are not known, sizes that disagree with type and shape, and tensors that overlap, leave gaps or do not end with the
// file.
[[nodiscard]] absl::StatusOr<SafetensorsHeader> ParseSafetensorsHeader(std::span<const std::byte> header,
                                                                       uint64_t file_size);

// Canonical: keys sorted, no spaces in the JSON but the padding that aligns the data part to 64 bytes. Offsets and
// sizes of `tensors` are taken as they are.
[[nodiscard]] std::string WriteSafetensorsHeader(const std::vector<SafetensorsTensor>& tensors,
                                                 const std::map<std::string, std::string>& metadata);

}  // namespace gwq
