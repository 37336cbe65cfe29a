// A method of quantization: what it needs to know of a matrix, what it stores, how much memory it takes, and how it
// makes the stored content, of one matrix or of all matrices of a block together. Each method is a class in
// core/quant/<method>/; quantizers.h has the table.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/backend/solver.h"
#include "core/base/progress.h"
#include "core/base/tensor_view.h"
#include "core/base/thread_pool.h"
#include "core/format/packed_matrix.h"
#include "core/format/tensor_spec.h"
#include "core/quant/block_objective.h"
#include "core/quant/group_quantize.h"
#include "core/spec/recipe.h"

namespace gwq {

// What the calibration has to find out about a matrix before the method can make it.
enum class Needs {
  kNothing,
  kGradient,  // of the loss with respect to the matrix, added up over the samples (core/calibration/gradient_walk.h)
  kGram,      // sum of x x^T over the rows x that its layers read (core/calibration/block_walk.h)
  kBlock,     // passes through its block (block_objective.h), and the mean of x^2 of each input
};

// What a recipe asks for a matrix, after its rules.
struct MatrixRequest {
  PackedShape shape;         // rows, cols, bits and group size; outliers are the method's to fill in
  double outlier_ratio = 0;  // of a rule, or else of the method's options
};

// A matrix to be made. All spans are valid during the call.
struct MatrixInput {
  std::string_view tensor;          // for error texts, and for draws that depend on nothing but the name
  TensorView weights;               // [rows, cols], F32, F16 or BF16
  PackedShape shape;                // as planned
  std::span<const float> gradient;  // [rows, cols], with Needs::kGradient
  std::span<const float> gram;      // [cols, cols], with Needs::kGram
  std::span<const float> squares;   // [cols], sum of x^2 over the rows x that its layers read, with Needs::kBlock
};

// What a method may compute with.
struct QuantizeTools {
  ThreadPool& pool;
  const Solver* solver = nullptr;  // given with Needs::kGram and Needs::kBlock
};

// Without state; its calls are thread-safe as far as the tools are.
class Quantizer {
 public:
  virtual ~Quantizer() = default;
  [[nodiscard]] virtual Method method() const = 0;

  // For a matrix with this many outliers.
  [[nodiscard]] virtual Needs needs(const Recipe& recipe, int64_t outliers) const = 0;
  // Whether the method can make a tensor of this kind. A recipe that asks for another kind is refused.
  [[nodiscard]] virtual bool Takes(TensorKind kind) const = 0;
  // The share of outliers that the method's options ask for where no rule says otherwise.
  [[nodiscard]] virtual double DefaultOutlierRatio(const Recipe& recipe) const = 0;
  // The shape as it will be stored, which fixes its bytes before any work.
  [[nodiscard]] virtual PackedShape Plan(const MatrixRequest& request) const = 0;
  // Upper bound of the memory of one Quantize in bytes: what it works in, and the result's content, whose codes take a
  // byte each. The input is not in it.
  [[nodiscard]] virtual uint64_t Memory(const PackedShape& shape, const Recipe& recipe) const = 0;

  // The same input gives the same content, whatever the pool's size. FAILED_PRECONDITION naming tensor, row and column
  // of a weight, gradient or Gram matrix entry that is not finite.
  [[nodiscard]] virtual absl::StatusOr<QuantizedMatrix> Quantize(const MatrixInput& input, const Recipe& recipe,
                                                                 const QuantizeTools& tools) const = 0;

  // With Needs::kBlock: the contents of all matrices of a block that the method is to make, in their order. What it set
  // last in `objective` need not be what it returns. INTERNAL if the method makes one matrix at a time.
  [[nodiscard]] virtual absl::StatusOr<std::vector<QuantizedMatrix>> QuantizeBlock(
      std::span<const MatrixInput> matrices, BlockObjective& objective, const Recipe& recipe,
      const QuantizeTools& tools, Progress& progress) const;
};

}  // namespace gwq
