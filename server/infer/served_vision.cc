#include "server/infer/served_vision.h"

#include "core/models/image_prompt.h"

namespace gwq {

absl::Status ServedVision::Encode(const PreparedImage& image, std::span<float> rows) const {
  const Turnstile::Turn turn(turnstile_);
  return model_->EncodeImage(backend_, image.patches, GridsOf(image), rows);
}

}  // namespace gwq
