// What every method of quantization must do, and the matrices that its tests are made with.
#pragma once

#include <ostream>
#include <string>
#include <vector>

#include "core/quant/quantizers.h"

namespace gwq::testing {

// A recipe under which a method is tested, by a name that goes into the test's.
struct QuantizerCase {
  std::string name;
  Method method = Method::kRtn;
  Recipe recipe;
};
inline std::ostream& operator<<(std::ostream& out, const QuantizerCase& one) { return out << one.name; }

// Every method of kMethodNames that has a quantizer, with the defaults of its options, and beside them the variants
// that take other paths. A new method comes in by itself.
[[nodiscard]] std::vector<QuantizerCase> AllQuantizerCases();
// Those of them that need this for a matrix with outliers.
[[nodiscard]] std::vector<QuantizerCase> QuantizerCasesThatNeed(Needs needs);

// A random matrix with what a calibration knows of it. The inputs are far from independent, and one is always 0.
class RandomMatrix {
 public:
  // The Gram matrix is of `samples` inputs; 0: of a few more than twice the columns.
  RandomMatrix(int64_t rows, int64_t cols, unsigned seed, size_t samples = 0);

  // What the method is given: nothing that it does not need. Valid while this object lives.
  [[nodiscard]] MatrixInput InputFor(const Quantizer& quantizer, const Recipe& recipe, const PackedShape& shape) const;
  // tr((W - W') G (W - W')^T): what the layer's outputs lose.
  [[nodiscard]] double OutputError(const std::vector<float>& quantized) const;

  std::vector<float> weights;   // [rows, cols]
  std::vector<float> gradient;  // [rows, cols]
  std::vector<float> gram;      // [cols, cols]
  std::vector<float> squares;   // [cols], the diagonal of it

 private:
  const int64_t rows_, cols_;
};

// The shape that the method plans for the matrix.
[[nodiscard]] PackedShape PlannedShape(const Quantizer& quantizer, const PackedShape& shape, double outlier_ratio);

}  // namespace gwq::testing
