// Learned rounding against an implementation in numpy that was written from its definition
// (tests/golden/make_tuned.py).
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/format/affine_view.h"
#include "core/quant/tuned/learned_matrix.h"
#include "core/quant/tuned/tuned_tensor.h"
#include "tests/support/status_matchers.h"

namespace gwq {
namespace {

using Json = nlohmann::json;
using testing::IsOk;

// The share that must be equal, over all cases: the reference is in double precision, so that a code or an FP16 value
// within rounding of a boundary may fall to its other side.
constexpr double kEqual = 0.995;

std::vector<float> Floats(const Json& words) {
  std::vector<float> out;
  for (const Json& word : words) out.push_back(std::bit_cast<float>(word.get<int32_t>()));
  return out;
}

struct Share {
  int64_t equal = 0, all = 0;
  template <class A, class B>
  void Add(const A& got, const B& want) {
    ASSERT_EQ(got.size(), want.size());
    for (size_t i = 0; i < got.size(); ++i) equal += got[i] == want[i] ? 1 : 0;
    all += static_cast<int64_t>(got.size());
  }
  [[nodiscard]] double value() const { return static_cast<double>(equal) / static_cast<double>(all); }
};

TEST(TunedReference, CodesScalesAndOutliersAreThoseOfNumpy) {
  const char* const root = std::getenv("GWQ_SOURCE_DIR");
  ASSERT_NE(root, nullptr);
  std::ifstream file(std::string(root) + "/tests/core/quant/golden/tuned.json");
  const Json golden = Json::parse(file);
  Share codes, scales, values;
  for (const Json& one : golden["cases"]) {
    SCOPED_TRACE(
        fmt::format("{} x {}, {} bits", one["rows"].get<int>(), one["cols"].get<int>(), one["bits"].get<int>()));
    const PackedShape shape{one["rows"], one["cols"], one["bits"], one["group"],
                            static_cast<int64_t>(one["outliers"].size())};
    const std::vector<float> weights = Floats(one["weights"]), squares = Floats(one["squares"]);
    MatrixInput input;
    input.tensor = "some";
    input.weights = {DType::kF32, {shape.rows, shape.cols}, std::as_bytes(std::span(weights))};
    input.shape = shape;
    input.squares = squares;
    ThreadPool pool(2);
    auto learned = LearnedMatrix::Start(input, pool);
    ASSERT_THAT(learned, IsOk());
    for (size_t step = 0; step < one["gradients"].size(); ++step) {
      const Json& rates = one["rates"][step];
      learned->Step(Floats(one["gradients"][step]), {rates[0], rates[1], rates[2]}, pool);
    }
    const QuantizedMatrix made = learned->Finish(pool);
    std::string text;
    for (const uint8_t code : made.content.codes) text += fmt::format("{:x}", code);
    codes.Add(text, one["codes"].get<std::string>());
    scales.Add(made.content.scales, one["scales"].get<std::vector<uint16_t>>());
    EXPECT_EQ(made.content.zeros, one["zeros"].get<std::vector<uint8_t>>());
    EXPECT_EQ(made.content.outlier_positions, one["outliers"].get<std::vector<int64_t>>());
    values.Add(made.content.outlier_values, one["outlier_values"].get<std::vector<uint16_t>>());

    const auto bytes = EncodePacked(made.content);
    ASSERT_THAT(bytes, IsOk());
    const auto packed = PackedView::Open(*bytes);
    ASSERT_THAT(packed, IsOk());
    std::vector<float> stored(weights.size());
    packed->DequantizeAll(stored);
    const AffineView view = *AffineView::Of(*packed);
    TunedTensor tuned(view);
    for (size_t step = 0; step < std::min(size_t{2}, one["gradients"].size()); ++step) {
      std::vector<float> now = stored;
      tuned.Apply(now);
      tuned.Step(Floats(one["gradients"][step]), now, 0.02F, static_cast<int>(step) + 1, pool);
    }
    const QuantizedMatrix again = tuned.Repacked(view);
    EXPECT_EQ(again.content.codes, made.content.codes);
    scales.Add(again.content.scales, one["tuned_scales"].get<std::vector<uint16_t>>());
    values.Add(again.content.outlier_values, one["tuned_values"].get<std::vector<uint16_t>>());
  }
  EXPECT_GE(codes.value(), kEqual) << codes.equal << " of " << codes.all;
  EXPECT_GE(scales.value(), kEqual) << scales.equal << " of " << scales.all;
  EXPECT_GE(values.value(), kEqual) << values.equal << " of " << values.all;
}

}  // namespace
}  // namespace gwq
