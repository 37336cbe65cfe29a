#include "core/base/status.h"
#include "core/export/formats.h"
namespace gwq {
absl::StatusOr<Digest> WriteGguf(ExportRun&) { return InvalidField("format", "gguf: not yet"); }
}  // namespace gwq
