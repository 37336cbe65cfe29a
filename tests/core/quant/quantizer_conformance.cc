#include "tests/core/quant/quantizer_conformance.h"

#include <cmath>
#include <random>

namespace gwq::testing {

std::vector<QuantizerCase> AllQuantizerCases() {
  std::vector<QuantizerCase> cases;
  for (const auto& entry : kMethodNames) {
    if (FindQuantizer(entry.value) == nullptr) continue;
    cases.push_back({std::string(entry.name), entry.value, {}});
    cases.back().recipe.method = entry.value;
  }
  const auto variant = [&](const char* name, Method method) -> Recipe& {
    cases.push_back({name, method, {}});
    cases.back().recipe.method = method;
    return cases.back().recipe;
  };
  variant("gwq_magnitude", Method::kGwq).gwq.select = Select::kMagnitude;
  variant("gwq_random", Method::kGwq).gwq.select = Select::kRandom;
  variant("gptq_act_order", Method::kGptq).gptq.act_order = true;
  variant("gptq_min_max", Method::kGptq).gptq.range_search = false;
  variant("spqr_min_max", Method::kSpqr).spqr.range_search = false;
  return cases;
}

std::vector<QuantizerCase> QuantizerCasesThatNeed(Needs needs) {
  std::vector<QuantizerCase> cases = AllQuantizerCases();
  std::erase_if(cases,
                [&](const QuantizerCase& one) { return FindQuantizer(one.method)->needs(one.recipe, 1) != needs; });
  return cases;
}

RandomMatrix::RandomMatrix(int64_t rows, int64_t cols, unsigned seed, size_t samples)
    : weights(static_cast<size_t>(rows * cols)),
      gradient(weights.size()),
      gram(static_cast<size_t>(cols * cols)),
      rows_(rows),
      cols_(cols) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  for (float& weight : weights) weight = 0.05F * normal(random);
  for (float& one : gradient) one = normal(random);
  const auto n = static_cast<size_t>(cols);
  const size_t sources = n / 8 + 2;
  std::vector<float> mixing(sources * n);
  for (float& one : mixing) one = normal(random);
  if (samples == 0) samples = 2 * n + 8;
  for (size_t sample = 0; sample < samples; ++sample) {
    std::vector<float> x(n);
    for (size_t source = 0; source < sources; ++source) {
      const float strength = normal(random);
      for (size_t i = 0; i < n; ++i) x[i] += strength * mixing[source * n + i];
    }
    for (float& value : x) value += 0.3F * normal(random);
    x[n / 2] = 0;
    for (size_t i = 0; i < n; ++i) {
      for (size_t j = 0; j < n; ++j) gram[i * n + j] += x[i] * x[j];
    }
  }
  for (size_t i = 0; i < n; ++i) squares.push_back(gram[i * n + i]);
}

MatrixInput RandomMatrix::InputFor(const Quantizer& quantizer, const Recipe& recipe, const PackedShape& shape) const {
  MatrixInput input;
  input.tensor = "model.some.weight";
  input.weights = {DType::kF32, {rows_, cols_}, std::as_bytes(std::span(weights))};
  input.shape = shape;
  const Needs needs = quantizer.needs(recipe, shape.outliers);
  if (needs == Needs::kGradient) input.gradient = gradient;
  if (needs == Needs::kGram) input.gram = gram;
  if (needs == Needs::kBlock) input.squares = squares;
  return input;
}

double RandomMatrix::OutputError(const std::vector<float>& quantized) const {
  double error = 0;
  const auto n = static_cast<size_t>(cols_);
  for (size_t row = 0; row < static_cast<size_t>(rows_); ++row) {
    for (size_t i = 0; i < n; ++i) {
      const double lost = static_cast<double>(weights[row * n + i]) - quantized[row * n + i];
      for (size_t j = 0; j < n; ++j) {
        error += lost * gram[i * n + j] * (static_cast<double>(weights[row * n + j]) - quantized[row * n + j]);
      }
    }
  }
  return error;
}

PackedShape PlannedShape(const Quantizer& quantizer, const PackedShape& shape, double outlier_ratio) {
  MatrixRequest request;
  request.shape = shape;
  request.outlier_ratio = outlier_ratio;
  return quantizer.Plan(request);
}

}  // namespace gwq::testing
