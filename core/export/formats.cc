#include "core/export/formats.h"

namespace gwq {

absl::Status ExportRun::Step(int64_t tensor) {
  progress.Step("export", tensor, static_cast<int64_t>(source.model()->tensors().size()));
  return progress.Check();
}

std::string ExportRun::ReportFile() const {
  return report.Json(EnumText(options.format), OutliersText(options), GgufTypeText(options));
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
