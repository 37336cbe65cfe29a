#include "core/io/gguf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "tests/support/gguf_builder.h"
#include "tests/support/status_matchers.h"

namespace gwq {
namespace {

using ::testing::ElementsAre;
using testing::FailsAt;
using testing::GgufBuilder;
using testing::IsOk;

absl::StatusOr<GgufHeader> Parse(const std::string& file) {
  return ParseGgufHeader(std::as_bytes(std::span(file)), file.size());
}

TEST(Gguf, ReadsTypedMetadataAndTensors) {
  GgufBuilder builder;
  builder.Text("general.architecture", "llama");
  builder.U32("u", 4'000'000'000U);
  builder.F32("f", 1.5F);
  builder.Bool("b", true);
  builder.Key("i8", 1, "\xff");
  builder.Key("u64", 10, std::string("\1\0\0\0\0\0\0\0", 8));
  builder.Texts("texts", std::vector<std::string>{"x", "", "yz"});
  builder.Ints("ints", std::vector<int32_t>{1, -2});
  builder.Tensor("w", {3, 32}, GgmlType::kQ8_0, std::string(3 * 34, 'q'));
  builder.Tensor("v", {5}, GgmlType::kF32, std::string(20, 'v'));
  const std::string file = builder.Build();
  const auto header = Parse(file);
  ASSERT_THAT(header, IsOk());
  EXPECT_EQ(*header->FindString("general.architecture"), "llama");
  EXPECT_EQ(*header->FindInt("u"), 4'000'000'000);
  EXPECT_EQ(*header->FindInt("i8"), -1);
  EXPECT_EQ(*header->FindInt("u64"), 1);
  EXPECT_EQ(*header->FindDouble("f"), 1.5);
  EXPECT_TRUE(*header->FindBool("b"));
  EXPECT_THAT(std::get<std::vector<std::string>>(*header->FindArray("texts")), ElementsAre("x", "", "yz"));
  EXPECT_THAT(std::get<std::vector<int64_t>>(*header->FindArray("ints")), ElementsAre(1, -2));
  EXPECT_EQ(header->FindString("u"), nullptr);
  ASSERT_EQ(header->tensors.size(), 2u);
  EXPECT_EQ(header->tensors[0].shape, (Shape{3, 32}));
  EXPECT_EQ(header->tensors[0].size, 102u);
  EXPECT_EQ(header->tensors[1].offset, 128u);
  EXPECT_EQ(header->header_size, builder.Header().size());
}

TEST(Gguf, HonoursTheAlignmentOfTheFile) {
  GgufBuilder builder;
  builder.alignment = 64;
  builder.U32("general.alignment", 64);
  builder.Tensor("w", {1}, GgmlType::kF32, "1234");
  builder.Tensor("x", {1}, GgmlType::kF32, "1234");
  const auto header = Parse(builder.Build());
  ASSERT_THAT(header, IsOk());
  EXPECT_EQ(header->tensors[1].offset, 64u);
}

TEST(Gguf, EveryCutOfAFileIsRefused) {
  GgufBuilder builder;
  builder.Text("general.architecture", "llama");
  builder.Texts("texts", std::vector<std::string>{"x", "yz"});
  builder.Tensor("w", {1, 32}, GgmlType::kQ4_0, std::string(18, 'q'));
  const std::string file = builder.Build();
  ASSERT_THAT(Parse(file), IsOk());
  const size_t end_of_data = builder.Header().size() + 18;  // what follows is padding
  for (size_t size = 0; size < end_of_data; ++size) {
    const auto header = Parse(file.substr(0, size));
    EXPECT_TRUE(absl::IsInvalidArgument(header.status())) << size;
    EXPECT_EQ(FieldViolations(header.status()).size(), 1u) << size;
  }
}

struct Malformed {
  const char* what;
  std::function<void(GgufBuilder&)> make;
  const char* field;
};

class MalformedGguf : public ::testing::TestWithParam<Malformed> {};

TEST_P(MalformedGguf, IsRefusedAtTheField) {
  GgufBuilder builder;
  GetParam().make(builder);
  EXPECT_THAT(Parse(builder.Build()), FailsAt(GetParam().field));
}

std::string Word(uint64_t value) { return {reinterpret_cast<const char*>(&value), 8}; }
std::string Half(uint32_t value) { return {reinterpret_cast<const char*>(&value), 4}; }

INSTANTIATE_TEST_SUITE_P(
    All, MalformedGguf,
    ::testing::Values(
        Malformed{"Magic", [](GgufBuilder& b) { b.magic = 0x46554746; }, "magic"},
        Malformed{"Version1", [](GgufBuilder& b) { b.version = 1; }, "version"},
        Malformed{"BigEndian", [](GgufBuilder& b) { b.version = 0x03000000; }, "version"},
        Malformed{"TensorCount", [](GgufBuilder& b) { b.extra_tensor_count = 1 << 20; }, "tensor_count"},
        Malformed{"KeyCount", [](GgufBuilder& b) { b.extra_key_count = 1 << 20; }, "metadata_count"},
        Malformed{"MissingTensor", [](GgufBuilder& b) { b.extra_tensor_count = 1; }, "tensors[0].name"},
        Malformed{"MissingKey", [](GgufBuilder& b) { b.extra_key_count = 1; }, "metadata[0]"},
        Malformed{"KeyTwice",
                  [](GgufBuilder& b) {
                    b.U32("k", 1);
                    b.U32("k", 1);
                  },
                  "metadata[k]"},
        Malformed{"EmptyKey", [](GgufBuilder& b) { b.U32("", 1); }, "metadata[0]"},
        Malformed{"KeyNoUtf8", [](GgufBuilder& b) { b.U32("\xff", 1); }, "metadata[0]"},
        Malformed{"LongKey", [](GgufBuilder& b) { b.U32(std::string(2000, 'k'), 1); }, "metadata[0]"},
        Malformed{"ValueType", [](GgufBuilder& b) { b.Key("k", 13, ""); }, "metadata[k]"},
        Malformed{"Boolean", [](GgufBuilder& b) { b.Key("k", 7, "\2"); }, "metadata[k]"},
        Malformed{"LongString", [](GgufBuilder& b) { b.Key("k", 8, Word(uint64_t{1} << 63)); }, "metadata[k]"},
        Malformed{"CutString", [](GgufBuilder& b) { b.Key("k", 8, Word(100'000)); }, "metadata[k]"},
        Malformed{"BigInteger", [](GgufBuilder& b) { b.Key("k", 10, Word(uint64_t{1} << 63)); }, "metadata[k]"},
        Malformed{"ArrayOfArrays", [](GgufBuilder& b) { b.Key("k", 9, Half(9) + Word(1)); }, "metadata[k]"},
        Malformed{"ArrayType", [](GgufBuilder& b) { b.Key("k", 9, Half(77) + Word(1)); }, "metadata[k]"},
        Malformed{"LongArray", [](GgufBuilder& b) { b.Key("k", 9, Half(4) + Word(uint64_t{1} << 62)); },
                  "metadata[k]"},
        Malformed{"LongTextArray", [](GgufBuilder& b) { b.Key("k", 9, Half(8) + Word(1 << 20)); }, "metadata[k]"},
        Malformed{"AlignmentNoPower", [](GgufBuilder& b) { b.U32("general.alignment", 48); },
                  "metadata[general.alignment]"},
        Malformed{"AlignmentZero", [](GgufBuilder& b) { b.U32("general.alignment", 0); },
                  "metadata[general.alignment]"},
        Malformed{"AlignmentText", [](GgufBuilder& b) { b.Text("general.alignment", "32"); },
                  "metadata[general.alignment]"},
        Malformed{"EmptyTensorName", [](GgufBuilder& b) { b.Tensor("", {1}, GgmlType::kF32, "1234"); },
                  "tensors[0].name"},
        Malformed{"NoDimension", [](GgufBuilder& b) { b.RawTensor("w", {}, 0, 0); }, "tensors[w].shape"},
        Malformed{"FiveDimensions", [](GgufBuilder& b) { b.RawTensor("w", {1, 1, 1, 1, 1}, 0, 0); },
                  "tensors[w].shape"},
        Malformed{"ZeroDimension", [](GgufBuilder& b) { b.RawTensor("w", {0}, 0, 0); }, "tensors[w].shape"},
        Malformed{"NegativeDimension", [](GgufBuilder& b) { b.RawTensor("w", {-1}, 0, 0); }, "tensors[w].shape"},
        Malformed{"ShapeOverflow",
                  [](GgufBuilder& b) { b.RawTensor("w", {int64_t{1} << 40, int64_t{1} << 40}, 0, 0); },
                  "tensors[w].shape"},
        Malformed{"ShapePastTheFile", [](GgufBuilder& b) { b.RawTensor("w", {1 << 20}, 0, 0); }, "tensors[w].shape"},
        Malformed{"UnevenBlocks",
                  [](GgufBuilder& b) { b.Tensor("w", {33}, GgmlType::kQ8_0, std::string(100, 'q')); },
                  "tensors[w].shape"},
        Malformed{"KnownForeignType", [](GgufBuilder& b) { b.RawTensor("w", {32}, 12, 0); }, "tensors[w].type"},
        Malformed{"UnknownType", [](GgufBuilder& b) { b.RawTensor("w", {32}, 4'000'000'000U, 0); },
                  "tensors[w].type"},
        Malformed{"TensorTwice",
                  [](GgufBuilder& b) {
                    b.Tensor("w", {1}, GgmlType::kF32, "1234");
                    b.Tensor("w", {1}, GgmlType::kF32, "1234");
                  },
                  "tensors[w]"},
        Malformed{"Misaligned",
                  [](GgufBuilder& b) {
                    b.RawTensor("w", {1}, 0, 16);
                    b.Data(std::string(64, 'd'));
                  },
                  "tensors[w].offset"},
        Malformed{"Overlap",
                  [](GgufBuilder& b) {
                    b.Tensor("v", {9}, GgmlType::kF32, std::string(36, 'v'));
                    b.RawTensor("w", {1}, 0, 32);
                  },
                  "tensors[w].offset"},
        Malformed{"Gap",
                  [](GgufBuilder& b) {
                    b.RawTensor("w", {1}, 0, 64);
                    b.Data(std::string(128, 'd'));
                  },
                  "tensors[w].offset"},
        Malformed{"OffsetPastTheEnd",
                  [](GgufBuilder& b) {
                    b.RawTensor("w", {1}, 0, ~uint64_t{31});
                    b.Data(std::string(64, 'd'));
                  },
                  "tensors[w].offset"},
        Malformed{"TensorPastTheEnd", [](GgufBuilder& b) { b.Tensor("w", {8}, GgmlType::kF32, ""); },
                  "tensors[w].offset"},
        Malformed{"BytesLeft",
                  [](GgufBuilder& b) {
                    b.Tensor("w", {1}, GgmlType::kF32, "1234");
                    b.Data(std::string(64, 'd'));
                  },
                  "tensors"}),
    [](const auto& info) { return std::string(info.param.what); });

// Every code of every block type against the formula, computed here from the definition and not from the code.
TEST(GgmlBlocks, WidenEveryCode) {
  const uint16_t scale = FloatToHalf(-0.37F);
  const uint16_t minimum = FloatToHalf(1.625F);
  const float d = HalfToFloat(scale);
  const float m = HalfToFloat(minimum);
  for (int low = 0; low < 16; ++low) {
    const int high = 15 - low;
    std::string codes(16, static_cast<char>(low | high << 4));
    std::string q4_0;
    std::string q4_1;
    GgufBuilder::Put(q4_0, scale);
    GgufBuilder::Put(q4_1, scale);
    GgufBuilder::Put(q4_1, minimum);
    float out[32];
    DequantizeGgml(GgmlType::kQ4_0, std::as_bytes(std::span(q4_0 += codes)), out);
    EXPECT_EQ(out[0], static_cast<float>(low - 8) * d);
    EXPECT_EQ(out[15], static_cast<float>(low - 8) * d);
    EXPECT_EQ(out[16], static_cast<float>(high - 8) * d);
    DequantizeGgml(GgmlType::kQ4_1, std::as_bytes(std::span(q4_1 += codes)), out);
    EXPECT_EQ(out[3], static_cast<float>(low) * d + m);
    EXPECT_EQ(out[31], static_cast<float>(high) * d + m);
    std::string q5_1;
    GgufBuilder::Put(q5_1, scale);
    GgufBuilder::Put(q5_1, minimum);
    GgufBuilder::Put(q5_1, uint32_t{0x80000008});  // of codes 3 and 31
    DequantizeGgml(GgmlType::kQ5_1, std::as_bytes(std::span(q5_1 += codes)), out);
    EXPECT_EQ(out[2], static_cast<float>(low) * d + m);
    EXPECT_EQ(out[3], static_cast<float>(low + 16) * d + m);
    EXPECT_EQ(out[30], static_cast<float>(high) * d + m);
    EXPECT_EQ(out[31], static_cast<float>(high + 16) * d + m);
  }
  for (int base = -128; base < 128; base += 32) {
    std::string q8_0;
    GgufBuilder::Put(q8_0, scale);
    for (int i = 0; i < 32; ++i) q8_0.push_back(static_cast<char>(base + i));
    float out[32];
    DequantizeGgml(GgmlType::kQ8_0, std::as_bytes(std::span(q8_0)), out);
    for (int i = 0; i < 32; ++i) EXPECT_EQ(out[i], static_cast<float>(base + i) * d);
  }
}

TEST(GgmlBlocks, WidenDenseTypes) {
  const float values[2] = {1.5F, -2.0F};
  float out[2];
  DequantizeGgml(GgmlType::kF32, std::as_bytes(std::span(values)), out);
  EXPECT_THAT(out, ElementsAre(1.5F, -2.0F));
  const uint16_t halves[2] = {FloatToHalf(1.5F), FloatToHalf(-2.0F)};
  DequantizeGgml(GgmlType::kF16, std::as_bytes(std::span(halves)), out);
  EXPECT_THAT(out, ElementsAre(1.5F, -2.0F));
  const uint16_t brains[2] = {0x3FC0, 0xC000};
  DequantizeGgml(GgmlType::kBF16, std::as_bytes(std::span(brains)), out);
  EXPECT_THAT(out, ElementsAre(1.5F, -2.0F));
}

}  // namespace
}  // namespace gwq
