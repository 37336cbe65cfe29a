#include "core/base/tensor_view.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <bit>
#include <cmath>
#include <cstring>

#include "core/base/status.h"

namespace gwq {
namespace {

struct TypeInfo {
  DType type;
  size_t size;
  std::string_view name;
};

constexpr std::array<TypeInfo, 10> kTypes = {{{DType::kF32, 4, "F32"},
                                              {DType::kF16, 2, "F16"},
                                              {DType::kBF16, 2, "BF16"},
                                              {DType::kI64, 8, "I64"},
                                              {DType::kI32, 4, "I32"},
                                              {DType::kI16, 2, "I16"},
                                              {DType::kI8, 1, "I8"},
                                              {DType::kU8, 1, "U8"},
                                              {DType::kBool, 1, "BOOL"},
                                              {DType::kF64, 8, "F64"}}};

template <class T>
T Load(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof(T));
  return value;
}

}  // namespace

size_t DTypeSize(DType type) { return kTypes[static_cast<size_t>(type)].size; }

std::string_view DTypeName(DType type) { return kTypes[static_cast<size_t>(type)].name; }

absl::StatusOr<DType> ParseDType(std::string_view name) {
  for (const TypeInfo& info : kTypes) {
    if (info.name == name) return info.type;
  }
  return absl::InvalidArgumentError(fmt::format("unknown element type '{}'", name.substr(0, 32)));
}

bool IsWeightType(DType type) { return type == DType::kF32 || type == DType::kF16 || type == DType::kBF16; }

absl::StatusOr<int64_t> ElementCount(const Shape& shape) {
  constexpr int64_t kLimit = int64_t{1} << 62;
  int64_t count = 1;
  for (int64_t dimension : shape) {
    if (dimension < 0)
      return absl::InvalidArgumentError(fmt::format("negative dimension in shape {}", ShapeString(shape)));
    if (dimension != 0 && count > kLimit / dimension) {
      return absl::InvalidArgumentError(fmt::format("shape {} has more than 2^62 elements", ShapeString(shape)));
    }
    count *= dimension;
  }
  return count;
}

std::string ShapeString(const Shape& shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

int64_t TensorView::elements() const { return static_cast<int64_t>(data.size() / DTypeSize(type)); }

float HalfToFloat(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000u) << 16;
  const uint32_t exponent = (bits >> 10) & 0x1fu;
  const uint32_t mantissa = bits & 0x3ffu;
  if (exponent == 0x1f) return std::bit_cast<float>(sign | 0x7f800000u | (mantissa << 13));
  if (exponent != 0) return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
  const float magnitude = std::ldexp(static_cast<float>(mantissa), -24);
  return sign != 0 ? -magnitude : magnitude;
}

uint16_t FloatToHalf(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint16_t sign = static_cast<uint16_t>((bits >> 16) & 0x8000u);
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return static_cast<uint16_t>(sign | 0x7e00u);
  if (magnitude >= 0x477ff000u) return static_cast<uint16_t>(sign | 0x7c00u);
  if (magnitude < 0x38800000u) {
    // Subnormal halves: adding 2^23 * 2^-24 rounds to a multiple of 2^-24 in the hardware's nearest-even mode.
    const float rounded = std::bit_cast<float>(magnitude) + 0.5f;
    return static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(rounded) - 0x3f000000u));
  }
  const uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1u);
  return static_cast<uint16_t>(sign | ((rounded - 0x38000000u) >> 13));
}

float BFloat16ToFloat(uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }

void ToFloat(const TensorView& view, int64_t begin, std::span<float> out) {
  const std::byte* from = view.data.data() + static_cast<size_t>(begin) * DTypeSize(view.type);
  switch (view.type) {
    case DType::kF32:
      std::memcpy(out.data(), from, out.size_bytes());
      return;
    case DType::kF16:
      for (size_t i = 0; i < out.size(); ++i) out[i] = HalfToFloat(Load<uint16_t>(from + 2 * i));
      return;
    case DType::kBF16:
      for (size_t i = 0; i < out.size(); ++i) out[i] = BFloat16ToFloat(Load<uint16_t>(from + 2 * i));
      return;
    default:
      for (float& value : out) value = std::nanf("");
      return;
  }
}

}  // namespace gwq
