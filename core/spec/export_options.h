// What a caller may ask of an export: the format, and what becomes of that which the format cannot hold.
#pragma once

#include <optional>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/io/gguf.h"
#include "core/spec/enum_names.h"

namespace gwq {

// core/export/formats.cc says who writes each.
enum class ExportFormat { kHalf, kCompressedTensors, kGptq, kGguf };

inline constexpr EnumEntry<ExportFormat> kExportFormatNames[] = {
    {ExportFormat::kHalf, "hf-fp16"},
    {ExportFormat::kCompressedTensors, "compressed-tensors"},
    {ExportFormat::kGptq, "gptq"},
    {ExportFormat::kGguf, "gguf"}};
constexpr const auto& NamesOf(ExportFormat) { return kExportFormatNames; }

// What becomes of a matrix with outliers in a format that has no place for them:
// - wider: the matrix is stored in 8 bits a weight
// - fold: the matrix is stored in FP16, outliers and all
// - drop: the matrix keeps its width, and an outlier becomes the nearest weight that its group's codes can express
enum class OutlierChoice { kWider, kFold, kDrop };

inline constexpr EnumEntry<OutlierChoice> kOutlierChoiceNames[] = {
    {OutlierChoice::kWider, "wider"}, {OutlierChoice::kFold, "fold"}, {OutlierChoice::kDrop, "drop"}};
constexpr const auto& NamesOf(OutlierChoice) { return kOutlierChoiceNames; }

struct ExportOptions {
  ExportFormat format = ExportFormat::kHalf;
  // Without it, an artifact with outliers is refused by a format that cannot hold them.
  std::optional<OutlierChoice> outliers = {};
  // GGUF alone: the type of every quantized matrix. Without it each matrix takes the smallest type that keeps its codes
  // (core/export/gguf_types.h).
  std::optional<GgmlType> gguf_type = {};

  friend bool operator==(const ExportOptions&, const ExportOptions&) = default;
};

// The types that an export to GGUF can write.
inline constexpr GgmlType kGgufExportTypes[] = {GgmlType::kF16,  GgmlType::kQ8_0, GgmlType::kQ4_0,
                                                GgmlType::kQ4_1, GgmlType::kQ2_K, GgmlType::kQ3_K,
                                                GgmlType::kQ4_K, GgmlType::kQ5_K, GgmlType::kQ6_K};

// Options from their names, as they stand in requests, in stored specs and on the command line. `outliers` and
// `gguf_type` may be empty. INVALID_ARGUMENT at "format", "outliers" or "gguf_type" for an unknown name, with the known
// ones, and for one that the format has no use for.
[[nodiscard]] absl::StatusOr<ExportOptions> ParseExportOptions(std::string_view format, std::string_view outliers,
                                                               std::string_view gguf_type);
// The name of each, as ParseExportOptions reads it; empty for what is not set.
[[nodiscard]] std::string_view OutliersText(const ExportOptions& options);
[[nodiscard]] std::string_view GgufTypeText(const ExportOptions& options);

}  // namespace gwq
