// Bytes of a resized image to the normalised floats of patches.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "core/vision/resize.h"
#include "core/vision/settings_reader.h"

namespace gwq {

// The value of every byte in every channel, computed as Hugging Face's PIL processors do: rescaled in double precision,
// rounded to float, then (x - mean) / std in float.
class ByteValues {
 public:
  struct Settings {
    bool do_rescale = true;
    double rescale_factor = 1.0 / 255;
    bool do_normalize = true;
    std::array<double, 3> mean = {};
    std::array<double, 3> std = {};
  };
  explicit ByteValues(const Settings& settings);
  [[nodiscard]] const std::array<float, 256>& OfChannel(int channel) const { return values_[channel]; }

 private:
  std::array<std::array<float, 256>, 3> values_;
};

// What every processor has. `defaults` are its class's.
struct PixelSettings {
  Resample resample = Resample::kBicubic;
  ByteValues::Settings values;
};
[[nodiscard]] PixelSettings ReadPixelSettings(const SettingsReader& settings, const PixelSettings& defaults);

inline constexpr std::array<double, 3> kClipMean = {0.48145466, 0.4578275, 0.40821073};
inline constexpr std::array<double, 3> kClipStd = {0.26862954, 0.26130258, 0.27577711};

struct PatchShape {
  int patch = 14;    // pixels per side
  int temporal = 1;  // how often a patch's pixels are repeated, as frames of a film that stands still
  int merge = 1;     // patches a side of a merge window, whose patches stand together
  [[nodiscard]] int64_t floats() const { return int64_t{3} * temporal * patch * patch; }
};

// Takes the rows of one image from the top and writes its patches; pixels beyond the last whole patch are left out.
class PatchWriter {
 public:
  // `out` holds patches_high * patches_wide * shape.floats() floats; it and `values` outlive the writer.
  PatchWriter(const PatchShape& shape, int64_t patches_high, int64_t patches_wide, const ByteValues& values, float* out)
      : shape_(shape), patches_high_(patches_high), patches_wide_(patches_wide), values_(values), out_(out) {}
  // `row` holds 3 * patches_wide * patch bytes.
  void PutRow(int y, const uint8_t* row) const;

 private:
  const PatchShape shape_;
  const int64_t patches_high_;
  const int64_t patches_wide_;
  const ByteValues& values_;
  float* const out_;
};

}  // namespace gwq
