#include "core/export/formats.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "core/base/status.h"

namespace gwq {

absl::Status ExportRun::Step(int64_t tensor) {
  progress.Step("export", tensor, static_cast<int64_t>(source.model()->tensors().size()));
  return progress.Check();
}

absl::StatusOr<PackedTensor> ExportRun::OpenMatrix(const std::string& name) const {
  absl::StatusOr<PackedTensor> tensor = source.Packed(name);
  if (!tensor.ok()) return PrefixField(tensor.status(), name);
  return tensor;
}

std::string ExportRun::ReportFile() const {
  nlohmann::json texts = {{"format", EnumText(options.format)}};
  if (options.outliers) texts["outliers"] = OutliersText(options);
  if (options.gguf_type) texts["gguf_type"] = GgufTypeText(options);
  if (options.widths) texts["widths"] = WidthsText(options);
  return report.Json(std::move(texts));
}

ExportWriter WriterOf(ExportFormat format) {
  switch (format) {
    case ExportFormat::kHalf:
      return WriteHalfModel;
    case ExportFormat::kCompressedTensors:
      return WriteCompressedTensors;
    case ExportFormat::kGptq:
      return WriteGptq;
    case ExportFormat::kGguf:
      return WriteGguf;
  }
  return nullptr;
}

}  // namespace gwq
