#include "server/infer/models/served_vision.h"

#include "core/base/status.h"
#include "core/prompt/image_rows.h"

namespace gwq {

absl::Status ServedVision::Encode(const PreparedImage& image, const std::function<absl::Status()>& check,
                                  std::span<float> rows) const {
  const auto in_turn = [&](const std::function<absl::Status()>& stage) -> absl::Status {
    GWQ_RETURN_IF_ERROR(check());
    const FifoLock::Guard turn(fifo_lock_);
    return stage();
  };
  return model_->EncodeImage(backend_, image.patches, GridsOf(image), rows, in_turn);
}

}  // namespace gwq
