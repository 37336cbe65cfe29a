// A view with type and shape of memory that somebody else owns.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace gwq {

// Element types of stored tensors, with the names safetensors uses ("F32", "F16", "BF16", ...).
enum class DType : uint8_t { kF32, kF16, kBF16, kI64, kI32, kI16, kI8, kU8, kBool, kF64 };

[[nodiscard]] size_t DTypeSize(DType type);
[[nodiscard]] std::string_view DTypeName(DType type);
[[nodiscard]] absl::StatusOr<DType> ParseDType(std::string_view name);
// True for F32, F16 and BF16, the types of stored weights.
[[nodiscard]] bool IsWeightType(DType type);

using Shape = std::vector<int64_t>;

// The product of the dimensions; INVALID_ARGUMENT for a negative dimension or a product above 2^62.
[[nodiscard]] absl::StatusOr<int64_t> ElementCount(const Shape& shape);
[[nodiscard]] std::string ShapeString(const Shape& shape);

// Row-major, contiguous. Does not own `data`, which must outlive the view. Copying a view copies no elements.
struct TensorView {
  DType type = DType::kF32;
  Shape shape;
  std::span<const std::byte> data;

  [[nodiscard]] int64_t elements() const;
};

// Exact conversions; float -> half rounds to nearest even and overflows to infinity (IEEE 754).
[[nodiscard]] float HalfToFloat(uint16_t bits);
[[nodiscard]] uint16_t FloatToHalf(float value);
[[nodiscard]] float BFloat16ToFloat(uint16_t bits);

// Widens F32, F16 or BF16 elements [begin, begin + out.size()) to float. The range must lie inside the view.
void ToFloat(const TensorView& view, int64_t begin, std::span<float> out);

}  // namespace gwq
