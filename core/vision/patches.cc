#include "core/vision/patches.h"

#include <cstring>

namespace gwq {

ByteValues::ByteValues(const Settings& settings) {
  for (int channel = 0; channel < 3; ++channel) {
    const auto mean = static_cast<float>(settings.mean[channel]);
    const auto std = static_cast<float>(settings.std[channel]);
    for (int byte = 0; byte < 256; ++byte) {
      const double rescaled = settings.do_rescale ? byte * settings.rescale_factor : byte;
      const auto value = static_cast<float>(rescaled);
      values_[channel][byte] = settings.do_normalize ? (value - mean) / std : value;
    }
  }
}

PixelSettings ReadPixelSettings(const SettingsReader& settings, const PixelSettings& defaults) {
  PixelSettings read = defaults;
  const int64_t resample = settings.IntOr("resample", static_cast<int64_t>(defaults.resample), 0, 5);
  if (resample == 0) settings.Unsupported("resample", "0 (nearest neighbour) is not supported");
  if (resample != 0) read.resample = static_cast<Resample>(resample);
  if (!settings.BoolOr("do_resize", true)) {
    settings.Unsupported("do_resize", "false is not supported: the towers need images of certain sizes");
  }
  ByteValues::Settings& values = read.values;
  values.do_rescale = settings.BoolOr("do_rescale", values.do_rescale);
  values.rescale_factor = settings.NumberOr("rescale_factor", values.rescale_factor, 1e-6, 1e6);
  values.do_normalize = settings.BoolOr("do_normalize", values.do_normalize);
  values.mean = settings.ChannelsOr("image_mean", values.mean, -1e6, 1e6);
  values.std = settings.ChannelsOr("image_std", values.std, 1e-6, 1e6);
  return read;
}

void PatchWriter::PutRow(int y, const uint8_t* row) const {
  const int64_t patch_row = y / shape_.patch;
  if (patch_row >= patches_high_) return;
  const int64_t side = shape_.patch, merge = shape_.merge;
  const int64_t frame = side * side;  // floats of one channel at one time
  for (int64_t column = 0; column < patches_wide_; ++column) {
    const int64_t window = (patch_row / merge) * (patches_wide_ / merge) + column / merge;
    const int64_t index = (window * merge + patch_row % merge) * merge + column % merge;
    float* line = out_ + index * shape_.floats() + (y % side) * side;
    for (int channel = 0; channel < 3; ++channel, line += frame * shape_.temporal) {
      const std::array<float, 256>& values = values_.OfChannel(channel);
      const uint8_t* pixel = row + 3 * side * column + channel;
      for (int64_t x = 0; x < side; ++x) line[x] = values[pixel[3 * x]];
      for (int64_t time = 1; time < shape_.temporal; ++time)
        std::memcpy(line + frame * time, line, side * sizeof(float));
    }
  }
}

}  // namespace gwq
