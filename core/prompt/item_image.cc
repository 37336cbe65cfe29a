#include "core/prompt/item_image.h"

#include <fmt/format.h>

#include <span>
#include <string>

#include "core/base/status.h"
#include "core/prompt/image_rows.h"

namespace gwq {

absl::StatusOr<PreparedImage> ReadItemImage(const StoredDataset& dataset, const DatasetItem& item,
                                            std::string_view path, const ImageProcessor& processor,
                                            const std::function<absl::Status()>& check) {
  GWQ_ASSIGN_OR_RETURN(const std::string bytes, dataset.Image(item, path));
  absl::StatusOr<PreparedImage> prepared = ReadImage(processor, std::as_bytes(std::span(bytes)), {}, check);
  if (prepared.ok()) return prepared;
  const std::string field = fmt::format("line {}.image", item.line);
  if (absl::IsInvalidArgument(prepared.status())) return InvalidField(field, MessageOf(prepared.status()));
  return Annotate(prepared.status(), field);
}

}  // namespace gwq
