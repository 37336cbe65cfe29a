// A block of linear layers side by side, for tests of methods that make a whole block: no model, no LibTorch.
#pragma once

#include <map>
#include <random>
#include <vector>

#include "core/quant/block_objective.h"
#include "tests/core/quant/quantizer_conformance.h"

namespace gwq::testing {

// Each matrix reads inputs of its own, and the loss of a sample is the mean of (x W^T - x V^T)^2 over rows and outputs
// of all matrices, V being the matrix in full precision. The inputs are mixed from few sources, so that errors of one
// weight can be made up for by others.
class LinearBlock final : public BlockObjective {
 public:
  LinearBlock(const std::vector<PackedShape>& shapes, size_t samples, unsigned seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    for (const PackedShape& shape : shapes) {
      Layer& layer = layers_.emplace_back(shape, RandomMatrix(shape.rows, shape.cols, seed, 4));
      const auto cols = static_cast<size_t>(shape.cols);
      std::vector<float> mixing(kSources * cols);
      for (float& one : mixing) one = normal(random);
      for (size_t sample = 0; sample < samples; ++sample) {
        std::vector<float>& x = layer.inputs.emplace_back(kRows * cols);
        for (size_t row = 0; row < kRows; ++row) {
          for (size_t source = 0; source < kSources; ++source) {
            const float strength = normal(random);
            for (size_t i = 0; i < cols; ++i) x[row * cols + i] += strength * mixing[source * cols + i];
          }
        }
      }
      layer.squares.resize(cols);
      for (const std::vector<float>& x : layer.inputs) {
        for (size_t i = 0; i < x.size(); ++i) layer.squares[i % cols] += x[i] * x[i];
      }
      layer.values = layer.matrix.weights;
    }
  }

  // What the method is given for each matrix. Valid while this object lives.
  [[nodiscard]] std::vector<MatrixInput> Inputs() const {
    std::vector<MatrixInput> out;
    for (const Layer& layer : layers_) {
      MatrixInput input;
      input.tensor = "model.some.weight";
      input.weights = {
          DType::kF32, {layer.shape.rows, layer.shape.cols}, std::as_bytes(std::span(layer.matrix.weights))};
      input.shape = layer.shape;
      input.squares = layer.squares;
      out.push_back(input);
    }
    return out;
  }
  [[nodiscard]] std::vector<float>& weights(size_t matrix) { return layers_[matrix].matrix.weights; }
  [[nodiscard]] double MeanLoss() {
    double sum = 0;
    for (size_t i = 0; i < samples(); ++i) sum += *Loss(i) / static_cast<double>(samples());
    return sum;
  }
  int passes = 0;

  [[nodiscard]] int stage() const override { return 3; }
  [[nodiscard]] size_t samples() const override { return layers_.front().inputs.size(); }
  [[nodiscard]] absl::Status SetValues(size_t matrix, std::span<const float> values) override {
    layers_[matrix].values.assign(values.begin(), values.end());
    return absl::OkStatus();
  }
  [[nodiscard]] absl::StatusOr<double> Loss(size_t sample) override { return Pass(sample, false); }
  [[nodiscard]] absl::StatusOr<double> LossBackward(size_t sample) override {
    ++passes;
    return Pass(sample, true);
  }
  [[nodiscard]] absl::StatusOr<std::span<const float>> Gradient(size_t matrix) const override {
    if (layers_[matrix].gradient.empty()) return absl::FailedPreconditionError("no gradient");
    return layers_[matrix].gradient;
  }
  void DropGradients() override {
    for (Layer& layer : layers_) layer.gradient.clear();
  }

 private:
  static constexpr size_t kRows = 12;
  static constexpr size_t kSources = 5;

  struct Layer {
    Layer(const PackedShape& of, RandomMatrix made) : shape(of), matrix(std::move(made)) {}
    PackedShape shape;
    RandomMatrix matrix;
    std::vector<std::vector<float>> inputs;  // by sample, [kRows, cols]
    std::vector<float> squares, values, gradient;
  };

  double Pass(size_t sample, bool backward) {
    double loss = 0;
    for (Layer& layer : layers_) {
      const auto cols = static_cast<size_t>(layer.shape.cols), rows = static_cast<size_t>(layer.shape.rows);
      if (backward) layer.gradient.resize(layer.values.size());
      const std::vector<float>& x = layer.inputs[sample];
      for (size_t row = 0; row < kRows; ++row) {
        for (size_t out = 0; out < rows; ++out) {
          double lost = 0;
          for (size_t i = 0; i < cols; ++i) {
            lost += x[row * cols + i] * (layer.values[out * cols + i] - layer.matrix.weights[out * cols + i]);
          }
          loss += lost * lost / static_cast<double>(kRows * rows);
          for (size_t i = 0; backward && i < cols; ++i) {
            layer.gradient[out * cols + i] +=
                static_cast<float>(2 * lost * x[row * cols + i] / static_cast<double>(kRows * rows));
          }
        }
      }
    }
    return loss;
  }

  std::vector<Layer> layers_;
};

}  // namespace gwq::testing
