// Blocks of GGUF: against the package gguf, and what rounding to each type keeps and loses.
#include "core/io/gguf_quantize.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

#include "core/io/gguf_k_blocks.h"

namespace gwq {
namespace {

constexpr GgmlType kTypes[] = {GgmlType::kF16,  GgmlType::kQ8_0, GgmlType::kQ4_0, GgmlType::kQ4_1, GgmlType::kQ5_1,
                               GgmlType::kQ2_K, GgmlType::kQ3_K, GgmlType::kQ4_K, GgmlType::kQ5_K, GgmlType::kQ6_K};

nlohmann::json ReadGolden() {
  const char* const root = std::getenv("GWQ_SOURCE_DIR");
  std::ifstream file(std::string(root == nullptr ? "." : root) + "/tests/core/io/golden/gguf_blocks.json");
  return nlohmann::json::parse(file);
}

GgmlType TypeNamed(const std::string& name) {
  for (const GgmlType type : kTypes) {
    if (GgmlTypeName(type) == name) return type;
  }
  return GgmlType::kF32;
}

std::vector<std::byte> FromHex(const std::string& hex) {
  std::vector<std::byte> out;
  for (size_t i = 0; i < hex.size(); i += 2) {
    out.push_back(static_cast<std::byte>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  }
  return out;
}

std::vector<float> RandomWeights(size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0F, 0.05F);
  std::vector<float> out(count);
  for (float& weight : out) weight = normal(random);
  return out;
}

std::vector<float> WrittenAs(GgmlType type, std::span<const float> weights, std::span<const GgmlGrid> grids = {}) {
  std::vector<std::byte> bytes(GgmlBytes(type, std::ssize(weights)));
  QuantizeGgml(type, weights, grids, bytes);
  std::vector<float> out(weights.size());
  DequantizeGgml(type, bytes, out);
  return out;
}

double RelativeError(std::span<const float> weights, std::span<const float> written) {
  double error = 0;
  double power = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    error += std::pow(written[i] - weights[i], 2);
    power += std::pow(weights[i], 2);
  }
  return error / power;
}

// Weights on grids of `bits`, one for each 32.
struct OnGrid {
  std::vector<float> weights;
  std::vector<GgmlGrid> grids;
};
OnGrid RandomOnGrid(int bits, size_t blocks) {
  std::mt19937 random(3);
  std::uniform_int_distribution<int> code(0, (1 << bits) - 1);
  std::uniform_real_distribution<float> scale(0.001F, 0.02F);
  OnGrid out;
  for (size_t b = 0; b < blocks; ++b) {
    const GgmlGrid grid{HalfToFloat(FloatToHalf(scale(random))), static_cast<float>(code(random))};
    out.grids.push_back(grid);
    for (int i = 0; i < 32; ++i) out.weights.push_back((static_cast<float>(code(random)) - grid.zero) * grid.scale);
  }
  return out;
}

TEST(GgufBlocks, AreReadAsThePackageGgufReadsThem) {
  const nlohmann::json golden = ReadGolden();
  ASSERT_EQ(golden.size(), 6u);
  for (const nlohmann::json& entry : golden) {
    const GgmlType type = TypeNamed(entry["type"]);
    const std::vector<std::byte> bytes = FromHex(entry["blocks"]);
    std::vector<float> weights(entry["weights"].size());
    DequantizeGgml(type, bytes, weights);
    for (size_t i = 0; i < weights.size(); ++i) {
      ASSERT_EQ(weights[i], std::bit_cast<float>(entry["weights"][i].get<uint32_t>())) << entry["type"] << " " << i;
    }
  }
}

TEST(GgufBlocks, AKBlockTakenApartIsPackedToTheSameBytes) {
  for (const nlohmann::json& entry : ReadGolden()) {
    const GgmlType type = TypeNamed(entry["type"]);
    if (!IsKType(type)) continue;
    const std::vector<std::byte> bytes = FromHex(entry["blocks"]);
    std::vector<std::byte> packed(GgmlBlockBytes(type));
    PackKBlock(type, UnpackKBlock(type, bytes.data()), packed.data());
    EXPECT_TRUE(std::equal(packed.begin(), packed.end(), bytes.begin())) << entry["type"];
  }
}

// Bounds are twice what the format's number of codes gives for normal weights, found by running.
TEST(GgufQuantize, NormalWeightsLoseWhatTheWidthTakes) {
  const std::map<GgmlType, double> bounds = {
      {GgmlType::kF16, 1e-7},  {GgmlType::kQ8_0, 5e-5}, {GgmlType::kQ4_0, 1.3e-2}, {GgmlType::kQ4_1, 1e-2},
      {GgmlType::kQ5_1, 3e-3}, {GgmlType::kQ2_K, 0.15}, {GgmlType::kQ3_K, 0.04},   {GgmlType::kQ4_K, 1e-2},
      {GgmlType::kQ5_K, 3e-3}, {GgmlType::kQ6_K, 1e-3}};
  const std::vector<float> weights = RandomWeights(256 * 40, 7);
  for (const GgmlType type : kTypes) {
    const double error = RelativeError(weights, WrittenAs(type, weights));
    EXPECT_LT(error, bounds.at(type)) << GgmlTypeName(type);
    EXPECT_GT(error, bounds.at(type) / 20) << GgmlTypeName(type) << ": the bound is too wide to see an error";
  }
}

TEST(GgufQuantize, WeightsOnAKnownGridStayWhatTheyAreWhereTheirCodesFit) {
  const OnGrid three = RandomOnGrid(3, 64);
  EXPECT_EQ(WrittenAs(GgmlType::kQ4_0, three.weights, three.grids), three.weights);
  EXPECT_EQ(WrittenAs(GgmlType::kQ8_0, three.weights, three.grids), three.weights);
  const OnGrid four = RandomOnGrid(4, 64);
  EXPECT_EQ(WrittenAs(GgmlType::kQ8_0, four.weights, four.grids), four.weights);
  EXPECT_LT(RelativeError(four.weights, WrittenAs(GgmlType::kQ4_1, four.weights, four.grids)), 1e-6);
  const OnGrid five = RandomOnGrid(5, 64);
  EXPECT_LT(RelativeError(five.weights, WrittenAs(GgmlType::kQ5_1, five.weights, five.grids)), 1e-6);
  EXPECT_GT(RelativeError(five.weights, WrittenAs(GgmlType::kQ4_1, five.weights, five.grids)), 1e-4);
  EXPECT_GT(RelativeError(four.weights, WrittenAs(GgmlType::kQ4_0, four.weights, four.grids)), 1e-4)
      << "codes from -15 to 15 do not fit";
}

TEST(GgufQuantize, AWeightOffTheGridLeavesTheOthersOnItInEightBits) {
  OnGrid four = RandomOnGrid(4, 1);
  four.weights[5] = four.grids[0].scale * 40.3F;
  const std::vector<float> written = WrittenAs(GgmlType::kQ8_0, four.weights, four.grids);
  for (size_t i = 0; i < 32; ++i) {
    if (i == 5) continue;
    EXPECT_EQ(written[i], four.weights[i]) << i;
  }
  EXPECT_NEAR(written[5], four.weights[5], four.grids[0].scale / 2);
}

TEST(GgufQuantize, EqualAndZeroWeightsAndThoseBeyondFp16StayFinite) {
  for (const GgmlType type : kTypes) {
    for (const float value : {0.0F, 0.25F, -0.25F, 1e6F, -1e6F, 1e-30F}) {
      const std::vector<float> weights(256, value);
      for (const float written : WrittenAs(type, weights)) {
        ASSERT_TRUE(std::isfinite(written)) << GgmlTypeName(type) << " " << value;
        if (std::abs(value) > 1) continue;
        ASSERT_NEAR(written, value, 0.01) << GgmlTypeName(type);
      }
    }
  }
}

}  // namespace
}  // namespace gwq
