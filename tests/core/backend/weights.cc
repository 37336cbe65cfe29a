#include "tests/core/backend/weights.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "core/base/tensor_view.h"
#include "core/format/format.h"
#include "tests/core/format/random_content.h"

namespace gwq::testing {
namespace {

// Bytes of `values` as `type`; values become what they are rounded to.
std::vector<std::byte> Store(std::vector<float>& values, DType type) {
  std::vector<std::byte> bytes(values.size() * DTypeSize(type));
  for (size_t i = 0; i < values.size(); ++i) {
    if (type == DType::kF32) {
      std::memcpy(&bytes[i * 4], &values[i], 4);
      continue;
    }
    const uint16_t bits =
        type == DType::kF16 ? FloatToHalf(values[i]) : static_cast<uint16_t>(std::bit_cast<uint32_t>(values[i]) >> 16);
    values[i] = type == DType::kF16 ? HalfToFloat(bits) : BFloat16ToFloat(bits);
    std::memcpy(&bytes[i * 2], &bits, 2);
  }
  return bytes;
}

}  // namespace

const std::vector<WeightForm>& AllForms() {
  static const std::vector<WeightForm> kForms = {
      {"f32", DType::kF32},
      {"f16", DType::kF16},
      {"bf16", DType::kBF16},
      {"packed2", DType::kU8, 2, 64, 0.01},
      {"packed2_group16_many", DType::kU8, 2, 16, 0.2},
      {"packed2_group40", DType::kU8, 2, 40, 0.01},
      {"packed3", DType::kU8, 3, 64, 0.01},
      {"packed3_group32_many", DType::kU8, 3, 32, 0.2},
      {"packed3_group40", DType::kU8, 3, 40, 0.01},
      {"packed4", DType::kU8, 4, 64, 0.01},
      {"packed4_group8_none", DType::kU8, 4, 8, 0.0},
      {"packed4_group96_all", DType::kU8, 4, 96, 1.0},
      {"packed5", DType::kU8, 5, 64, 0.01},
      {"packed5_group32_many", DType::kU8, 5, 32, 0.2},
      {"packed5_group40", DType::kU8, 5, 40, 0.01},
      {"packed6", DType::kU8, 6, 64, 0.01},
      {"packed6_group40", DType::kU8, 6, 40, 0.0},
      {"packed6_group48", DType::kU8, 6, 48, 0.01},
      {"packed7_group32_many", DType::kU8, 7, 32, 0.2},
      {"packed8", DType::kU8, 8, 64, 0.0},
      {"packed8_group128", DType::kU8, 8, 128, 0.02},
      {"packed4_version2", DType::kU8, 4, 64, 0.0, &kAffine2},
      {"packed2_scales8", DType::kU8, 2, 64, 0.01, &kAffine2, 8},
      {"packed3_scales8_group32_many", DType::kU8, 3, 32, 0.2, &kAffine2, 8},
      {"packed3_scales8_group40", DType::kU8, 3, 40, 0.01, &kAffine2, 8},
      {"packed4_scales8_group8_none", DType::kU8, 4, 8, 0.0, &kAffine2, 8},
      {"packed5_scales8", DType::kU8, 5, 64, 0.01, &kAffine2, 8},
      {"packed6_scales8_group32", DType::kU8, 6, 32, 0.0, &kAffine2, 8},
      {"packed8_scales8_group128", DType::kU8, 8, 128, 0.02, &kAffine2, 8},
  };
  return kForms;
}

TestWeight RandomWeight(Backend& backend, const WeightForm& form, int64_t rows, int64_t cols, std::mt19937& random) {
  if (form.bits == 0) {
    std::vector<float> values = RandomFloats(rows * cols, 0.1, random);
    const std::vector<std::byte> bytes = Store(values, form.type);
    return {backend.LoadDense({form.type, {rows, cols}, bytes}).value(), FromFloats(rows, cols, values)};
  }
  PackedShape shape{rows, cols, form.bits, std::min(form.group_size, (cols + 7) / 8 * 8), 0};
  shape.format = form.format;
  shape.scale_bits = form.scale_bits;
  shape.outliers = static_cast<int64_t>(form.outlier_ratio * static_cast<double>(rows * cols));
  const auto blob = EncodePacked(RandomContent(shape, random)).value();
  const PackedView view = PackedView::Open(blob).value();
  std::vector<float> values(static_cast<size_t>(rows * cols));
  view.DequantizeAll(values);
  return {backend.LoadPacked(view).value(), FromFloats(rows, cols, values)};
}

TestWeight RandomVector(Backend& backend, int64_t size, double mean, std::mt19937& random) {
  std::vector<float> values = RandomFloats(size, 0.1, random);
  for (float& value : values) value += static_cast<float>(mean);
  const std::vector<std::byte> bytes = Store(values, DType::kF32);
  return {backend.LoadDense({DType::kF32, {size}, bytes}).value(), FromFloats(1, size, values)};
}

}  // namespace gwq::testing
