#include "server/infer/served_vision.h"

#include "core/base/status.h"
#include "core/models/image_prompt.h"

namespace gwq {

absl::Status ServedVision::Encode(const PreparedImage& image, const std::function<absl::Status()>& check,
                                  std::span<float> rows) const {
  const int64_t hidden = model().config().hidden_size;
  const auto in_turn = [&](const std::function<absl::Status()>& stage) -> absl::Status {
    GWQ_RETURN_IF_ERROR(check());
    const Turnstile::Turn turn(turnstile_);
    return stage();
  };
  std::span<const float> patches = image.patches;
  for (const PatchGrid& tile : GridsOf(image)) {
    const auto in = static_cast<size_t>(tile.high * tile.wide * image.patch_size_floats);
    const auto out = static_cast<size_t>(model().vision()->ImageTokens(tile) * hidden);
    if (patches.size() < in || rows.size() < out) return absl::InternalError("tiles and patches do not fit together");
    GWQ_RETURN_IF_ERROR(model_->EncodeImage(backend_, patches.first(in), {&tile, 1}, rows.first(out), in_turn));
    patches = patches.subspan(in);
    rows = rows.subspan(out);
  }
  if (!rows.empty()) return absl::InternalError("the tower made fewer rows than the prompt has for the image");
  return absl::OkStatus();
}

}  // namespace gwq
