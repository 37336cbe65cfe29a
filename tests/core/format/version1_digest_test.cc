// The bytes of version 1 do not change: digests of contents of every width, taken before there was another version.
#include <gtest/gtest.h>

#include <map>
#include <tuple>

#include "core/base/sha256.h"
#include "core/base/tensor_view.h"
#include "core/format/packed_matrix.h"

namespace gwq {
namespace {

// Numbers that no library chooses.
class Congruential {
 public:
  uint32_t Below(uint32_t limit) {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<uint32_t>(state_ >> 33) % limit;
  }

 private:
  uint64_t state_ = 1;
};

PackedContent ContentOf(const PackedShape& shape) {
  Congruential random;
  PackedContent content;
  content.shape = shape;
  const auto codes = uint32_t{1} << shape.bits;
  for (int64_t i = 0; i < shape.rows * shape.cols; ++i) {
    content.codes.push_back(static_cast<uint8_t>(random.Below(codes)));
  }
  for (int64_t i = 0; i < shape.rows * shape.groups_per_row(); ++i) {
    content.scales.push_back(FloatToHalf(static_cast<float>(1 + random.Below(1000)) / 4096.0F));
    content.zeros.push_back(static_cast<uint8_t>(random.Below(codes)));
  }
  const int64_t stride = shape.outliers == 0 ? 1 : shape.rows * shape.cols / shape.outliers;
  for (int64_t i = 0; i < shape.outliers; ++i) {
    const int64_t flat = i * stride + random.Below(static_cast<uint32_t>(stride));
    const int64_t group = flat / shape.cols * shape.groups_per_row() + flat % shape.cols / shape.group_size;
    content.codes[static_cast<size_t>(flat)] = content.zeros[static_cast<size_t>(group)];
    content.outlier_positions.push_back(flat);
    content.outlier_values.push_back(FloatToHalf(static_cast<float>(random.Below(4096)) / 512.0F - 4.0F));
  }
  return content;
}

TEST(Version1, HasTheDigestsThatItAlwaysHad) {
  const std::vector<std::pair<PackedShape, std::string>> known = {
      {{33, 130, 2, 16, 0}, "cf7198dceb8446690b20b5a7435e55021cf721f2a4cea8e01db601552085c363"},
      {{33, 130, 3, 64, 42}, "a2331c56ff2d14e170a7d8f9d8e6a652af2a7f6a183019871831c399d0d95caf"},
      {{33, 130, 4, 64, 42}, "b2549c7a3cf6acbd1767393ed746eae1b313bd5c2c869819ae85926e938df1f5"},
      {{33, 130, 4, 64, 0}, "f57245f2e3908cf5444e0df1fd4a685f3708b2cd3f26b1195bfaadd18b9c14a0"},
      {{33, 130, 8, 136, 4290}, "f618ede21191b0560fee85b0b178d845baf08f43b2a8c05451fb15f87bbe7289"},
  };
  for (const auto& [shape, digest] : known) {
    EXPECT_EQ(Sha256Of(EncodePacked(ContentOf(shape)).value()).Hex(), digest) << shape.bits << " bits";
  }
}

}  // namespace
}  // namespace gwq
