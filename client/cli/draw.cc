#include "client/cli/draw.h"

#include <span>
#include <vector>

#include "client/draw/draw.h"
#include "core/base/status.h"
#include "core/io/file_system.h"
#include "core/vision/image.h"

namespace gwq::cli {

absl::Status DrawResult(const v1::BoxResult& boxes, std::string_view file, const std::string& out) {
  if (file.empty()) return absl::InvalidArgumentError("--draw needs the image's file, not its digest");
  GWQ_ASSIGN_OR_RETURN(Image image, DecodeImage(std::as_bytes(std::span(file))));
  std::vector<LabelledBox> labelled;
  for (const v1::Box& box : boxes.boxes()) {
    labelled.push_back({box.label(), {box.left(), box.top(), box.right(), box.bottom()}});
  }
  DrawBoxes(labelled, image);
  GWQ_ASSIGN_OR_RETURN(const std::string png, EncodePng(image));
  return WriteFileAtomically(LocalFileSystem(), out, std::as_bytes(std::span(png)));
}

}  // namespace gwq::cli
