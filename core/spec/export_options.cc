#include "core/spec/export_options.h"

#include <fmt/format.h>

#include <string>

#include "core/base/status.h"

namespace gwq {
namespace {

template <class E>
absl::StatusOr<E> NamedValue(std::string_view field, std::string_view name) {
  if (const std::optional<E> value = EnumOf<E>(name)) return *value;
  return InvalidField(field, fmt::format("'{}' is not known; use one of {}", name.substr(0, 64), EnumChoices<E>()));
}

absl::StatusOr<GgmlType> NamedType(std::string_view name) {
  std::string known;
  for (const GgmlType type : kGgufExportTypes) {
    if (GgmlTypeName(type) == name) return type;
    known += fmt::format("{}{}", known.empty() ? "" : ", ", GgmlTypeName(type));
  }
  return InvalidField("gguf_type", fmt::format("'{}' is not written; use one of {}", name.substr(0, 64), known));
}

}  // namespace

absl::StatusOr<ExportOptions> ParseExportOptions(const ExportNames& names) {
  const auto& [format, outliers, gguf_type, widths] = names;
  ExportOptions out;
  GWQ_ASSIGN_OR_RETURN(out.format, NamedValue<ExportFormat>("format", format));
  if (!outliers.empty()) {
    GWQ_ASSIGN_OR_RETURN(out.outliers, NamedValue<OutlierChoice>("outliers", outliers));
    if (out.format == ExportFormat::kHalf) {
      return InvalidField(
          "outliers", fmt::format("'{}' has no use: {} holds outliers as they are; leave it out", outliers, format));
    }
  }
  if (!gguf_type.empty()) {
    GWQ_ASSIGN_OR_RETURN(out.gguf_type, NamedType(gguf_type));
    if (out.format != ExportFormat::kGguf) {
      return InvalidField("gguf_type", fmt::format("'{}' goes with format gguf, not with {}", gguf_type, format));
    }
  }
  if (!widths.empty()) {
    GWQ_ASSIGN_OR_RETURN(out.widths, NamedValue<WidthChoice>("widths", widths));
    if (out.format != ExportFormat::kCompressedTensors && out.format != ExportFormat::kGptq) {
      return InvalidField("widths",
                          fmt::format("'{}' goes with compressed-tensors and gptq, not with {}", widths, format));
    }
  }
  return out;
}

std::string_view OutliersText(const ExportOptions& options) {
  return options.outliers ? EnumText(*options.outliers) : std::string_view();
}

std::string_view GgufTypeText(const ExportOptions& options) {
  return options.gguf_type ? GgmlTypeName(*options.gguf_type) : std::string_view();
}

std::string_view WidthsText(const ExportOptions& options) {
  return options.widths ? EnumText(*options.widths) : std::string_view();
}

}  // namespace gwq
