// Headers of weight files as a hostile client would send them: laid out at random, with one number wrong, and with
// every byte changed. What is accepted covers the file's data exactly.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>

#include "core/io/gguf.h"
#include "core/io/safetensors.h"
#include "tests/support/gguf_builder.h"
#include "tests/support/status_matchers.h"

namespace gwq {
namespace {

using testing::FailsAt;
using testing::GgufBuilder;
using testing::HasCode;
using testing::IsOk;

constexpr DType kTypes[] = {DType::kF32, DType::kF16, DType::kBF16, DType::kI64,  DType::kI32,
                            DType::kI16, DType::kI8,  DType::kU8,   DType::kBool, DType::kF64};

// Up to 8 tensors one behind another, some of them empty, under names in another order.
struct Layout {
  explicit Layout(std::mt19937& random) {
    const size_t count = random() % 9;
    for (size_t i = 0; i < count; ++i) {
      SafetensorsTensor tensor{std::string(1, static_cast<char>('z' - i)), kTypes[random() % 10], {}, data_size, 0};
      for (size_t d = random() % 4; d > 0; --d) tensor.shape.push_back(static_cast<int64_t>(random() % 4));
      tensor.size = static_cast<uint64_t>(ElementCount(tensor.shape).value()) * DTypeSize(tensor.dtype);
      data_size += tensor.size;
      tensors.push_back(std::move(tensor));
    }
  }
  std::vector<SafetensorsTensor> tensors;
  uint64_t data_size = 0;
};

absl::StatusOr<SafetensorsHeader> Parse(const std::string& header, uint64_t data_size) {
  return ParseSafetensorsHeader(std::as_bytes(std::span(header)), header.size() + data_size);
}

absl::StatusOr<SafetensorsHeader> ParseJsonOf(std::string_view json, uint64_t data_size) {
  std::string header(8, '\0');
  const uint64_t length = json.size();
  std::memcpy(header.data(), &length, 8);
  return Parse(header.append(json), data_size);
}

template <class Tensor>
void ExpectCover(const std::vector<Tensor>& tensors, uint64_t data_size, uint64_t padding) {
  uint64_t next = 0;
  for (const Tensor& tensor : tensors) {
    ASSERT_GE(tensor.offset, next) << tensor.name;
    ASSERT_LT(tensor.offset - next, padding) << tensor.name;
    next = tensor.offset + tensor.size;
  }
  ASSERT_LE(next, data_size);
  ASSERT_LT(data_size - next, padding);
}

TEST(SafetensorsLayouts, AtRandomAreReadBackByOffset) {
  std::mt19937 random(21);
  for (int i = 0; i < 500; ++i) {
    const Layout layout(random);
    const auto header = Parse(WriteSafetensorsHeader(layout.tensors, {}), layout.data_size);
    ASSERT_THAT(header, IsOk()) << i;
    ASSERT_EQ(header->tensors.size(), layout.tensors.size());
    ExpectCover(header->tensors, layout.data_size, 1);
    for (const SafetensorsTensor& tensor : header->tensors) {
      const auto written = std::ranges::find(layout.tensors, tensor.name, &SafetensorsTensor::name);
      EXPECT_EQ(tensor.dtype, written->dtype);
      EXPECT_EQ(tensor.shape, written->shape);
      EXPECT_EQ(tensor.offset, written->offset);
    }
  }
}

TEST(SafetensorsLayouts, OneWrongNumberIsRefused) {
  std::mt19937 random(22);
  for (int i = 0; i < 500; ++i) {
    Layout layout(random);
    for (size_t k = 0; k < layout.tensors.size(); ++k) {
      if (layout.tensors[k].size == 0) continue;
      std::vector<SafetensorsTensor> moved = layout.tensors;
      moved[k].offset += random() % 2 == 0 ? 1 : -1;
      EXPECT_THAT(Parse(WriteSafetensorsHeader(moved, {}), layout.data_size),
                  HasCode(absl::StatusCode::kInvalidArgument));
      moved = layout.tensors;
      moved[k].size -= 1;
      EXPECT_THAT(Parse(WriteSafetensorsHeader(moved, {}), layout.data_size),
                  FailsAt("tensors[" + moved[k].name + "].data_offsets"));
    }
    EXPECT_THAT(Parse(WriteSafetensorsHeader(layout.tensors, {}), layout.data_size + 1), FailsAt("header"));
  }
}

// Where an empty tensor may stand in ten bytes of data that two others share.
TEST(SafetensorsLayouts, AnEmptyTensorStandsBetweenOthersAndNotInside) {
  for (uint64_t at = 0; at <= 11; ++at) {
    const auto header = Parse(
        WriteSafetensorsHeader(
            {{"a", DType::kU8, {4}, 0, 4}, {"b", DType::kU8, {6}, 4, 6}, {"empty", DType::kF64, {0, 9}, at, 0}}, {}),
        10);
    EXPECT_EQ(header.ok(), at == 0 || at == 4 || at == 10) << at << header.status();
  }
}

TEST(SafetensorsHeaders, ANameIsSpelledOnceHoweverItIsWritten) {
  constexpr char kTwice[] = R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},
                                "\u0061":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})";
  EXPECT_THAT(ParseJsonOf(kTwice, 2), FailsAt("header"));
  for (const size_t bytes : {size_t{1024}, size_t{1025}}) {
    const auto header = Parse(WriteSafetensorsHeader({{std::string(bytes, 'n'), DType::kU8, {1}, 0, 1}}, {}), 1);
    EXPECT_EQ(header.ok(), bytes == 1024);
  }
}

// A header may have 100 MB, and its errors go into a record of the job.
TEST(SafetensorsHeaders, AnErrorDoesNotCarryALongKeyWithIt) {
  const std::string key(100'000, 'k');
  for (const std::string& json :
       {R"({"__metadata__":{")" + key + R"(":1}})", R"({")" + key + R"(":1})", R"({"a":{")" + key + R"(":1}})",
        R"({"a":{"dtype":")" + key + R"("}})", "{\"" + key}) {
    const absl::Status status = ParseJsonOf(json, 0).status();
    EXPECT_THAT(status, HasCode(absl::StatusCode::kInvalidArgument));
    EXPECT_LT(status.message().size(), 4096u);
  }
}

// Every byte of `good` changed in some ways: an error names one field, and what is read covers the data.
template <class Parse>
void ExpectEveryChangeIsSafe(const std::string& good, uint64_t padding, Parse parse) {
  for (size_t i = 0; i < good.size(); ++i) {
    for (const char value : {'\0', '\xFF', '9', '"', '}', ',', static_cast<char>(good[i] ^ 1),
                             static_cast<char>(good[i] ^ 0x20), static_cast<char>(good[i] ^ 0x80)}) {
      std::string bent = good;
      bent[i] = value;
      const auto [header, data_size] = parse(bent);
      if (header.ok()) {
        ExpectCover(header->tensors, data_size - header->header_size, padding);
      } else {
        ASSERT_THAT(header, HasCode(absl::StatusCode::kInvalidArgument)) << i;
        ASSERT_EQ(FieldViolations(header.status()).size(), 1u) << i;
      }
    }
  }
}

TEST(HeaderMutations, OfSafetensorsAreReadOrRefused) {
  const std::string good = WriteSafetensorsHeader({{"a", DType::kF32, {2, 3}, 0, 24},
                                                   {"b", DType::kBF16, {5}, 24, 10},
                                                   {"c", DType::kI8, {0}, 34, 0},
                                                   {"d", DType::kU8, {}, 34, 1}},
                                                  {{"format", "pt"}});
  ExpectEveryChangeIsSafe(
      good, 1, [](const std::string& bent) { return std::pair(Parse(bent, 35), uint64_t{bent.size()} + 35); });
}

TEST(HeaderMutations, OfGgufAreReadOrRefused) {
  GgufBuilder builder;
  builder.Text("general.architecture", "llama");
  builder.U32("general.alignment", 32);
  builder.Texts("t", std::vector<std::string>{"x", "yz"});
  builder.Ints("i", std::vector<int32_t>{1, -2});
  builder.Tensor("w", {2, 32}, GgmlType::kQ4_0, std::string(36, 'q'));
  builder.Tensor("v", {5}, GgmlType::kF32, std::string(20, 'v'));
  ExpectEveryChangeIsSafe(builder.Build(), 65536, [](const std::string& bent) {
    return std::pair(ParseGgufHeader(std::as_bytes(std::span(bent)), bent.size()), uint64_t{bent.size()});
  });
}

}  // namespace
}  // namespace gwq
