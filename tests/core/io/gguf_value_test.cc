// Metadata, types and limits of GGUF files, each small domain to its ends.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <limits>
#include <set>

#include "core/io/gguf.h"
#include "tests/support/gguf_builder.h"
#include "tests/support/status_matchers.h"

namespace gwq {
namespace {

using testing::FailsAt;
using testing::GgufBuilder;
using ::testing::HasSubstr;
using testing::IsOk;

absl::StatusOr<GgufHeader> Parse(const std::string& file) {
  return ParseGgufHeader(std::as_bytes(std::span(file)), file.size());
}

template <class T>
std::string Raw(T value) {
  std::string bytes;
  GgufBuilder::Put(bytes, value);
  return bytes;
}

std::string Array(uint32_t type, uint64_t count, std::string_view elements) {
  return Raw(type) + Raw(count) + std::string(elements);
}

// The values one by one and as an array.
template <class Stored, class Read>
void ExpectRead(uint32_t type, const std::vector<Stored>& values) {
  GgufBuilder builder;
  std::string all;
  for (size_t i = 0; i < values.size(); ++i) {
    builder.Key("k" + std::to_string(i), type, Raw(values[i]));
    all += Raw(values[i]);
  }
  builder.Key("all", 9, Array(type, values.size(), all));
  const auto header = Parse(builder.Build());
  ASSERT_THAT(header, IsOk()) << "type " << type;
  const std::vector<Read> expected(values.begin(), values.end());
  EXPECT_EQ(std::get<std::vector<Read>>(*header->FindArray("all")), expected) << "type " << type;
  for (size_t i = 0; i < values.size(); ++i) {
    EXPECT_EQ(std::get<Read>(header->metadata.at("k" + std::to_string(i))), expected[i]) << "type " << type;
  }
}

template <class T>
std::vector<T> Ends() {
  return {std::numeric_limits<T>::lowest(), T{0}, T{1}, std::numeric_limits<T>::max()};
}

TEST(GgufValues, NumbersOfEveryTypeKeepTheirValue) {
  ExpectRead<uint8_t, int64_t>(0, Ends<uint8_t>());
  ExpectRead<int8_t, int64_t>(1, Ends<int8_t>());
  ExpectRead<uint16_t, int64_t>(2, Ends<uint16_t>());
  ExpectRead<int16_t, int64_t>(3, Ends<int16_t>());
  ExpectRead<uint32_t, int64_t>(4, Ends<uint32_t>());
  ExpectRead<int32_t, int64_t>(5, Ends<int32_t>());
  ExpectRead<int64_t, int64_t>(11, Ends<int64_t>());
  ExpectRead<uint64_t, int64_t>(10, {0, 1, (uint64_t{1} << 63) - 1});
  ExpectRead<float, double>(6, Ends<float>());
  ExpectRead<double, double>(12, Ends<double>());
  ExpectRead<bool, bool>(7, {false, true});
}

// Before anything is allocated: these would be up to 2^64 strings.
TEST(GgufValues, AnAbsurdCountIsRefusedForEveryElementType) {
  for (uint32_t type = 0; type <= 12; ++type) {
    for (const uint64_t count : {~uint64_t{0}, uint64_t{1} << 63, uint64_t{1} << 61, uint64_t{1} << 32}) {
      GgufBuilder builder;
      builder.Key("k", 9, Array(type, count, std::string(64, '\0')));
      EXPECT_THAT(Parse(builder.Build()), FailsAt("metadata[k]")) << type << " " << count;
    }
  }
}

TEST(GgufValues, AnAlignmentIsAPowerOfTwoFrom8To65536) {
  for (int shift = 0; shift <= 17; ++shift) {
    for (const uint32_t value : {(1U << shift) - 1, 1U << shift, (1U << shift) + 1}) {
      GgufBuilder builder;
      const bool good = value >= 8 && value <= 65536 && std::has_single_bit(value);
      if (good) builder.alignment = value;
      builder.U32("general.alignment", value);
      builder.Tensor("w", {1}, GgmlType::kF32, "1234");
      const auto header = Parse(builder.Build());
      if (good) {
        ASSERT_THAT(header, IsOk()) << value;
        EXPECT_EQ(header->header_size % value, 0u);
        continue;
      }
      ASSERT_THAT(header, FailsAt("metadata[general.alignment]")) << value;
      EXPECT_THAT(std::string(MessageOf(header.status())), HasSubstr(std::to_string(value) + ":")) << "names the value";
    }
  }
}

TEST(GgufLimits, CountsAndNamesEndWhereTheTextSays) {
  const auto field_of = [](const auto& bend) {
    GgufBuilder builder;
    bend(builder);
    const auto violations = FieldViolations(Parse(builder.Build()).status());
    return violations.empty() ? "" : violations[0].field;
  };
  EXPECT_EQ(field_of([](GgufBuilder& b) { b.extra_tensor_count = 65536; }), "tensors[0].name")
      << "allowed, and missing";
  EXPECT_EQ(field_of([](GgufBuilder& b) { b.extra_tensor_count = 65537; }), "tensor_count");
  EXPECT_EQ(field_of([](GgufBuilder& b) { b.extra_tensor_count = -1; }), "tensor_count");
  EXPECT_EQ(field_of([](GgufBuilder& b) { b.extra_key_count = 65537; }), "metadata_count");
  EXPECT_EQ(field_of([](GgufBuilder& b) { b.extra_key_count = -1; }), "metadata_count");
  EXPECT_EQ(field_of([](GgufBuilder& b) { b.U32(std::string(1024, 'k'), 1); }), "");
  EXPECT_EQ(field_of([](GgufBuilder& b) { b.U32(std::string(1025, 'k'), 1); }), "metadata[0]");
  const auto named = [&](size_t bytes) {
    return field_of([=](GgufBuilder& b) { b.Tensor(std::string(bytes, 'n'), {1}, GgmlType::kF32, "1234"); });
  };
  EXPECT_EQ(named(1024), "");
  EXPECT_EQ(named(1025), "tensors[0].name");
}

TEST(GgufTypes, SixAreReadAndEveryOtherNumberIsRefusedByNumber) {
  const std::set<uint32_t> read = {0, 1, 2, 3, 8, 30};
  for (uint32_t number = 0; number <= 64; ++number) {
    GgufBuilder builder;
    const auto type = static_cast<GgmlType>(number);
    builder.RawTensor("w", {3, 64}, number, 0);
    builder.Data(std::string(read.contains(number) ? GgmlBytes(type, 3 * 64) : 768, 'd'));
    const auto header = Parse(builder.Build());
    if (read.contains(number)) {
      ASSERT_THAT(header, IsOk()) << number;
      EXPECT_EQ(header->tensors[0].type, type);
      EXPECT_EQ(header->tensors[0].size,
                3 * 64 / static_cast<uint64_t>(GgmlBlockElements(type)) * GgmlBlockBytes(type));
    } else {
      ASSERT_THAT(header, FailsAt("tensors[w].type"));
      EXPECT_THAT(std::string(MessageOf(header.status())), HasSubstr(std::to_string(number)));
    }
  }
}

TEST(GgufTensors, ComeByOffsetInWhateverOrderTheFileDescribesThem) {
  std::vector<int> order = {0, 1, 2, 3};
  do {
    GgufBuilder builder;
    for (const int place : order) builder.RawTensor(std::to_string(place), {8}, 0, static_cast<uint64_t>(place) * 32);
    builder.Data(std::string(128, 'd'));
    const auto header = Parse(builder.Build());
    ASSERT_THAT(header, IsOk());
    for (size_t i = 0; i < 4; ++i) EXPECT_EQ(header->tensors[i].name, std::to_string(i));
  } while (std::ranges::next_permutation(order).found);
}

TEST(GgufTensors, TheLastOnesPaddingMayBeCutAtAnyByte) {
  GgufBuilder builder;
  builder.Tensor("w", {1}, GgmlType::kF32, "1234");
  const std::string file = builder.Build();
  for (size_t size = builder.Header().size() + 4; size <= file.size(); ++size) {
    EXPECT_THAT(Parse(file.substr(0, size)), IsOk()) << size;
  }
}

}  // namespace
}  // namespace gwq
