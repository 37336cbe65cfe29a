// Memory of CpuBackend: what weights, caches and passes hold.
#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "core/backend/cpu/arena.h"
#include "core/backend/cpu/cpu_kv_cache.h"
#include "core/backend/cpu/packed_loaders.h"
#include "core/backend/cpu/weight_memory.h"
#include "core/base/status.h"
#include "core/format/format.h"
#include "tests/core/format/random_content.h"

namespace gwq::testing {
namespace {

double BitsInMemory(const PackedShape& shape) {
  std::mt19937 random(51);
  const auto blob = EncodePacked(RandomContent(shape, random)).value();
  WeightMemory memory;
  const auto weight = LoadPackedWeight(PackedView::Open(blob).value(), memory).value();
  return static_cast<double>(weight->bytes()) * 8 / static_cast<double>(shape.rows * shape.cols);
}

// 16 outputs of a group take 48 bytes beside their codes; an outlier takes 4 bytes and a share of its rank's mask.
TEST(CpuMemory, PackedWeightsStayPacked) {
  const int64_t outliers = 576 * 576 / 100;
  EXPECT_NEAR(BitsInMemory({576, 576, 4, 64, 0}), 4 + 24.0 / 64, 0.001);
  EXPECT_NEAR(BitsInMemory({576, 576, 2, 64, 0}), 2 + 24.0 / 64, 0.001);
  EXPECT_NEAR(BitsInMemory({576, 576, 3, 64, 0}), 3 + 24.0 / 64, 0.001);
  EXPECT_NEAR(BitsInMemory({576, 576, 5, 64, 0}), 5 + 24.0 / 64, 0.001);
  EXPECT_NEAR(BitsInMemory({576, 576, 6, 64, 0}), 6 + 24.0 / 64, 0.001);
  EXPECT_NEAR(BitsInMemory({576, 576, 8, 64, 0}), 8 + 24.0 / 64, 0.001);
  EXPECT_NEAR(BitsInMemory({576, 576, 4, 64, outliers}), 4 + 24.0 / 64 + 0.32, 0.05);
  // Groups of no whole units hold codes of 2 and 3 bits in four bits, and of 5 and 6 in a byte.
  EXPECT_NEAR(BitsInMemory({576, 576, 2, 72, 0}), 4 + 24.0 / 72, 0.001);
  EXPECT_NEAR(BitsInMemory({576, 576, 3, 72, 0}), 4 + 24.0 / 72, 0.001);
  EXPECT_NEAR(BitsInMemory({576, 576, 5, 72, 0}), 8 + 24.0 / 72, 0.001);
  EXPECT_NEAR(BitsInMemory({576, 576, 6, 72, 0}), 8 + 24.0 / 72, 0.001);
}

// Scales of 8 bits stay that: 16 outputs of a group take 32 bytes, and each row a scale of 4 bytes.
TEST(CpuMemory, CodedScalesStayCodes) {
  EXPECT_NEAR(BitsInMemory({576, 576, 4, 64, 0, 8, &kAffine2}), 4 + 16.0 / 64 + 32.0 / 576, 0.001);
  EXPECT_NEAR(BitsInMemory({576, 576, 4, 64, 0, 16, &kAffine2}), 4 + 24.0 / 64, 0.001);
}

TEST(CpuMemory, CodesOfSevenBitsTakeAByte) {
  EXPECT_EQ(BitsInMemory({576, 576, 7, 64, 0}), BitsInMemory({576, 576, 8, 64, 0}));
}

TEST(CpuMemory, AWidthThatNoKernelReadsIsRefusedByNumber) {
  WeightMemory memory;
  for (int bits : {0, 1, 9, 16}) {
    const auto weight = CpuWeight::FromGrid({16, 64, bits, 64, false}, [](int64_t, GridRow&) {}, {}, memory);
    ASSERT_EQ(weight.status().code(), absl::StatusCode::kUnimplemented) << bits;
    EXPECT_NE(MessageOf(weight.status()).find(" " + std::to_string(bits) + " bits"), std::string_view::npos);
  }
}

TEST(CpuMemory, SpansAreAlignedZeroedAndApart) {
  WeightMemory memory;
  std::vector<WeightSpan> spans;
  for (size_t bytes :
       {size_t{1}, size_t{63}, size_t{64}, size_t{1000}, size_t{17} << 20, size_t{20} << 20, size_t{5}}) {
    spans.push_back(memory.Allocate(bytes));
    auto* data = spans.back().as<unsigned char>();
    ASSERT_NE(data, nullptr);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(data) % 64, 0u);
    EXPECT_EQ(spans.back().bytes(), bytes);
    EXPECT_EQ(data[0], 0);
    EXPECT_EQ(data[bytes - 1], 0);
    std::memset(data, 0xff, bytes);
  }
}

TEST(CpuMemory, ASpanOutlivesItsMemory) {
  WeightSpan span;
  {
    WeightMemory memory;
    span = memory.Allocate(100);
  }
  span.as<char>()[99] = 'x';
  EXPECT_EQ(span.as<char>()[99], 'x');
}

TEST(CpuMemory, TheCacheTellsAllItMayTake) {
  const auto cache = CpuKvCache::Create({3, 2, 64, 16, 100}).value();
  EXPECT_GE(cache->bytes(), 3u * 2 * 64 * 16 * 100 * 2 * sizeof(float));
  EXPECT_LE(cache->bytes(), 3u * 2 * 64 * 16 * 100 * 2 * sizeof(float) + 4096);
}

TEST(CpuMemory, ABufferThatCameBackServesAgain) {
  Arena arena;
  AlignedBuffer<float> buffer = arena.Take(1000);
  float* const data = buffer.data();
  arena.Return(std::move(buffer));
  EXPECT_EQ(arena.idle_bytes(), 4000u);
  buffer = arena.Take(900);
  EXPECT_EQ(buffer.data(), data);
  EXPECT_EQ(arena.idle_bytes(), 0u);
  EXPECT_NE(arena.Take(10).data(), data);
}

TEST(CpuMemory, LargeBuffersGoAtTheEndOfAPass) {
  Arena arena;
  AlignedBuffer<float> large = arena.Take(size_t{16} << 20);
  AlignedBuffer<float> small = arena.Take(100);
  arena.Return(std::move(large));
  arena.Return(std::move(small));
  arena.Trim();
  EXPECT_EQ(arena.idle_bytes(), 400u);
}

}  // namespace
}  // namespace gwq::testing
