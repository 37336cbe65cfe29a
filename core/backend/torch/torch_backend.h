// Reference and gradients: runs a model on LibTorch's CPU kernels in single precision, with autograd where asked.
//
// This header includes nothing of LibTorch; its exceptions end inside the implementation: RESOURCE_EXHAUSTED if
// memory cannot be had, INTERNAL otherwise.
//
// Rows: LibTorch's matrix products pick their blocking by the number of rows, so a row's result agrees with the same
// row in another batch or chunking within 1e-5 of the largest logit, not to the bit. With one thread count the same
// pass gives the same bits again.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/backend/backend.h"

namespace gwq {

class GramCollector;

// What of the rows x that linear layers read is added up: nothing, x^2 of each input, or the matrix x x^T.
enum class GramKind { kNone, kDiagonal, kFull };

// What computes the linear layers: at::linear, which is MKL on x86, or oneDNN where a layer reads many rows. They
// differ in the last bits.
enum class LinearLibrary { kDefault, kOneDnn };

struct TorchOptions {
  // Threads of LibTorch's own pool, 1 to 1024. Part of what determines gradients to the bit, as the library is.
  int threads = 1;
  LinearLibrary linear = LinearLibrary::kDefault;
};

// A pass that records what it does, over sequences that start at context 0, without a cache. Used for one stage at a
// time, so that a walk backwards holds one stage: give the stage's stored input, run the stage, go backwards.
//
//   pass = backend.BeginGradient(batch)
//   out = stage.Run(*pass, layer, pass->DifferentiableInput(input, hidden))
//   pass->Backward(std::move(out), output_gradient)       -> gradients of the weights asked for
//   pass->InputGradient(input_gradient)                   -> output_gradient of the stage before
class GradientPass : public Pass {
 public:
  // Like Input, and its gradient is kept. At most once a pass.
  [[nodiscard]] virtual Activation DifferentiableInput(std::span<const float> values, int64_t width) = 0;
  // Goes back from `output`, the gradient of the loss with respect to it being `output_gradient` [rows, width]. Frees
  // the record: once a pass.
  [[nodiscard]] virtual absl::Status Backward(Activation output, std::span<const float> output_gradient) = 0;
  // The gradient of DifferentiableInput, after going back; `out` has its elements.
  [[nodiscard]] virtual absl::Status InputGradient(std::span<float> out) = 0;
};

// A pass must stay on the thread that began it: LibTorch keeps the number of threads and the grad mode by thread.
class TorchBackend final : public Backend {
 public:
  ~TorchBackend() override;
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<TorchBackend>> Create(const TorchOptions& options);

  // Of the LibTorch that it is linked with, "2.11.0".
  [[nodiscard]] static std::string_view Version();

  [[nodiscard]] std::string_view name() const override { return "torch"; }
  [[nodiscard]] absl::StatusOr<std::unique_ptr<Weight>> LoadDense(const TensorView& view) override;
  // Every format: holds the dequantized matrix, a reference to compare kernels with.
  [[nodiscard]] absl::StatusOr<std::unique_ptr<Weight>> LoadPacked(const PackedView& view) override;
  [[nodiscard]] absl::StatusOr<std::unique_ptr<KvCache>> CreateKvCache(const KvCacheShape& shape) override;
  // With a null cache every sequence starts at context 0 and its block table is not looked at.
  [[nodiscard]] absl::StatusOr<std::unique_ptr<Pass>> Begin(const Batch& batch, KvCache* cache) override;

  [[nodiscard]] absl::StatusOr<std::unique_ptr<GradientPass>> BeginGradient(const Batch& batch);

  // From now on passes that record add up the gradient of `weight`, which is one of this backend's. The others cost
  // neither time nor memory.
  [[nodiscard]] absl::Status WantGradient(const Weight& weight);
  // Row-major, valid until DropGradient or the weight's end. FAILED_PRECONDITION if none was computed.
  [[nodiscard]] absl::StatusOr<std::span<const float>> GradientOf(const Weight& weight) const;
  // Frees the gradient; a later pass starts from zero.
  void DropGradient(const Weight& weight);

  // From now on the linear layers that use `weight`, one of this backend's, add the rows x that they read to its Gram
  // matrix, the sum of x x^T, or to the diagonal of it alone; with kNone they stop. Layers that read the same rows
  // (queries, keys, values; gate and up) share one matrix. Must not outlive the backend.
  [[nodiscard]] absl::Status CollectGram(const Weight& weight, GramKind kind = GramKind::kFull);
  // [in, in], row-major, or the diagonal [in]; valid until DropGram or the weight's end. FAILED_PRECONDITION if no
  // layer ran.
  [[nodiscard]] absl::StatusOr<std::span<const float>> GramOf(const Weight& weight) const;
  // Ends the collecting; the matrix stays.
  void PauseGram(const Weight& weight);
  // Frees the matrix, once every weight that shares it has dropped it, and ends the collecting.
  void DropGram(const Weight& weight);

  // Replaces the values of `weight`, one of this backend's, row-major, for passes that begin later. INVALID_ARGUMENT
  // if the number of values is another.
  [[nodiscard]] absl::Status SetValues(const Weight& weight, std::span<const float> values);

 private:
  explicit TorchBackend(const TorchOptions& options);
  const TorchOptions options_;
  const std::unique_ptr<GramCollector> grams_;
};

}  // namespace gwq
