#include "core/io/safetensors.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "tests/support/status_matchers.h"

namespace gwq {
namespace {

using testing::FailsAt;
using testing::IsOk;

std::string WithLength(std::string_view json) {
  const uint64_t length = json.size();
  std::string out(8, '\0');
  std::memcpy(out.data(), &length, 8);
  return out.append(json);
}

absl::StatusOr<SafetensorsHeader> Parse(const std::string& header, uint64_t data_size) {
  return ParseSafetensorsHeader(std::as_bytes(std::span(header)), header.size() + data_size);
}

TEST(Safetensors, ReadsTensorsInOrderOfTheirOffsets) {
  const auto header = Parse(WithLength(R"({"__metadata__":{"format":"pt"},
      "b":{"dtype":"F16","shape":[2,3],"data_offsets":[4,16]},
      "a":{"dtype":"F32","shape":[],"data_offsets":[0,4]},
      "e":{"dtype":"F32","shape":[0,7],"data_offsets":[4,4]}}   )"),
                            16);
  ASSERT_THAT(header, IsOk());
  ASSERT_EQ(header->tensors.size(), 3u);
  EXPECT_EQ(header->tensors[0].name, "a");
  EXPECT_EQ(header->tensors[1].name, "e");
  EXPECT_EQ(header->tensors[2].name, "b");
  EXPECT_EQ(header->tensors[2].shape, (Shape{2, 3}));
  EXPECT_EQ(header->tensors[2].dtype, DType::kF16);
  EXPECT_EQ(header->tensors[2].size, 12u);
  EXPECT_EQ(header->metadata.at("format"), "pt");
}

TEST(Safetensors, WritesWhatItReads) {
  const std::vector<SafetensorsTensor> tensors = {{"x", DType::kBF16, {3, 5}, 0, 30},
                                                  {"y \"quoted\" é", DType::kU8, {7}, 30, 7}};
  const std::string text = WriteSafetensorsHeader(tensors, {{"format", "pt"}});
  EXPECT_EQ(text.size() % 64, 0u);
  const auto header = Parse(text, 37);
  ASSERT_THAT(header, IsOk());
  EXPECT_EQ(header->header_size, text.size());
  EXPECT_EQ(WriteSafetensorsHeader(header->tensors, header->metadata), text);
}

TEST(Safetensors, BoundsTheHeader) {
  std::string huge(8, '\xff');
  EXPECT_THAT(SafetensorsHeaderSize(std::as_bytes(std::span(huge)), uint64_t{1} << 40), FailsAt("header_size"));
  const std::string over = WithLength("{}") + "xx";
  EXPECT_THAT(SafetensorsHeaderSize(std::as_bytes(std::span(over)), 9), FailsAt("header_size"));
  EXPECT_THAT(SafetensorsHeaderSize({}, 0), FailsAt("header_size"));
  EXPECT_THAT(ParseSafetensorsHeader(std::as_bytes(std::span(over)), over.size()), FailsAt("header_size"));
}

struct Malformed {
  const char* what;
  const char* json;
  uint64_t data_size;
  const char* field;
};

class MalformedSafetensors : public ::testing::TestWithParam<Malformed> {};

TEST_P(MalformedSafetensors, IsRefusedAtTheField) {
  EXPECT_THAT(Parse(WithLength(GetParam().json), GetParam().data_size), FailsAt(GetParam().field));
}

INSTANTIATE_TEST_SUITE_P(
    All, MalformedSafetensors,
    ::testing::Values(
        Malformed{"CutJson", R"({"a":{"dtype")", 4, "header"}, Malformed{"Empty", "", 0, "header"},
        Malformed{"NoObject", "[]", 0, "header"},
        Malformed{"TwiceThere", R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{}})", 1, "header"},
        Malformed{"TooDeep", R"({"a":{"shape":[[[[1]]]]}})", 1, "header"},
        Malformed{"NoTensorObject", R"({"a":1})", 1, "tensors[a]"},
        Malformed{"EmptyName", R"({"":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1, "tensors[]"},
        Malformed{"UnknownKey", R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":1}})", 1, "tensors[a]"},
        Malformed{"NoDtype", R"({"a":{"shape":[1],"data_offsets":[0,1]}})", 1, "tensors[a].dtype"},
        Malformed{"DtypeNoText", R"({"a":{"dtype":7,"shape":[1],"data_offsets":[0,1]}})", 1, "tensors[a].dtype"},
        Malformed{"UnknownDtype", R"({"a":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}})", 1,
                  "tensors[a].dtype"},
        Malformed{"NoShape", R"({"a":{"dtype":"U8","data_offsets":[0,1]}})", 1, "tensors[a].shape"},
        Malformed{"NegativeDimension", R"({"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}})", 1,
                  "tensors[a].shape"},
        Malformed{"FractionalDimension", R"({"a":{"dtype":"U8","shape":[1.0],"data_offsets":[0,1]}})", 1,
                  "tensors[a].shape"},
        Malformed{"DimensionPast64Bits", R"({"a":{"dtype":"U8","shape":[99999999999999999999],"data_offsets":[0,1]}})",
                  1, "tensors[a].shape"},
        Malformed{"ProductOverflows",
                  R"({"a":{"dtype":"F32","shape":[281474976710656,281474976710656],"data_offsets":[0,4]}})", 4,
                  "tensors[a].shape"},
        Malformed{"TooManyDimensions", R"({"a":{"dtype":"U8","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,1]}})", 1,
                  "tensors[a].shape"},
        Malformed{"NoOffsets", R"({"a":{"dtype":"U8","shape":[1]}})", 1, "tensors[a].data_offsets"},
        Malformed{"OneOffset", R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0]}})", 1, "tensors[a].data_offsets"},
        Malformed{"BackwardOffsets", R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[1,0]}})", 1,
                  "tensors[a].data_offsets"},
        Malformed{"PastTheEnd", R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})", 1,
                  "tensors[a].data_offsets"},
        Malformed{"WrongSize", R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", 4,
                  "tensors[a].data_offsets"},
        Malformed{"Overlap", R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},
                                 "b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})",
                  3, "tensors[b].data_offsets"},
        Malformed{"Gap", R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},
                             "b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}})",
                  3, "tensors[b].data_offsets"},
        Malformed{"BytesLeft", R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 2, "header"},
        Malformed{"MetadataNoObject", R"({"__metadata__":[]})", 0, "__metadata__"},
        Malformed{"MetadataNoText", R"({"__metadata__":{"k":1}})", 0, "__metadata__.k"}),
    [](const auto& info) { return std::string(info.param.what); });

}  // namespace
}  // namespace gwq
