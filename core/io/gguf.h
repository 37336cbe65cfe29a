// The GGUF file format, versions 2 and 3, little-endian (github.com/ggml-org/ggml, docs/gguf.md): typed metadata,
// tensor infos, padding to the alignment, tensors.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/tensor_view.h"

namespace gwq {

// Element types with ggml's numbers. Q5_1 and the k-quants are written and dequantized; a header that has them is not
// read.
enum class GgmlType : uint32_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ5_1 = 7,
  kQ8_0 = 8,
  kQ2_K = 10,
  kQ3_K = 11,
  kQ4_K = 12,
  kQ5_K = 13,
  kQ6_K = 14,
  kBF16 = 30
};

[[nodiscard]] std::string_view GgmlTypeName(GgmlType type);
// Elements of a block and its bytes: rows are whole blocks.
[[nodiscard]] int64_t GgmlBlockElements(GgmlType type);
[[nodiscard]] uint64_t GgmlBlockBytes(GgmlType type);
// Bytes of `elements` elements, a multiple of the block.
[[nodiscard]] uint64_t GgmlBytes(GgmlType type, int64_t elements);

// Widens whole blocks to float; `out.size()` is a multiple of the block and `blocks` has exactly its bytes. Formulas:
// Q4_0 (q - 8) * d, Q4_1 and Q5_1 q * d + m, Q8_0 q * d, with d and m in FP16 and the products in float, as ggml;
// k-quants as core/io/gguf_k_blocks.h says.
void DequantizeGgml(GgmlType type, std::span<const std::byte> blocks, std::span<float> out);

using GgufArray = std::variant<std::vector<int64_t>, std::vector<double>, std::vector<bool>, std::vector<std::string>>;
// Integers of any width become int64_t (a u64 past its range is refused), floats double.
using GgufValue = std::variant<int64_t, double, bool, std::string, GgufArray>;

struct GgufTensor {
  std::string name;
  Shape shape;  // row-major: ggml's dimensions reversed
  GgmlType type = GgmlType::kF32;
  uint64_t offset = 0;  // in the data part
  uint64_t size = 0;
};

struct GgufHeader {
  uint32_t version = 0;
  uint64_t alignment = 32;
  std::map<std::string, GgufValue> metadata;
  std::vector<GgufTensor> tensors;  // by offset
  uint64_t header_size = 0;         // where the data part starts, a multiple of the alignment

  // Null if the key is missing or has another type.
  [[nodiscard]] const std::string* FindString(std::string_view key) const;
  [[nodiscard]] const int64_t* FindInt(std::string_view key) const;
  [[nodiscard]] const double* FindDouble(std::string_view key) const;
  [[nodiscard]] const bool* FindBool(std::string_view key) const;
  [[nodiscard]] const GgufArray* FindArray(std::string_view key) const;
};

// A larger header is refused; the vocabularies in use make 2 to 20 MB.
inline constexpr uint64_t kMaxGgufHeader = uint64_t{256} << 20;

// Reads the header of a file of `file_size` bytes from `bytes`: its first header_size bytes or more. INVALID_ARGUMENT
// naming the field ("magic", "version", "metadata[KEY]", "tensors[NAME].offset", ...) for anything that is cut off,
// too large, repeated, misaligned, overlapping, or of an unknown type, and for more padding than the alignment needs.
[[nodiscard]] absl::StatusOr<GgufHeader> ParseGgufHeader(std::span<const std::byte> bytes, uint64_t file_size);

}  // namespace gwq
