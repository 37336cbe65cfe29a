// What Open and EncodePacked refuse.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <functional>

#include "core/base/status.h"
#include "core/format/format.h"
#include "tests/core/format/random_content.h"

namespace gwq {
namespace {

using ::testing::HasSubstr;

// 5 x 60, so that code rows (23 bytes of 3 bits) end in padding bits and the last tile is short.
constexpr PackedShape kShape{5, 60, 3, 32, 7};

PackedContent Content() {
  std::mt19937 random(4);
  return testing::RandomContentAt(kShape, {0, 1, 59, 60, 254, 255, 299}, random);
}

using Bytes = std::vector<std::byte>;
struct Damage {
  std::string name;
  std::function<void(Bytes&)> apply;
  std::string says;
};

void Set(Bytes& bytes, uint64_t at, unsigned value) { bytes[at] = static_cast<std::byte>(value); }

TEST(PackedDamage, EveryKindOfDamageIsNamed) {
  const PackedLayout layout = LayoutOf(kShape);
  const std::vector<Damage> damages = {
      {"empty", [](Bytes& b) { b.clear(); }, "header alone"},
      {"short header", [](Bytes& b) { b.resize(63); }, "header alone"},
      {"magic", [](Bytes& b) { Set(b, 0, 'X'); }, "GWQPACK1"},
      {"version", [](Bytes& b) { Set(b, 8, 9); }, "version 9"},
      {"another version's header", [](Bytes& b) { Set(b, 8, 2); }, "scale_bits"},
      {"bits", [](Bytes& b) { Set(b, 12, 1); }, "bits"},
      {"bits out of range", [](Bytes& b) { Set(b, 15, 0xff); }, "out of range"},
      {"rows", [](Bytes& b) { Set(b, 16, 0); }, "rows"},
      {"more rows", [](Bytes& b) { Set(b, 16, 6); }, "header asks for"},
      {"negative rows", [](Bytes& b) { Set(b, 23, 0xff); }, "out of range"},
      {"cols", [](Bytes& b) { Set(b, 24, 0); }, "cols"},
      {"group", [](Bytes& b) { Set(b, 32, 33); }, "group_size"},
      {"outliers", [](Bytes& b) { Set(b, 41, 0x7f); }, "outliers"},
      {"header tail", [](Bytes& b) { Set(b, 50, 1); }, "header's last"},
      {"truncated", [](Bytes& b) { b.resize(b.size() - 64); }, "header asks for"},
      {"trailing bytes", [](Bytes& b) { b.resize(b.size() + 1); }, "header asks for"},
      {"section padding", [&](Bytes& b) { Set(b, layout.scales - 1, 1); }, "padding byte"},
      {"bits after codes", [&](Bytes& b) { b[layout.codes + layout.code_stride - 1] |= std::byte{0x80}; }, "row 0"},
      {"scale", [&](Bytes& b) { Set(b, layout.scales + 1, 0x7c); }, "not finite"},
      {"count too small", [&](Bytes& b) { Set(b, layout.counts + 1, 1); }, "tiles count 6 of 7"},
      {"count too large", [&](Bytes& b) { Set(b, layout.counts + 1, 3); }, "more than 7"},
      {"count beyond the tile", [&](Bytes& b) { Set(b, layout.counts + 1, 46); }, "it has 45 weights"},
      {"index order", [&](Bytes& b) { Set(b, layout.indices + 1, 0); }, "index 0 after 0"},
      {"index outside the tile", [&](Bytes& b) { Set(b, layout.indices + 6, 45); }, "index 45"},
      {"slot", [&](Bytes& b) { b[layout.codes] ^= std::byte{1}; }, "zero point"},
  };
  for (const Damage& damage : damages) {
    Bytes bytes = EncodePacked(Content()).value();
    ASSERT_TRUE(PackedView::Open(bytes).ok());
    damage.apply(bytes);
    const auto view = PackedView::Open(bytes);
    ASSERT_FALSE(view.ok()) << damage.name;
    EXPECT_EQ(view.status().code(), absl::StatusCode::kDataLoss) << damage.name;
    EXPECT_THAT(std::string(MessageOf(view.status())), HasSubstr(damage.says)) << damage.name;
  }
}

// The same matrix in version 2, scales in 8 bits.
TEST(PackedDamage, EveryKindOfDamageToCodedScalesIsNamed) {
  PackedShape shape = kShape;
  shape.scale_bits = 8;
  shape.format = &kAffine2;
  const PackedLayout layout = LayoutOf(shape);
  const std::vector<Damage> damages = {
      {"scale bits", [](Bytes& b) { Set(b, 48, 4); }, "scale_bits"},
      {"scale bits out of range", [](Bytes& b) { Set(b, 49, 1); }, "out of range"},
      {"wider scales", [](Bytes& b) { Set(b, 48, 16); }, "header asks for"},
      {"header tail", [](Bytes& b) { Set(b, 52, 1); }, "header's last 12"},
      {"scale code", [&](Bytes& b) { Set(b, layout.scales + 3, 0); }, "the code of scale 3 is 0"},
      {"row scale of zero", [&](Bytes& b) { b[layout.row_scales + 2] = b[layout.row_scales + 3] = std::byte{0}; },
       "the scale of row 1"},
      {"negative row scale", [&](Bytes& b) { b[layout.row_scales + 1] |= std::byte{0x80}; }, "the scale of row 0"},
      {"infinite row scale", [&](Bytes& b) { Set(b, layout.row_scales + 1, 0x7c); }, "the scale of row 0"},
      {"padding after codes of scales", [&](Bytes& b) { Set(b, layout.row_scales - 1, 1); }, "padding byte"},
      {"padding after row scales", [&](Bytes& b) { Set(b, layout.zeros - 1, 1); }, "padding byte"},
  };
  std::mt19937 random(4);
  const Bytes good = EncodePacked(testing::RandomContent(shape, random)).value();
  ASSERT_TRUE(PackedView::Open(good).ok());
  for (const Damage& damage : damages) {
    Bytes bytes = good;
    damage.apply(bytes);
    const auto view = PackedView::Open(bytes);
    ASSERT_FALSE(view.ok()) << damage.name;
    EXPECT_EQ(view.status().code(), absl::StatusCode::kDataLoss) << damage.name;
    EXPECT_THAT(std::string(MessageOf(view.status())), HasSubstr(damage.says)) << damage.name;
  }
}

struct Mistake {
  std::string field;
  std::function<void(PackedContent&)> apply;
};

TEST(PackedDamage, ContentThatCannotBeEncodedIsRefusedByField) {
  const std::vector<Mistake> mistakes = {
      {"bits", [](PackedContent& c) { c.shape.bits = 9; }},
      {"codes", [](PackedContent& c) { c.codes.pop_back(); }},
      {"codes[7]", [](PackedContent& c) { c.codes[7] = 8; }},
      {"scales", [](PackedContent& c) { c.scales.push_back(0); }},
      {"scales[3]", [](PackedContent& c) { c.scales[3] = 0x7c00; }},
      {"zeros", [](PackedContent& c) { c.zeros.clear(); }},
      {"zeros[2]", [](PackedContent& c) { c.zeros[2] = 8; }},
      {"scale_codes", [](PackedContent& c) { c.scale_codes.push_back(1); }},
      {"row_scales", [](PackedContent& c) { c.row_scales.push_back(1); }},
      {"outlier_positions", [](PackedContent& c) { c.outlier_positions.pop_back(); }},
      {"outlier_values", [](PackedContent& c) { c.outlier_values.pop_back(); }},
      {"outlier_positions[2]", [](PackedContent& c) { c.outlier_positions[2] = 1; }},
      {"outlier_positions[0]", [](PackedContent& c) { c.outlier_positions[0] = -1; }},
      {"outlier_positions[6]", [](PackedContent& c) { c.outlier_positions[6] = 300; }},
      {"outlier_positions[0]", [](PackedContent& c) { c.codes[0] = static_cast<uint8_t>(c.codes[0] ^ 1); }},
  };
  for (const Mistake& mistake : mistakes) {
    PackedContent content = Content();
    mistake.apply(content);
    const auto blob = EncodePacked(content);
    ASSERT_EQ(blob.status().code(), absl::StatusCode::kInvalidArgument) << mistake.field;
    EXPECT_EQ(FieldViolations(blob.status()).at(0).field, mistake.field);
  }
}

TEST(PackedDamage, CodedScalesThatCannotBeEncodedAreRefusedByField) {
  const std::vector<Mistake> mistakes = {
      {"scales", [](PackedContent& c) { c.scales.push_back(1); }},
      {"scale_codes", [](PackedContent& c) { c.scale_codes.pop_back(); }},
      {"scale_codes[3]", [](PackedContent& c) { c.scale_codes[3] = 0; }},
      {"row_scales", [](PackedContent& c) { c.row_scales.pop_back(); }},
      {"row_scales[1]", [](PackedContent& c) { c.row_scales[1] = 0; }},
      {"row_scales[2]", [](PackedContent& c) { c.row_scales[2] = 0x8001; }},
      {"row_scales[4]", [](PackedContent& c) { c.row_scales[4] = 0x7c00; }},
  };
  PackedShape shape = kShape;
  shape.scale_bits = 8;
  shape.format = &kAffine2;
  std::mt19937 random(4);
  const PackedContent good = testing::RandomContent(shape, random);
  for (const Mistake& mistake : mistakes) {
    PackedContent content = good;
    mistake.apply(content);
    const auto blob = EncodePacked(content);
    ASSERT_EQ(blob.status().code(), absl::StatusCode::kInvalidArgument) << mistake.field;
    EXPECT_EQ(FieldViolations(blob.status()).at(0).field, mistake.field);
  }
}

}  // namespace
}  // namespace gwq
