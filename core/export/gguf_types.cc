#include "core/export/gguf_types.h"

#include "core/format/format.h"

namespace gwq {
namespace {

constexpr int64_t kSmallBlock = 32;

GgmlType TypeForCodes(const PackedShape& packed) {
  const bool whole_blocks = packed.group_size % kSmallBlock == 0 || packed.group_size >= packed.cols;
  if (packed.format->tag != kAffine1.tag || !whole_blocks || packed.bits > 5) return GgmlType::kQ8_0;
  if (packed.bits == 5) return GgmlType::kQ5_1;
  return packed.bits == 4 ? GgmlType::kQ4_1 : GgmlType::kQ4_0;
}

GgmlType TypeForRows(GgmlType type, int64_t cols) {
  if (cols % GgmlBlockElements(type) == 0) return type;
  switch (type) {
    case GgmlType::kQ2_K:
    case GgmlType::kQ3_K:
      return TypeForRows(GgmlType::kQ4_0, cols);
    case GgmlType::kQ4_K:
      return TypeForRows(GgmlType::kQ4_1, cols);
    case GgmlType::kQ5_K:
      return TypeForRows(GgmlType::kQ5_1, cols);
    case GgmlType::kQ6_K:
      return TypeForRows(GgmlType::kQ8_0, cols);
    default:
      return GgmlType::kF16;
  }
}

}  // namespace

GgmlType GgufTypeOf(const PackedShape& packed, TensorKind kind, const ExportOptions& options) {
  const bool chosen = options.gguf_type && kind == TensorKind::kLinear;
  GgmlType type = chosen ? *options.gguf_type : TypeForCodes(packed);
  if (packed.outliers > 0 && type != GgmlType::kF16) {
    if (options.outliers == OutlierChoice::kFold) type = GgmlType::kF16;
    if (options.outliers == OutlierChoice::kWider) type = packed.bits < 8 ? GgmlType::kQ8_0 : GgmlType::kF16;
  }
  return TypeForRows(type, packed.cols);
}

}  // namespace gwq
