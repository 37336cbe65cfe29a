// One pass of CpuBackend: checks what it is given, plans buffers, splits outputs over the pool.
#pragma once

#include <optional>
#include <vector>

#include "core/backend/backend.h"
#include "core/backend/cpu/arena.h"
#include "core/backend/cpu/cpu_kv_cache.h"
#include "core/backend/cpu/cpu_weight.h"
#include "core/backend/cpu/kernels/kernels.h"
#include "core/backend/cpu/rope_table.h"
#include "core/base/thread_pool.h"

namespace gwq {

[[nodiscard]] GateKernel KernelOf(Gate kind);

class CpuPass final : public Pass {
 public:
  // What spans and references point at outlives the pass. `batch` has passed CheckBatch; `cache` may be null.
  CpuPass(const Batch& batch, CpuKvCache* cache, const Kernels& kernels, ThreadPool& pool, Arena& arena);
  ~CpuPass() override;
  CpuPass(const CpuPass&) = delete;
  CpuPass& operator=(const CpuPass&) = delete;

  const Batch& batch() const override { return batch_; }
  Activation Embed(const Weight& table) override;
  Activation Input(std::span<const float> values, int64_t width) override;
  Activation Queries(int cache_layer, const Activation& x, const Norm& norm, const Linear& q, const Linear& k,
                     const Linear& v, const Rope& rope, const AttentionShape& shape) override;
  Activation Attend(int cache_layer, const Activation& queries, const AttentionShape& shape) override;
  Activation AddLinear(Activation residual, const Activation& x, const Linear& linear) override;
  Activation GatedUp(const Activation& x, const Norm& norm, const Linear& gate, const Linear& up, Gate kind) override;
  Activation Head(const Activation& x, const Norm& norm, const Linear& head) override;
  Activation Apply(const Activation& x, const Linear& linear, std::optional<Gate> activation) override;
  Activation Normalize(const Activation& x, const Norm& norm) override;
  Activation AddRows(Activation x, const Weight& table, std::span<const int32_t> ids) override;
  Activation Regroup(const Activation& x, std::span<const int32_t> order, int64_t group) override;
  Activation AttendWithin(const Qkv& qkv, const SegmentAttention& attention) override;
  absl::Status Read(const Activation& from, std::span<float> out) override;
  absl::Status Finish() override { return status_; }

 private:
  // Rows of floats; each row is padded with zeros to a multiple of kRowPad.
  struct Rows {
    AlignedBuffer<float> buffer;
    int64_t rows = 0;
    int64_t width = 0;
    int64_t stride = 0;
    [[nodiscard]] float* row(int64_t i) const { return buffer.data() + i * stride; }
  };
  // One product of a fused operation.
  struct Product {
    const MatrixTiles* weight = nullptr;
    const float* bias = nullptr;
    const float* sums = nullptr;
    const float* columns = nullptr;
    const Rows* out = nullptr;
    const Rows* residual = nullptr;
  };

  void Release(int slot) override;
  void Fail(absl::Status status);
  [[nodiscard]] bool failed() const { return !status_.ok(); }
  // Contents undefined except for the padding. Fails the pass where the memory cannot be had.
  Rows TakeRows(int64_t rows, int64_t width);
  Activation Adopt(Rows rows);
  // Null, with the pass failed, where the activation is not a live one of this pass.
  const Rows* RowsOf(const Activation& activation, std::string_view what);

  // Checks the shapes of a product; false, with the pass failed, where they do not fit.
  bool Describe(const Linear& linear, int64_t in, std::string_view what, Product& product);
  // Norm of the given rows of x (all where `only` is empty).
  bool NormalizeRows(const Rows& x, const Norm& norm, std::span<const int32_t> only, Rows& out);
  // The vector of a norm; null, with the pass failed, where it is no vector of `width` elements.
  const float* NormVector(const Weight* vector, int64_t width);
  // What the products need of x beside itself: its block sums and, for many rows, its columns.
  void Prepare(const Rows& x, std::span<Product> products);
  void SumBlocks(const Rows& x, std::span<Product> products);
  void TransposeRows(const Rows& x, std::span<Product> products);
  // Runs all products over x, outputs split over the pool.
  void Multiply(const Rows& x, std::span<Product> products);
  MatMulArgs ArgsOf(const Rows& x, const Product& product, int64_t tile_begin, int64_t tile_end) const;

  struct AttendPlan;  // how queries share keys, and where each thread works
  [[nodiscard]] AttendPlan PlanAttend(const AttentionShape& shape) const;
  void AttendSequence(int cache_layer, const SequenceRows& sequence, const AttentionShape& shape,
                      const AttendPlan& plan, const Rows& queries, Rows& scratch, Rows& out);
  void StoreKeysAndValues(int cache_layer, const Rows& q, const Rows& k, const Rows& v, const AttentionShape& shape);
  bool CheckAttention(int cache_layer, const AttentionShape& shape);
  // False, with the pass failed, where the rows are not those of the batch's tokens.
  bool CheckBatchRows(const Rows& x, std::string_view what);

  // Where the rows of queries, keys and values begin (columns of one input or of three).
  struct QkvPlaces {
    const Rows* rows[3] = {};
    int64_t columns[3] = {};
  };
  // False, with the pass failed, where something does not fit.
  bool FindQkv(const Qkv& qkv, const SegmentAttention& attention, QkvPlaces& places);
  struct SegmentCache;  // keys and values of all segments as the attention kernel reads them
  void FillSegments(const QkvPlaces& places, const SegmentAttention& attention, const SegmentCache& cache, Rows& out);
  void AttendSegments(const SegmentAttention& attention, const SegmentCache& cache, Rows& scratch, Rows& out);

  const Batch batch_;  // its spans are the caller's
  CpuKvCache* const cache_;
  const Kernels& kernels_;
  ThreadPool& pool_;
  Arena& arena_;
  absl::Status status_;
  std::vector<Rows> slots_;
  std::vector<int> free_slots_;
  std::vector<std::vector<float>> sums_;  // block sums of one input, by product; those of equal groups share one
  AlignedBuffer<float> columns_;          // of one input, chunk by chunk
  RopeTable rope_;
};

}  // namespace gwq
