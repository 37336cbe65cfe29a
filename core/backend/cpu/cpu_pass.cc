#include "core/backend/cpu/cpu_pass.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "core/base/status.h"

namespace gwq {
namespace {

const CpuWeight* OwnWeight(const Weight* weight) { return dynamic_cast<const CpuWeight*>(weight); }

}  // namespace

GateKernel KernelOf(Gate kind) {
  switch (kind) {
    case Gate::kGelu:
      return GateKernel::kGelu;
    case Gate::kGeluTanh:
      return GateKernel::kGeluTanh;
    case Gate::kQuickGelu:
      return GateKernel::kQuickGelu;
    case Gate::kRelu:
      return GateKernel::kRelu;
    case Gate::kSilu:
      break;
  }
  return GateKernel::kSilu;
}

CpuPass::CpuPass(const Batch& batch, CpuKvCache* cache, const Kernels& kernels, ThreadPool& pool, Arena& arena)
    : batch_(batch), cache_(cache), kernels_(kernels), pool_(pool), arena_(arena) {}

CpuPass::~CpuPass() {
  for (Rows& rows : slots_) arena_.Return(std::move(rows.buffer));
  arena_.Return(std::move(columns_));
  arena_.Trim();
}

void CpuPass::Release(int slot) {
  arena_.Return(std::exchange(slots_[static_cast<size_t>(slot)].buffer, {}));
  free_slots_.push_back(slot);
}

void CpuPass::Fail(absl::Status status) {
  if (status_.ok()) status_ = std::move(status);
}

CpuPass::Rows CpuPass::TakeRows(int64_t rows, int64_t width) {
  // An odd number of cache lines, so that the same columns of many rows do not compete for the same cache sets.
  Rows out{{}, rows, width, RoundUp(width, kRowPad) + kTileRows};
  const auto floats = static_cast<size_t>(std::max<int64_t>(rows, 1) * out.stride);
  out.buffer = arena_.Take(floats);
  if (out.buffer.data() == nullptr) {
    Fail(absl::ResourceExhaustedError(fmt::format("no memory for {} rows of {} floats", rows, width)));
    return out;
  }
  for (int64_t row = 0; row < rows; ++row) std::fill(out.row(row) + width, out.row(row) + out.stride, 0.0F);
  return out;
}

Activation CpuPass::Adopt(Rows rows) {
  if (failed()) {
    arena_.Return(std::move(rows.buffer));
    return {};
  }
  const int64_t width = rows.width;
  if (free_slots_.empty()) {
    slots_.push_back(std::move(rows));
    return {this, static_cast<int>(slots_.size()) - 1, width};
  }
  const int slot = free_slots_.back();
  free_slots_.pop_back();
  slots_[static_cast<size_t>(slot)] = std::move(rows);
  return {this, slot, width};
}

const CpuPass::Rows* CpuPass::RowsOf(const Activation& activation, std::string_view what) {
  if (failed()) return nullptr;
  const auto slot = static_cast<size_t>(activation.slot());
  if (activation.valid() && slot < slots_.size() && slots_[slot].buffer.data() != nullptr) return &slots_[slot];
  Fail(absl::InvalidArgumentError(fmt::format("{}: the activation is empty or another pass's", what)));
  return nullptr;
}

bool CpuPass::Describe(const Linear& linear, int64_t in, std::string_view what, Product& product) {
  const CpuWeight* weight = OwnWeight(linear.weight);
  if (weight == nullptr || weight->matrix() == nullptr || weight->matrix()->cols != in) {
    Fail(absl::InvalidArgumentError(fmt::format("{}: wants a matrix of this backend with {} columns, has {}", what, in,
                                                weight == nullptr ? "none" : ShapeString(weight->shape()))));
    return false;
  }
  product.weight = weight->matrix();
  if (linear.bias == nullptr) return true;
  const CpuWeight* bias = OwnWeight(linear.bias);
  if (bias == nullptr || bias->vector() == nullptr || bias->shape()[0] != product.weight->rows) {
    Fail(absl::InvalidArgumentError(fmt::format("{}: wants a bias of this backend with {} elements, has {}", what,
                                                product.weight->rows,
                                                bias == nullptr ? "none" : ShapeString(bias->shape()))));
    return false;
  }
  product.bias = bias->vector();
  return true;
}

const float* CpuPass::NormVector(const Weight* vector, int64_t width) {
  const CpuWeight* weight = OwnWeight(vector);
  if (weight != nullptr && weight->vector() != nullptr && weight->shape()[0] == width) return weight->vector();
  Fail(absl::InvalidArgumentError(fmt::format("norm: wants a vector of this backend with {} elements, has {}", width,
                                              weight == nullptr ? "none" : ShapeString(weight->shape()))));
  return nullptr;
}

bool CpuPass::NormalizeRows(const Rows& x, const Norm& norm, std::span<const int32_t> only, Rows& out) {
  const bool layer = norm.kind == NormKind::kLayer;
  const float* weight = NormVector(norm.weight, x.width);
  const float* bias = layer ? NormVector(norm.bias, x.width) : nullptr;
  if (weight == nullptr || (layer && bias == nullptr)) return false;
  pool_.ParallelFor(out.rows, 4, [&](int64_t begin, int64_t end, int) {
    for (int64_t row = begin; row < end; ++row) {
      const float* from = x.row(only.empty() ? row : only[static_cast<size_t>(row)]);
      if (layer) {
        kernels_.layer_norm(from, weight, bias, x.width, norm.epsilon, out.row(row));
      } else {
        kernels_.rms_norm(from, weight, x.width, norm.epsilon, out.row(row));
      }
    }
  });
  return true;
}

void CpuPass::SumBlocks(const Rows& x, std::span<Product> products) {
  sums_.resize(products.size());
  for (size_t i = 0; i < products.size(); ++i) {
    const MatrixTiles& weight = *products[i].weight;
    if (weight.group_params == nullptr) continue;
    // Sums depend on the group size alone.
    const auto same = std::find_if(products.begin(), products.begin() + static_cast<int64_t>(i), [&](const Product& p) {
      return p.sums != nullptr && p.weight->group == weight.group;
    });
    if (same != products.begin() + static_cast<int64_t>(i)) {
      products[i].sums = same->sums;
      continue;
    }
    std::vector<float>& sums = sums_[i];
    sums.resize(static_cast<size_t>(x.rows * weight.blocks));
    pool_.ParallelFor(x.rows, 8, [&](int64_t begin, int64_t end, int) {
      for (int64_t row = begin; row < end; ++row) {
        kernels_.block_sums(weight, x.row(row), sums.data() + row * weight.blocks);
      }
    });
    products[i].sums = sums.data();
  }
}

void CpuPass::TransposeRows(const Rows& x, std::span<Product> products) {
  // Below this many rows the products gather their inputs for less.
  constexpr int64_t kMinRows = 12;
  const bool sparse =
      std::any_of(products.begin(), products.end(), [](const Product& p) { return p.weight->segments > 0; });
  if (!sparse || x.rows < kMinRows) return;
  const int64_t chunks = RoundUp(x.rows, kChunkRows) / kChunkRows;
  const int64_t chunk_floats = x.width * kChunkPad;
  if (columns_.size() < static_cast<size_t>(chunks * chunk_floats)) {
    arena_.Return(std::move(columns_));
    columns_ = arena_.Take(static_cast<size_t>(chunks * chunk_floats));
    if (columns_.data() == nullptr) return;
  }
  pool_.ParallelFor(chunks, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t chunk = begin; chunk < end; ++chunk) {
      const int64_t first = chunk * kChunkRows;
      kernels_.transpose_chunk(x.row(first), x.stride, std::min(kChunkRows, x.rows - first), x.width,
                               columns_.data() + chunk * chunk_floats);
    }
  });
  for (Product& product : products) product.columns = columns_.data();
}

void CpuPass::Prepare(const Rows& x, std::span<Product> products) {
  SumBlocks(x, products);
  TransposeRows(x, products);
}

MatMulArgs CpuPass::ArgsOf(const Rows& x, const Product& product, int64_t tile_begin, int64_t tile_end) const {
  MatMulArgs args;
  args.weight = product.weight;
  args.x = x.row(0);
  args.x_stride = x.stride;
  args.sums = product.sums;
  args.rows = x.rows;
  args.columns = product.columns;
  args.bias = product.bias;
  if (product.residual != nullptr) {
    args.residual = product.residual->row(0);
    args.residual_stride = product.residual->stride;
  }
  args.out = product.out->row(0);
  args.out_stride = product.out->stride;
  args.tile_begin = tile_begin;
  args.tile_end = tile_end;
  return args;
}

void CpuPass::Multiply(const Rows& x, std::span<Product> products) {
  Prepare(x, products);
  int64_t tiles = 0;
  for (const Product& product : products) tiles += product.weight->tiles;
  pool_.ParallelFor(tiles, 1, [&](int64_t begin, int64_t end, int) {
    int64_t first = 0;
    for (const Product& product : products) {
      const int64_t from = std::max(begin - first, int64_t{0});
      const int64_t to = std::min(end - first, product.weight->tiles);
      if (from < to) kernels_.matmul(ArgsOf(x, product, from, to));
      first += product.weight->tiles;
    }
  });
}

Activation CpuPass::Embed(const Weight& table) {
  if (failed()) return {};
  const CpuWeight* weight = OwnWeight(&table);
  if (weight == nullptr || weight->matrix() == nullptr) {
    Fail(absl::InvalidArgumentError("embed: the table is not a matrix of this backend"));
    return {};
  }
  const MatrixTiles& tiles = *weight->matrix();
  if (batch_.tokens.empty()) return Input(batch_.embeddings, tiles.cols);
  if (absl::Status status = CheckTokens(batch_, tiles.rows, tiles.cols); !status.ok()) {
    Fail(std::move(status));
    return {};
  }
  Rows out = TakeRows(batch_.rows, tiles.cols);
  if (failed()) return {};
  pool_.ParallelFor(batch_.rows, 4, [&](int64_t begin, int64_t end, int) {
    for (int64_t row = begin; row < end; ++row) {
      const int32_t token = batch_.tokens[static_cast<size_t>(row)];
      if (token >= 0) {
        weight->Row(token, out.row(row));
      } else {
        std::copy_n(batch_.embeddings.data() + int64_t{~token} * tiles.cols, tiles.cols, out.row(row));
      }
    }
  });
  return Adopt(std::move(out));
}

Activation CpuPass::Input(std::span<const float> values, int64_t width) {
  if (failed()) return {};
  if (width < 1 || values.size() != static_cast<size_t>(batch_.rows * width)) {
    Fail(absl::InvalidArgumentError(
        fmt::format("input: {} values for {} rows of {}", values.size(), batch_.rows, width)));
    return {};
  }
  Rows out = TakeRows(batch_.rows, width);
  if (failed()) return {};
  for (int64_t row = 0; row < batch_.rows; ++row) {
    std::memcpy(out.row(row), values.data() + row * width, static_cast<size_t>(width) * sizeof(float));
  }
  return Adopt(std::move(out));
}

bool CpuPass::CheckBatchRows(const Rows& x, std::string_view what) {
  if (x.rows == batch_.rows && !batch_.sequences.empty()) return true;
  Fail(absl::InvalidArgumentError(fmt::format("{}: {} rows, wants those of the batch's sequences", what, x.rows)));
  return false;
}

bool CpuPass::CheckAttention(int cache_layer, const AttentionShape& shape) {
  if (cache_ == nullptr) {
    Fail(absl::InvalidArgumentError("attention: this backend keeps keys and values in a KV cache, the pass has none"));
  } else if (cache_layer < 0 || cache_layer >= cache_->shape().layers) {
    Fail(absl::InvalidArgumentError(
        fmt::format("attention: layer {} of a cache of {}", cache_layer, cache_->shape().layers)));
  } else if (shape.kv_heads != cache_->shape().kv_heads || shape.head_dim != cache_->shape().head_dim ||
             shape.heads < 1 || shape.heads % shape.kv_heads != 0) {
    Fail(absl::InvalidArgumentError(fmt::format("attention: {} heads over {} of {}, the cache has {} of {}",
                                                shape.heads, shape.kv_heads, shape.head_dim, cache_->shape().kv_heads,
                                                cache_->shape().head_dim)));
  }
  return !failed();
}

Activation CpuPass::Queries(int cache_layer, const Activation& x, const Norm& norm, const Linear& q, const Linear& k,
                            const Linear& v, const Rope& rope, const AttentionShape& shape) {
  const Rows* from = RowsOf(x, "queries");
  if (from == nullptr || !CheckBatchRows(*from, "queries") || !CheckAttention(cache_layer, shape)) return {};
  Product products[3];
  if (!Describe(q, from->width, "q", products[0]) || !Describe(k, from->width, "k", products[1]) ||
      !Describe(v, from->width, "v", products[2])) {
    return {};
  }
  if (products[0].weight->rows != shape.heads * shape.head_dim ||
      products[1].weight->rows != shape.kv_heads * shape.head_dim ||
      products[2].weight->rows != shape.kv_heads * shape.head_dim ||
      static_cast<int64_t>(rope.inverse_frequencies.size()) * 2 != shape.head_dim) {
    Fail(absl::InvalidArgumentError("queries: the projections or frequencies do not fit the attention's heads"));
    return {};
  }
  if (absl::Status status = rope_.Prepare(rope, batch_); !status.ok()) {
    Fail(std::move(status));
    return {};
  }
  Rows normed = TakeRows(from->rows, from->width);
  Rows queries = TakeRows(from->rows, products[0].weight->rows);
  Rows keys = TakeRows(from->rows, products[1].weight->rows);
  Rows values = TakeRows(from->rows, products[2].weight->rows);
  if (!failed() && NormalizeRows(*from, norm, {}, normed)) {
    products[0].out = &queries;
    products[1].out = &keys;
    products[2].out = &values;
    Multiply(normed, products);
    StoreKeysAndValues(cache_layer, queries, keys, values, shape);
  }
  for (Rows* rows : {&normed, &keys, &values}) arena_.Return(std::move(rows->buffer));
  return Adopt(std::move(queries));
}

void CpuPass::StoreKeysAndValues(int cache_layer, const Rows& q, const Rows& k, const Rows& v,
                                 const AttentionShape& shape) {
  const int64_t block_tokens = cache_->shape().block_tokens;
  for (const SequenceRows& sequence : batch_.sequences) {
    pool_.ParallelFor(sequence.rows, 8, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t row = sequence.first_row + i;
        const int64_t token = sequence.context + i;
        for (int64_t head = 0; head < shape.heads; ++head) rope_.Rotate(row, q.row(row) + head * shape.head_dim);
        for (int64_t head = 0; head < shape.kv_heads; ++head) {
          float* key = k.row(row) + head * shape.head_dim;
          rope_.Rotate(row, key);
          cache_->Put(cache_layer, head, sequence.blocks[static_cast<size_t>(token / block_tokens)],
                      token % block_tokens, key, v.row(row) + head * shape.head_dim);
        }
      }
    });
  }
}

// Query heads that read the same key head go through the kernel together, at most four at a time.
struct CpuPass::AttendPlan {
  int64_t heads_a_key = 0;
  int64_t together = 0;
  int64_t scores = 0;  // of one head over the longest sequence
};

CpuPass::AttendPlan CpuPass::PlanAttend(const AttentionShape& shape) const {
  int64_t longest = 0;
  for (const SequenceRows& sequence : batch_.sequences) longest = std::max(longest, sequence.context + sequence.rows);
  const int64_t heads_a_key = shape.heads / shape.kv_heads;
  return {.heads_a_key = heads_a_key,
          .together = std::min<int64_t>(heads_a_key, 4),
          .scores = AttendScores(longest, cache_->shape().block_tokens)};
}

void CpuPass::AttendSequence(int cache_layer, const SequenceRows& sequence, const AttentionShape& shape,
                             const AttendPlan& plan, const Rows& queries, Rows& scratch, Rows& out) {
  pool_.ParallelFor(sequence.rows * shape.kv_heads, 1, [&](int64_t begin, int64_t end, int thread) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t row = task / shape.kv_heads;
      const int64_t kv_head = task % shape.kv_heads;
      const int64_t first = kv_head * plan.heads_a_key * shape.head_dim;
      AttendArgs args;
      args.queries = queries.row(sequence.first_row + row) + first;
      args.heads = plan.heads_a_key;
      args.head_dim = shape.head_dim;
      args.scale = shape.scale;
      args.keys = cache_->keys(cache_layer, kv_head);
      args.values = cache_->values(cache_layer, kv_head);
      args.key_block_stride = cache_->block_stride();
      args.value_block_stride = cache_->block_stride();
      args.value_stride = cache_->value_stride();
      args.block_tokens = cache_->shape().block_tokens;
      args.blocks = sequence.blocks.data();
      args.tokens = sequence.context + row + 1;
      args.scores = scratch.row(thread);
      args.mixed = scratch.row(thread) + plan.together * plan.scores;
      args.out = out.row(sequence.first_row + row) + first;
      kernels_.attend(args);
    }
  });
}

Activation CpuPass::Attend(int cache_layer, const Activation& queries, const AttentionShape& shape) {
  const Rows* from = RowsOf(queries, "attend");
  if (from == nullptr || !CheckBatchRows(*from, "attend") || !CheckAttention(cache_layer, shape)) return {};
  if (from->width != shape.heads * shape.head_dim) {
    Fail(absl::InvalidArgumentError(
        fmt::format("attend: queries of width {} for {} heads of {}", from->width, shape.heads, shape.head_dim)));
    return {};
  }
  const AttendPlan plan = PlanAttend(shape);
  Rows out = TakeRows(from->rows, from->width);
  Rows scratch = TakeRows(pool_.threads(), plan.together * (plan.scores + cache_->value_stride()));
  if (failed()) {
    for (Rows* rows : {&out, &scratch}) arena_.Return(std::move(rows->buffer));
    return {};
  }
  for (const SequenceRows& sequence : batch_.sequences) {
    AttendSequence(cache_layer, sequence, shape, plan, *from, scratch, out);
  }
  arena_.Return(std::move(scratch.buffer));
  return Adopt(std::move(out));
}

Activation CpuPass::AddLinear(Activation residual, const Activation& x, const Linear& linear) {
  const Rows* from = RowsOf(x, "linear");
  const Rows* onto = RowsOf(residual, "linear");
  if (from == nullptr || onto == nullptr) return {};
  Product product;
  if (!Describe(linear, from->width, "linear", product)) return {};
  if (product.weight->rows != onto->width || from->rows != onto->rows) {
    Fail(absl::InvalidArgumentError(fmt::format("linear: {} outputs of {} rows onto a residual of {} x {}",
                                                product.weight->rows, from->rows, onto->rows, onto->width)));
    return {};
  }
  product.out = onto;
  product.residual = onto;
  Multiply(*from, {&product, 1});
  return residual;
}

Activation CpuPass::GatedUp(const Activation& x, const Norm& norm, const Linear& gate, const Linear& up, Gate kind) {
  const Rows* from = RowsOf(x, "gated up");
  if (from == nullptr) return {};
  Product products[2];
  if (!Describe(gate, from->width, "gate", products[0]) || !Describe(up, from->width, "up", products[1])) return {};
  const int64_t width = products[0].weight->rows;
  if (products[1].weight->rows != width) {
    Fail(absl::InvalidArgumentError(
        fmt::format("gated up: {} gate and {} up outputs", width, products[1].weight->rows)));
    return {};
  }
  Rows normed = TakeRows(from->rows, from->width);
  Rows gates = TakeRows(from->rows, width);
  Rows ups = TakeRows(from->rows, width);
  if (!failed() && NormalizeRows(*from, norm, {}, normed)) {
    products[0].out = &gates;
    products[1].out = &ups;
    Prepare(normed, products);
    pool_.ParallelFor(products[0].weight->tiles, 1, [&](int64_t begin, int64_t end, int) {
      for (const Product& product : products) kernels_.matmul(ArgsOf(normed, product, begin, end));
      const int64_t first = begin * kTileRows;
      for (int64_t row = 0; row < gates.rows; ++row) {
        kernels_.gate(KernelOf(kind), gates.row(row) + first, ups.row(row) + first, (end - begin) * kTileRows,
                      gates.row(row) + first);
      }
    });
  }
  for (Rows* rows : {&normed, &ups}) arena_.Return(std::move(rows->buffer));
  return Adopt(std::move(gates));
}

Activation CpuPass::Head(const Activation& x, const Norm& norm, const Linear& head) {
  const Rows* from = RowsOf(x, "head");
  if (from == nullptr || !CheckBatchRows(*from, "head")) return {};
  Product product;
  if (!Describe(head, from->width, "head", product)) return {};
  const auto outputs = static_cast<int64_t>(batch_.output_rows.size());
  Rows normed = TakeRows(outputs, from->width);
  Rows logits = TakeRows(outputs, product.weight->rows);
  if (!failed() && NormalizeRows(*from, norm, batch_.output_rows, normed)) {
    product.out = &logits;
    Multiply(normed, {&product, 1});
  }
  arena_.Return(std::move(normed.buffer));
  return Adopt(std::move(logits));
}

absl::Status CpuPass::Read(const Activation& from, std::span<float> out) {
  const Rows* rows = RowsOf(from, "read");
  if (rows == nullptr) return status_;
  if (out.size() != static_cast<size_t>(rows->rows * rows->width)) {
    return absl::InvalidArgumentError(fmt::format("read: {} x {} floats into {}", rows->rows, rows->width, out.size()));
  }
  for (int64_t row = 0; row < rows->rows; ++row) {
    std::memcpy(out.data() + row * rows->width, rows->row(row), static_cast<size_t>(rows->width) * sizeof(float));
  }
  return absl::OkStatus();
}

}  // namespace gwq
