// What a caller may ask of an export: the format, and what becomes of that which the format cannot hold.
#pragma once

#include <optional>
#include <string>
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

// How wide the matrices of integers in one file may be:
// - uniform: all have one width and one group size, as most loaders need it. The file takes those that make it smallest
//   without loss: narrower matrices are widened, wider ones are stored in FP16.
// - mixed: each has its own, as the loaders that read settings of single modules can (docs/exports.md names them)
enum class WidthChoice { kUniform, kMixed };

inline constexpr EnumEntry<WidthChoice> kWidthChoiceNames[] = {{WidthChoice::kUniform, "uniform"},
                                                               {WidthChoice::kMixed, "mixed"}};
constexpr const auto& NamesOf(WidthChoice) { return kWidthChoiceNames; }

struct ExportOptions {
  ExportFormat format = ExportFormat::kHalf;
  // Without it, an artifact with outliers is refused by a format that cannot hold them.
  std::optional<OutlierChoice> outliers = {};
  // GGUF alone: the type of every quantized matrix. Without it each matrix takes the smallest type that keeps its codes
  // (core/export/gguf_types.h).
  std::optional<GgmlType> gguf_type = {};
  // compressed-tensors and gptq alone; uniform if it is not set.
  std::optional<WidthChoice> widths = {};

  friend bool operator==(const ExportOptions&, const ExportOptions&) = default;
};

// The types that an export to GGUF can write.
inline constexpr GgmlType kGgufExportTypes[] = {GgmlType::kF16,  GgmlType::kQ8_0, GgmlType::kQ4_0, GgmlType::kQ4_1,
                                                GgmlType::kQ5_1, GgmlType::kQ2_K, GgmlType::kQ3_K, GgmlType::kQ4_K,
                                                GgmlType::kQ5_K, GgmlType::kQ6_K};

// The names of options, as they stand in requests, in stored specs and on the command line; empty for what is not set.
struct ExportNames {
  std::string format;
  std::string outliers = {};
  std::string gguf_type = {};
  std::string widths = {};
};

// INVALID_ARGUMENT at the name's field for an unknown one, with the known ones, and for one that the format has no use
// for. The format must be set.
[[nodiscard]] absl::StatusOr<ExportOptions> ParseExportOptions(const ExportNames& names);
// The name of each, as ParseExportOptions reads it; empty for what is not set.
[[nodiscard]] std::string_view OutliersText(const ExportOptions& options);
[[nodiscard]] std::string_view GgufTypeText(const ExportOptions& options);
[[nodiscard]] std::string_view WidthsText(const ExportOptions& options);

}  // namespace gwq
