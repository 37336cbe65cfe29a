// Kernels of each instruction set called directly: accuracy of the functions, edges the passes do not reach.
#include "core/backend/cpu/kernels/kernels.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "core/backend/cpu/kernels/cpu_features.h"
#include "core/backend/cpu/packed_loaders.h"
#include "core/base/tensor_view.h"
#include "tests/core/backend/reference.h"
#include "tests/core/format/random_content.h"

namespace gwq::testing {
namespace {

const Kernels& KernelsFor(IsaLevel level) {
  if (level == IsaLevel::kAvx512) return Avx512Kernels();
  return level == IsaLevel::kAvx2 ? Avx2Kernels() : ScalarKernels();
}

class KernelTest : public ::testing::TestWithParam<IsaLevel> {
 protected:
  const Kernels& kernels_ = KernelsFor(GetParam());
};

std::string LevelName(const ::testing::TestParamInfo<IsaLevel>& info) { return std::string(IsaLevelName(info.param)); }
INSTANTIATE_TEST_SUITE_P(Isa, KernelTest, ::testing::ValuesIn(SupportedIsaLevels()), LevelName);

struct GateCase {
  GateKernel kernel;
  Gate gate;
  double tolerance;  // of FP32, relative to max(|x|, 1)
};

TEST_P(KernelTest, GatesAreAccurateFromOneEndOfFloatToTheOther) {
  std::vector<float> x;
  for (float value = -120; value <= 120; value += 0.0371F) x.push_back(value);
  for (float value : {-1e30F, -1e-30F, -0.0F, 0.0F, 1e-30F, 1e-7F, -1e-7F, 1e30F}) x.push_back(value);
  while (x.size() % 16 != 0) x.push_back(0);
  const std::vector<float> ones(x.size(), 1.0F);
  std::vector<float> y(x.size());
  for (const GateCase& c :
       {GateCase{GateKernel::kSilu, Gate::kSilu, 5e-7}, GateCase{GateKernel::kGelu, Gate::kGelu, 1e-6},
        GateCase{GateKernel::kGeluTanh, Gate::kGeluTanh, 1e-6},
        GateCase{GateKernel::kQuickGelu, Gate::kQuickGelu, 5e-7}, GateCase{GateKernel::kRelu, Gate::kRelu, 0}}) {
    kernels_.gate(c.kernel, x.data(), ones.data(), static_cast<int64_t>(x.size()), y.data());
    std::vector<float> alone(x.size());
    kernels_.gate(c.kernel, x.data(), nullptr, static_cast<int64_t>(x.size()), alone.data());
    EXPECT_EQ(alone, y) << static_cast<int>(c.kernel);
    for (size_t i = 0; i < x.size(); ++i) {
      const double scale = std::max(1.0, std::abs(static_cast<double>(x[i])));
      ASSERT_NEAR(y[i] / scale, GateSlow(c.gate, x[i]) / scale, c.tolerance)
          << static_cast<int>(c.kernel) << " " << x[i];
    }
  }
}

TEST_P(KernelTest, ANumberThatIsNoneStaysNone) {
  std::vector<float> x(16, std::numeric_limits<float>::quiet_NaN());
  const std::vector<float> ones(16, 1.0F);
  std::vector<float> y(16);
  for (GateKernel kernel :
       {GateKernel::kSilu, GateKernel::kGelu, GateKernel::kGeluTanh, GateKernel::kQuickGelu, GateKernel::kRelu}) {
    kernels_.gate(kernel, x.data(), ones.data(), 16, y.data());
    for (float value : y) EXPECT_TRUE(std::isnan(value)) << static_cast<int>(kernel);
  }
}

// A matrix past 65536 columns has a list of outliers a segment.
TEST_P(KernelTest, OutliersOfVeryWideMatricesKeepTheirColumns) {
  std::mt19937 random(41);
  constexpr int64_t kRows = 17;
  constexpr int64_t kCols = 2 * kSparseSegment + 40;
  const PackedShape shape{kRows, kCols, 4, 64, 6};
  const std::vector<int64_t> columns = {
      3, kSparseSegment - 1, kSparseSegment, kSparseSegment + 7, 2 * kSparseSegment, kCols - 1};
  std::vector<int64_t> positions;
  for (int64_t column : columns) positions.push_back(5 * kCols + column);
  const auto blob = EncodePacked(RandomContentAt(shape, positions, random)).value();
  const PackedView view = PackedView::Open(blob).value();
  WeightMemory memory;
  const auto weight = LoadPackedWeight(view, memory).value();

  std::vector<float> dense(static_cast<size_t>(kRows * kCols));
  view.DequantizeAll(dense);
  std::vector<float> row(static_cast<size_t>(kCols));
  weight->Row(5, row.data());
  for (int64_t col = 0; col < kCols; ++col)
    ASSERT_EQ(row[static_cast<size_t>(col)], dense[static_cast<size_t>(5 * kCols + col)]);

  // One row alone and thirteen with the columns of their chunk: both ways of adding outliers.
  for (int64_t rows : {1, 13}) {
    const int64_t stride = RoundUp(kCols, kRowPad);
    std::vector<float> x(static_cast<size_t>(rows * stride), 0.0F);
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t col : columns) x[static_cast<size_t>(r * stride + col)] = static_cast<float>(r + 1);
    }
    const MatrixTiles& tiles = *weight->matrix();
    std::vector<float> sums(static_cast<size_t>(rows * tiles.blocks));
    for (int64_t r = 0; r < rows; ++r)
      kernels_.block_sums(tiles, &x[static_cast<size_t>(r * stride)], &sums[static_cast<size_t>(r * tiles.blocks)]);
    std::vector<float> chunk(static_cast<size_t>(kCols * kChunkPad));
    kernels_.transpose_chunk(x.data(), stride, rows, kCols, chunk.data());
    std::vector<float> out(static_cast<size_t>(rows * 32));
    MatMulArgs args;
    args.weight = &tiles;
    args.x = x.data();
    args.x_stride = stride;
    args.sums = sums.data();
    args.rows = rows;
    args.columns = rows > 1 ? chunk.data() : nullptr;
    args.out = out.data();
    args.out_stride = 32;
    args.tile_end = tiles.tiles;
    kernels_.matmul(args);
    for (int64_t r = 0; r < rows; ++r) {
      double expected = 0;
      for (int64_t col : columns) expected += static_cast<double>(r + 1) * dense[static_cast<size_t>(5 * kCols + col)];
      EXPECT_NEAR(out[static_cast<size_t>(r * 32 + 5)], expected, 1e-4) << rows << " rows";
    }
  }
}

TEST_P(KernelTest, PaddingOfANormIsZero) {
  std::vector<float> x(64, 0.0F);
  std::vector<float> weight(64, 0.0F);
  for (size_t i = 0; i < 40; ++i) x[i] = weight[i] = 2.0F;
  std::vector<float> out(64, 7.0F);
  kernels_.rms_norm(x.data(), weight.data(), 40, 0.0F, out.data());
  for (size_t i = 0; i < 64; ++i) EXPECT_EQ(out[i], i < 40 ? 2.0F : 0.0F) << i;
  // Half of the row one above its mean, half one below.
  for (size_t i = 0; i < 40; ++i) x[i] = i % 2 == 0 ? 1001.0F : 999.0F;
  const std::vector<float> bias(weight.begin(), weight.end());
  out.assign(64, 7.0F);
  kernels_.layer_norm(x.data(), weight.data(), bias.data(), 40, 0.0F, out.data());
  for (size_t i = 0; i < 64; ++i) EXPECT_EQ(out[i], i >= 40 ? 0.0F : i % 2 == 0 ? 4.0F : 0.0F) << i;
}

}  // namespace
}  // namespace gwq::testing
