// What a model is written against: a device that holds weights and runs passes, at the granularity that can be fused.
//
// Every row's result is bitwise independent of the other rows of the batch and of how a sequence is cut into chunks.
// This makes batching, prefix sharing and speculation exact.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/backend/batch.h"
#include "core/base/tensor_view.h"
#include "core/format/packed_matrix.h"

namespace gwq {

// A vector or matrix in a backend's own layout. Belongs to the backend that made it, which must outlive it. Immutable
// through this interface; TorchBackend::SetValues replaces the values of one between passes.
class Weight {
 public:
  virtual ~Weight() = default;
  [[nodiscard]] virtual Shape shape() const = 0;     // [n] or [out, in]
  [[nodiscard]] virtual uint64_t bytes() const = 0;  // memory it holds
};

// Upper bounds of a packed matrix's memory, from its shape alone.
struct LoadedBytes {
  uint64_t held = 0;     // Weight::bytes()
  uint64_t loading = 0;  // while it is loaded, beside those bytes and the stored ones
};

// Keys and values of all sequences in blocks of block_tokens tokens. Belongs to one engine; passes write it.
class KvCache {
 public:
  virtual ~KvCache() = default;
  [[nodiscard]] virtual const KvCacheShape& shape() const = 0;
  [[nodiscard]] virtual uint64_t bytes() const = 0;
};

struct Linear {
  const Weight* weight = nullptr;  // [out, in]
  const Weight* bias = nullptr;    // [out] or null
};

enum class NormKind { kRms, kLayer };

// kRms: x / sqrt(mean(x^2) + epsilon) * weight. kLayer: (x - mean(x)) / sqrt(variance(x) + epsilon) * weight + bias.
struct Norm {
  const Weight* weight = nullptr;  // [hidden]
  float epsilon = 1e-5F;
  NormKind kind = NormKind::kRms;
  const Weight* bias = nullptr;  // [hidden]; given with kLayer and only there
};

// Rotary embedding in Hugging Face's "rotate half" convention: pair (i, i + head_dim / 2) turns by
// position * inverse_frequencies[i]; cosine and sine are multiplied by `attention_factor`. With several position axes,
// `sections` tells how many leading frequencies take each axis.
struct Rope {
  std::vector<float> inverse_frequencies;  // [head_dim / 2]
  float attention_factor = 1.0F;
  std::vector<int> sections;  // empty, or one count an axis
};

struct AttentionShape {
  int64_t heads = 0;
  int64_t kv_heads = 0;  // divides heads
  int64_t head_dim = 0;
  float scale = 0;  // usually 1 / sqrt(head_dim)
};

// Also the activation after a linear layer. kQuickGelu: x * sigmoid(1.702 x).
enum class Gate { kSilu, kGelu, kGeluTanh, kQuickGelu, kRelu };

class Pass;

// A [rows, width] intermediate of one pass. Move-only; its buffer returns to the pass when it is destroyed or consumed.
class Activation {
 public:
  Activation() = default;
  Activation(Pass* pass, int slot, int64_t width) : pass_(pass), slot_(slot), width_(width) {}
  Activation(Activation&& other) noexcept;
  Activation& operator=(Activation&& other) noexcept;
  ~Activation();

  [[nodiscard]] int slot() const { return slot_; }
  [[nodiscard]] int64_t width() const { return width_; }
  [[nodiscard]] bool valid() const { return pass_ != nullptr; }

 private:
  Pass* pass_ = nullptr;
  int slot_ = -1;
  int64_t width_ = 0;
};

// Queries, keys and values of the same rows, [rows, heads * head_dim] and [rows, kv_heads * head_dim]. With `keys` and
// `values` null, a row of `queries` holds all three one after the other.
struct Qkv {
  const Activation* queries = nullptr;
  const Activation* keys = nullptr;
  const Activation* values = nullptr;
};

// Attention in both directions within segments of consecutive rows: an image, a frame or a window.
struct SegmentAttention {
  AttentionShape shape;
  std::span<const int64_t> segment_ends;  // increasing; a segment ends before this row; the last is the number of rows
  // Rotary embedding of queries and keys: [rows, head_dim / 2], pair (i, i + head_dim / 2) turns by angle i of its row.
  // Both empty: none.
  std::span<const float> cosines;
  std::span<const float> sines;
};

// One forward pass over a batch. Not thread-safe. Operations do not fail one by one: the first error is kept, what
// follows does nothing, and Read or Finish tells it. Weights passed in must outlive the pass. Activations must not
// outlive it.
class Pass {
 public:
  virtual ~Pass() = default;

  [[nodiscard]] virtual const Batch& batch() const = 0;
  // Rows of the embedding table [vocab, hidden] for the batch's tokens, rows of the batch's embeddings for tokens below
  // zero (batch.h).
  [[nodiscard]] virtual Activation Embed(const Weight& table) = 0;
  // Copies `values` [rows, width] in: the start of a walk that runs one block at a time.
  [[nodiscard]] virtual Activation Input(std::span<const float> values, int64_t width) = 0;
  // Norm of x, the three projections with their biases, rotary embedding of queries and keys; keys and values are
  // written to `cache_layer` of the cache. Returns the queries [rows, heads * head_dim].
  [[nodiscard]] virtual Activation Queries(int cache_layer, const Activation& x, const Norm& norm, const Linear& q,
                                           const Linear& k, const Linear& v, const Rope& rope,
                                           const AttentionShape& shape) = 0;
  // Causal attention of the queries over what the cache holds of their sequence, itself included. [rows, heads *
  // head_dim].
  [[nodiscard]] virtual Activation Attend(int cache_layer, const Activation& queries, const AttentionShape& shape) = 0;
  // residual + x W^T + b. Consumes the residual (it may be updated in place).
  [[nodiscard]] virtual Activation AddLinear(Activation residual, const Activation& x, const Linear& linear) = 0;
  // gate(norm(x) Wg^T + bg) * (norm(x) Wu^T + bu): [rows, intermediate].
  [[nodiscard]] virtual Activation GatedUp(const Activation& x, const Norm& norm, const Linear& gate, const Linear& up,
                                           Gate kind) = 0;
  // Logits [output_rows, vocab] of norm(x) at the batch's output rows.
  [[nodiscard]] virtual Activation Head(const Activation& x, const Norm& norm, const Linear& head) = 0;

  // The operations of vision towers. They work on any number of rows, which Regroup changes; those above want the
  // batch's.

  // activation(x W^T + b): [rows, out].
  [[nodiscard]] virtual Activation Apply(const Activation& x, const Linear& linear,
                                         std::optional<Gate> activation = std::nullopt) = 0;
  [[nodiscard]] virtual Activation Normalize(const Activation& x, const Norm& norm) = 0;
  // Row i plus row ids[i] of `table`, a matrix or a vector that counts as a matrix of one row; -1 adds nothing.
  // Consumes x.
  [[nodiscard]] virtual Activation AddRows(Activation x, const Weight& table, std::span<const int32_t> ids) = 0;
  // Row i is rows order[i * group] to order[i * group + group - 1] of x side by side, zeros where order is -1. Gathers,
  // drops, repeats and concatenates: [order.size() / group, group * width].
  [[nodiscard]] virtual Activation Regroup(const Activation& x, std::span<const int32_t> order, int64_t group) = 0;
  // [rows, heads * head_dim]. A row's result is bitwise independent of other segments.
  [[nodiscard]] virtual Activation AttendWithin(const Qkv& qkv, const SegmentAttention& attention) = 0;

  // Copies an activation out as floats, row-major. `out` has exactly its elements.
  [[nodiscard]] virtual absl::Status Read(const Activation& from, std::span<float> out) = 0;
  // The first error of the pass, or OK.
  [[nodiscard]] virtual absl::Status Finish() = 0;

 private:
  friend class Activation;
  virtual void Release(int slot) = 0;
};

// No pass changes a weight, and passes may share one; at most one pass of a backend is alive at a time. Loading may run
// beside a pass. Exceptions of an underlying library end inside the implementation.
class Backend {
 public:
  virtual ~Backend() = default;
  [[nodiscard]] virtual std::string_view name() const = 0;
  // F32, F16 or BF16, one or two dimensions. The view may go away afterwards.
  [[nodiscard]] virtual absl::StatusOr<std::unique_ptr<Weight>> LoadDense(const TensorView& view) = 0;
  // UNIMPLEMENTED naming format and backend if the backend does not run the format.
  [[nodiscard]] virtual absl::StatusOr<std::unique_ptr<Weight>> LoadPacked(const PackedView& view) = 0;
  // RESOURCE_EXHAUSTED if the memory cannot be had.
  [[nodiscard]] virtual absl::StatusOr<std::unique_ptr<KvCache>> CreateKvCache(const KvCacheShape& shape) = 0;
  // `cache` must come from this backend; every index of the batch is checked against it. Null if the backend keeps
  // keys and values inside the pass (TorchBackend under autograd: every sequence starts at context 0).
  [[nodiscard]] virtual absl::StatusOr<std::unique_ptr<Pass>> Begin(const Batch& batch, KvCache* cache) = 0;
};

}  // namespace gwq
