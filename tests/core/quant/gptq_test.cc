// GPTQ and SpQR against an implementation in numpy that was written from their definitions (tests/golden/make_gptq.py).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "core/quant/gptq/columns.h"
#include "core/quant/gptq/factor.h"
#include "core/quant/quantizers.h"
#include "core/quant/range_search.h"
#include "tests/core/backend/naive_solver.h"
#include "tests/support/status_matchers.h"

namespace gwq {
namespace {

using Json = nlohmann::json;
using testing::HasCode;
using testing::IsOk;
using testing::NaiveSolver;

// The share of codes that must be equal, over all cases. The reference compensates in double precision: a weight within
// rounding of a boundary may fall to its other side, and the weights behind it in its row then differ as well.
constexpr double kEqualCodes = 0.999;
constexpr double kEqualRanges = 0.999;

struct Matrix {
  int64_t rows = 0, cols = 0;
  std::vector<float> weights;
  std::vector<float> gram;
};

Matrix ReadMatrix(const Json& json) {
  Matrix out{json["rows"], json["cols"], {}, {}};
  for (const Json& word : json["weights"]) out.weights.push_back(std::bit_cast<float>(word.get<int32_t>()));
  const auto inputs = json["inputs"].get<std::vector<float>>();
  const auto cols = static_cast<size_t>(out.cols);
  out.gram.resize(cols * cols);
  for (size_t begin = 0; begin < inputs.size(); begin += cols) {
    for (size_t i = 0; i < cols; ++i) {
      for (size_t j = 0; j < cols; ++j) out.gram[i * cols + j] += inputs[begin + i] * inputs[begin + j];
    }
  }
  return out;
}

std::vector<uint8_t> ReadCodes(const Json& one) {
  const auto text = one["codes"].get<std::string>();
  const size_t digits = one["bits"] == 8 ? 2 : 1;
  std::vector<uint8_t> codes;
  for (size_t i = 0; i < text.size(); i += digits) {
    codes.push_back(static_cast<uint8_t>(std::stoi(text.substr(i, digits), nullptr, 16)));
  }
  return codes;
}

Recipe RecipeOf(const Json& one) {
  Recipe recipe;
  recipe.gptq.damping = recipe.spqr.damping = one["damping"];
  recipe.gptq.range_search = recipe.spqr.range_search = one["range_search"];
  recipe.gptq.act_order = one.value("act_order", false);
  return recipe;
}

// How much of what was compared is equal.
struct Share {
  int64_t equal = 0, all = 0;
  template <class T>
  void Add(const std::vector<T>& got, const std::vector<T>& want) {
    ASSERT_EQ(got.size(), want.size());
    for (size_t i = 0; i < got.size(); ++i) equal += got[i] == want[i] ? 1 : 0;
    all += static_cast<int64_t>(got.size());
  }
  void Add(const Share& other) {
    equal += other.equal;
    all += other.all;
  }
  [[nodiscard]] double value() const { return all == 0 ? 1 : static_cast<double>(equal) / static_cast<double>(all); }
};

class Reference : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* root = std::getenv("GWQ_SOURCE_DIR");
    ASSERT_NE(root, nullptr);
    std::ifstream file(std::string(root) + "/tests/core/quant/golden/gptq.json");
    golden_ = Json::parse(file);
    for (const Json& json : golden_["matrices"]) matrices_[json["name"]] = ReadMatrix(json);
  }

  static std::string NameOf(Json one) {
    for (const char* key : {"codes", "scales", "zeros", "outliers", "outlier_values"}) one.erase(key);
    return one.dump();
  }

  // What the program makes of the case.
  PackedContent Make(Method method, const Json& one) {
    const Matrix& matrix = matrices_.at(one["matrix"]);
    const Quantizer& quantizer = *FindQuantizer(method);
    MatrixRequest request;
    request.shape = {matrix.rows, matrix.cols, one["bits"], one["group"], 0};
    request.outlier_ratio = one.value("outlier_ratio", 0.0);
    MatrixInput input;
    input.tensor = "w";
    input.weights = {DType::kF32, {matrix.rows, matrix.cols}, std::as_bytes(std::span(matrix.weights))};
    input.shape = quantizer.Plan(request);
    input.gram = matrix.gram;
    const auto made = quantizer.Quantize(input, RecipeOf(one), {pool_, &solver_});
    EXPECT_THAT(made, IsOk());
    return made.ok() ? made->content : PackedContent{};
  }

  // Compares every case of the method, and fails where too little is equal.
  void CheckAll(Method method, const std::string& name, size_t least_cases) {
    Share codes, ranges;
    size_t cases = 0;
    for (const Json& one : golden_["cases"]) {
      if (one["method"] != name) continue;
      SCOPED_TRACE(NameOf(one));
      ++cases;
      const PackedContent made = Make(method, one);
      Share own_codes, own_ranges;
      own_codes.Add(made.codes, ReadCodes(one));
      own_ranges.Add(made.scales, one["scales"].get<std::vector<uint16_t>>());
      own_ranges.Add(made.zeros, one["zeros"].get<std::vector<uint8_t>>());
      EXPECT_EQ(made.outlier_positions, one.value("outliers", std::vector<int64_t>()));
      own_ranges.Add(made.outlier_values, one.value("outlier_values", std::vector<uint16_t>()));
      if (own_codes.equal != own_codes.all || own_ranges.equal != own_ranges.all) {
        std::cout << NameOf(one) << ": " << own_codes.all - own_codes.equal << " of " << own_codes.all << " codes and "
                  << own_ranges.all - own_ranges.equal << " of " << own_ranges.all << " others differ\n";
      }
      codes.Add(own_codes);
      ranges.Add(own_ranges);
    }
    EXPECT_GE(cases, least_cases);
    std::cout << name << ": " << codes.equal << " of " << codes.all << " codes and " << ranges.equal << " of "
              << ranges.all << " scales, zero points and outliers equal the reference\n";
    EXPECT_GE(codes.value(), kEqualCodes);
    EXPECT_GE(ranges.value(), kEqualRanges);
  }

  Json golden_;
  std::map<std::string, Matrix> matrices_;
  ThreadPool pool_{2};
  NaiveSolver solver_;
};

TEST_F(Reference, GptqMakesWhatTheReferenceMakes) { CheckAll(Method::kGptq, "gptq", 20); }
TEST_F(Reference, SpqrMakesWhatTheReferenceMakes) { CheckAll(Method::kSpqr, "spqr", 10); }

// The loop over columns as its header states it, of one row, with ranges by minimum and maximum.
std::vector<float> NaiveRow(std::vector<double> row, const PackedShape& shape, const std::vector<float>& factor) {
  std::vector<float> out(row.size());
  GroupRange range;
  for (size_t j = 0; j < row.size(); ++j) {
    if (j % static_cast<size_t>(shape.group_size) == 0) {
      const std::vector<float> group(
          row.begin() + static_cast<std::ptrdiff_t>(j),
          row.begin() + static_cast<std::ptrdiff_t>(std::min(row.size(), j + static_cast<size_t>(shape.group_size))));
      range = RangeOf(group, shape.bits);
    }
    const float top = static_cast<float>((1 << shape.bits) - 1);
    out[j] = (CodeOf(static_cast<float>(row[j]), range, top) - range.zero) * range.scale;
    const double error = (row[j] - out[j]) / factor[j * row.size() + j];
    for (size_t k = j + 1; k < row.size(); ++k) row[k] -= error * factor[j * row.size() + k];
  }
  return out;
}

// Wider than the parts in which the program applies errors, and more rows than it takes at a time.
TEST(CompensateColumns, EqualsTheLoopOverSingleColumnsOnAWideMatrix) {
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  for (const int64_t group : {64, 200}) {
    const PackedShape shape{35, 1190, 4, group, 0};
    const auto cols = static_cast<size_t>(shape.cols);
    std::vector<float> weights(35 * cols), factor(cols * cols);
    for (float& weight : weights) weight = normal(random);
    for (size_t row = 0; row < cols; ++row) {
      factor[row * cols + row] = 1.0F;
      for (size_t col = row + 1; col < cols; ++col) factor[row * cols + col] = 0.02F * normal(random);
    }
    const TensorView view{DType::kF32, {35, 1190}, std::as_bytes(std::span(weights))};
    ThreadPool pool(2);
    const QuantizedMatrix made = CompensateColumns({view, shape, factor, {}, {}, false}, pool);
    Share share;
    for (size_t row = 0; row < 35; ++row) {
      const auto begin = weights.begin() + static_cast<std::ptrdiff_t>(row * cols);
      const std::vector<float> want = NaiveRow({begin, begin + shape.cols}, shape, factor);
      std::vector<float> got(cols);
      for (size_t col = 0; col < cols; ++col) {
        const size_t slot = row * static_cast<size_t>(shape.groups_per_row()) + col / static_cast<size_t>(group);
        got[col] = static_cast<float>(made.content.codes[row * cols + col] - made.content.zeros[slot]) *
                   HalfToFloat(made.content.scales[slot]);
      }
      share.Add(got, want);
    }
    std::cout << "group " << group << ": " << share.equal << " of " << share.all << " weights equal\n";
    EXPECT_GE(share.value(), kEqualCodes);
  }
}

// Refuses the first matrices, as one that computes in single precision may, and keeps what it was given.
class StrictSolver final : public NaiveSolver {
 public:
  explicit StrictSolver(size_t refusals, absl::StatusCode code = absl::StatusCode::kFailedPrecondition)
      : refusals_(refusals), code_(code) {}
  [[nodiscard]] absl::StatusOr<std::vector<float>> InverseFactor(std::span<const float> matrix,
                                                                 int64_t size) const override {
    given_.emplace_back(matrix.begin(), matrix.end());
    if (given_.size() <= refusals_) return absl::Status(code_, "not this one");
    return NaiveSolver().InverseFactor(matrix, size);
  }
  [[nodiscard]] const std::vector<std::vector<float>>& given() const { return given_; }

 private:
  const size_t refusals_;
  const absl::StatusCode code_;
  mutable std::vector<std::vector<float>> given_;
};

// Mean of the diagonal: 2, the input that is always 0 counted as 1.
constexpr float kGram[] = {4, 1, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};

TEST(CompensationFactor, DampsByAShareOfTheMeanDiagonal) {
  const StrictSolver solver(0);
  EXPECT_THAT(CompensationFactor(kGram, 4, 0.5, {}, "w", solver), IsOk());
  ASSERT_EQ(solver.given().size(), 1U);
  EXPECT_THAT(solver.given()[0], ::testing::ElementsAre(5, 1, 0, 0, 1, 3, 0, 0, 0, 0, 2, 0, 0, 0, 0, 2));
}

TEST(CompensationFactor, OrdersRowsAndColumns) {
  const StrictSolver solver(0);
  const std::vector<int32_t> order = {1, 0, 3, 2};
  EXPECT_THAT(CompensationFactor(kGram, 4, 0.5, order, "w", solver), IsOk());
  EXPECT_THAT(solver.given()[0], ::testing::ElementsAre(3, 1, 0, 0, 1, 5, 0, 0, 0, 0, 2, 0, 0, 0, 0, 2));
}

TEST(CompensationFactor, OfAMatrixThatIsNotPositiveDefiniteIsDampedTenTimesMore) {
  const StrictSolver solver(2);
  EXPECT_THAT(CompensationFactor(kGram, 4, 0.05, {}, "w", solver), IsOk());
  ASSERT_EQ(solver.given().size(), 3U);
  const float expected[] = {4.1F, 5.0F, 6.0F};  // shares 0.05, 0.5 and 1
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_FLOAT_EQ(solver.given()[i][0], expected[i]) << i;
    EXPECT_EQ(solver.given()[i][1], 1) << i;
  }
}

TEST(CompensationFactor, FailsWhereTheLargestDampingDoesNotHelp) {
  const StrictSolver solver(100);
  EXPECT_THAT(CompensationFactor(kGram, 4, 0.01, {}, "w", solver), HasCode(absl::StatusCode::kFailedPrecondition));
  EXPECT_EQ(solver.given().size(), 3U);
}

TEST(CompensationFactor, PassesOtherErrorsOn) {
  const StrictSolver solver(1, absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(CompensationFactor(kGram, 4, 0.01, {}, "w", solver), HasCode(absl::StatusCode::kResourceExhausted));
  EXPECT_EQ(solver.given().size(), 1U);
}

TEST(ActivationOrder, IsByFallingDiagonalAndKeepsEqualOnes) {
  std::vector<float> gram(25);
  const float diagonal[] = {2, 0, 5, 2, 5};
  for (size_t i = 0; i < 5; ++i) gram[i * 6] = diagonal[i];
  EXPECT_THAT(ActivationOrder(gram, 5), ::testing::ElementsAre(2, 4, 0, 3, 1));
}

}  // namespace
}  // namespace gwq
