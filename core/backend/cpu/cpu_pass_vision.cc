// The operations of vision towers.
#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "core/backend/cpu/cpu_pass.h"
#include "core/base/status.h"

namespace gwq {
namespace {

constexpr int64_t kBlockTokens = 16;  // of a segment's keys and values: no padding inside a group of keys

// Copies `heads` heads of a row, turned by the row's angles.
void TurnRow(const SegmentAttention& attention, int64_t row, int64_t heads, const float* from, float* to) {
  const int64_t head_dim = attention.shape.head_dim;
  if (attention.cosines.empty()) {
    std::copy_n(from, heads * head_dim, to);
    return;
  }
  const int64_t half = head_dim / 2;
  const float* cosines = attention.cosines.data() + row * half;
  const float* sines = attention.sines.data() + row * half;
  for (int64_t head = 0; head < heads; ++head, from += head_dim, to += head_dim) {
    for (int64_t i = 0; i < half; ++i) {
      to[i] = from[i] * cosines[i] - from[i + half] * sines[i];
      to[i + half] = from[i + half] * cosines[i] + from[i] * sines[i];
    }
  }
}

}  // namespace

// A block of a head is its keys, then its values; blocks of a segment stand one after the other, then the next
// segment's, then the next head's.
struct CpuPass::SegmentCache {
  int64_t head_dim = 0;
  int64_t value_stride = 0;
  int64_t block_stride = 0;
  int64_t head_stride = 0;
  int64_t longest = 0;                 // rows of the longest segment
  std::vector<int32_t> segment_of;     // a row's segment
  std::vector<int64_t> first_row;      // of a segment
  std::vector<int64_t> first_block;    // of a segment
  std::vector<int32_t> block_numbers;  // 0, 1, 2...: the block table of every segment, from its first block on
  AlignedBuffer<float> memory;

  SegmentCache(const AttentionShape& shape, std::span<const int64_t> segment_ends)
      : head_dim(shape.head_dim), value_stride(RoundUp(shape.head_dim, 16)) {
    block_stride = kBlockTokens * (head_dim + value_stride);
    int64_t begin = 0;
    int64_t blocks = 0;
    for (size_t i = 0; i < segment_ends.size(); ++i) {
      first_row.push_back(begin);
      first_block.push_back(blocks);
      const int64_t rows = segment_ends[i] - begin;
      segment_of.insert(segment_of.end(), static_cast<size_t>(rows), static_cast<int32_t>(i));
      longest = std::max(longest, rows);
      blocks += RoundUp(rows, kBlockTokens) / kBlockTokens;
      begin = segment_ends[i];
    }
    head_stride = blocks * block_stride;
    block_numbers.resize(static_cast<size_t>(blocks));
    std::iota(block_numbers.begin(), block_numbers.end(), 0);
  }

  // Keys of the block that holds `row`; its values stand kBlockTokens * head_dim floats later.
  [[nodiscard]] float* BlockOf(int64_t head, int64_t row, int64_t& token) const {
    const auto segment = static_cast<size_t>(segment_of[static_cast<size_t>(row)]);
    const int64_t index = row - first_row[segment];
    token = index % kBlockTokens;
    const int64_t block = first_block[segment] + index / kBlockTokens;
    return memory.data() + head * head_stride + block * block_stride;
  }
};

Activation CpuPass::Apply(const Activation& x, const Linear& linear, std::optional<Gate> activation) {
  const Rows* from = RowsOf(x, "apply");
  Product product;
  if (from == nullptr || !Describe(linear, from->width, "apply", product)) return {};
  Rows out = TakeRows(from->rows, product.weight->rows);
  if (failed()) return {};
  product.out = &out;
  Multiply(*from, {&product, 1});
  if (activation.has_value()) {
    const GateKernel kind = KernelOf(*activation);
    pool_.ParallelFor(out.rows, 4, [&](int64_t begin, int64_t end, int) {
      for (int64_t row = begin; row < end; ++row) {
        kernels_.gate(kind, out.row(row), nullptr, RoundUp(out.width, 16), out.row(row));
      }
    });
  }
  return Adopt(std::move(out));
}

Activation CpuPass::Normalize(const Activation& x, const Norm& norm) {
  const Rows* from = RowsOf(x, "normalize");
  if (from == nullptr) return {};
  Rows out = TakeRows(from->rows, from->width);
  if (!failed()) (void)NormalizeRows(*from, norm, {}, out);
  return Adopt(std::move(out));
}

Activation CpuPass::AddRows(Activation x, const Weight& table, std::span<const int32_t> ids) {
  const Rows* onto = RowsOf(x, "add rows");
  if (onto == nullptr) return {};
  const auto* weight = dynamic_cast<const CpuWeight*>(&table);
  const Shape shape = weight == nullptr ? Shape{} : weight->shape();
  if (shape.empty() || shape.back() != onto->width || static_cast<int64_t>(ids.size()) != onto->rows) {
    Fail(absl::InvalidArgumentError(fmt::format("add rows: {} ids of a table {} to {} rows of {}", ids.size(),
                                                ShapeString(shape), onto->rows, onto->width)));
    return {};
  }
  const int64_t count = shape.size() == 1 ? 1 : shape[0];
  if (const auto bad = std::ranges::find_if(ids, [&](int32_t id) { return id < -1 || id >= count; });
      bad != ids.end()) {
    Fail(absl::InvalidArgumentError(fmt::format("add rows: row {} of a table of {}", *bad, count)));
    return {};
  }
  Rows scratch = TakeRows(pool_.threads(), onto->width);
  if (failed()) return {};
  pool_.ParallelFor(onto->rows, 8, [&](int64_t begin, int64_t end, int thread) {
    for (int64_t row = begin; row < end; ++row) {
      const int32_t id = ids[static_cast<size_t>(row)];
      if (id < 0) continue;
      const float* add = weight->vector();
      if (add == nullptr) {
        weight->Row(id, scratch.row(thread));
        add = scratch.row(thread);
      }
      float* to = onto->row(row);
      for (int64_t i = 0; i < onto->width; ++i) to[i] += add[i];
    }
  });
  arena_.Return(std::move(scratch.buffer));
  return x;
}

Activation CpuPass::Regroup(const Activation& x, std::span<const int32_t> order, int64_t group) {
  const Rows* from = RowsOf(x, "regroup");
  if (from == nullptr) return {};
  const auto count = static_cast<int64_t>(order.size());
  const auto outside = [&](int32_t row) { return row < -1 || row >= from->rows; };
  if (group < 1 || count == 0 || count % group != 0 || std::ranges::any_of(order, outside)) {
    Fail(absl::InvalidArgumentError(
        fmt::format("regroup: {} row numbers by {} of {} rows do not fit", count, group, from->rows)));
    return {};
  }
  Rows out = TakeRows(count / group, group * from->width);
  if (failed()) return {};
  pool_.ParallelFor(out.rows, 8, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin * group; i < end * group; ++i) {
      const int32_t row = order[static_cast<size_t>(i)];
      float* to = out.row(i / group) + i % group * from->width;
      if (row < 0) {
        std::fill_n(to, from->width, 0.0F);
      } else {
        std::copy_n(from->row(row), from->width, to);
      }
    }
  });
  return Adopt(std::move(out));
}

bool CpuPass::FindQkv(const Qkv& qkv, const SegmentAttention& attention, QkvPlaces& places) {
  const AttentionShape& shape = attention.shape;
  const bool one = qkv.keys == nullptr && qkv.values == nullptr;
  const Activation* given[] = {qkv.queries, one ? qkv.queries : qkv.keys, one ? qkv.queries : qkv.values};
  const int64_t widths[] = {shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim,
                            shape.kv_heads * shape.head_dim};
  int64_t column = 0;
  bool fits = shape.kv_heads >= 1 && shape.heads % shape.kv_heads == 0;
  for (int i = 0; i < 3; ++i) {
    places.rows[i] = given[i] == nullptr ? nullptr : RowsOf(*given[i], "attend within");
    if (places.rows[i] == nullptr) {
      Fail(absl::InvalidArgumentError("attend within: queries, keys or values are missing"));
      return false;
    }
    places.columns[i] = one ? column : 0;
    column += widths[i];
    fits = fits && places.rows[i]->rows == places.rows[0]->rows && (one || places.rows[i]->width == widths[i]);
  }
  fits = fits && (!one || places.rows[0]->width == column);
  const int64_t rows = places.rows[0]->rows;
  int64_t end = 0;
  for (const int64_t next : attention.segment_ends) {
    fits = fits && next > end;
    end = next;
  }
  const auto angles = static_cast<size_t>(rows * shape.head_dim / 2);
  const auto table = [&](std::span<const float> given_table) {
    return given_table.empty() || (shape.head_dim % 2 == 0 && given_table.size() == angles);
  };
  fits = fits && end == rows && table(attention.cosines) && attention.cosines.size() == attention.sines.size();
  if (!fits) {
    Fail(absl::InvalidArgumentError(fmt::format(
        "attend within: {} rows of {} with {} heads over {} of {}, {} segments up to {} and {} angles do not fit", rows,
        places.rows[0]->width, shape.heads, shape.kv_heads, shape.head_dim, attention.segment_ends.size(), end,
        attention.cosines.size())));
  }
  return fits;
}

// Keys and values into the cache's layout, turned queries into `out`.
void CpuPass::FillSegments(const QkvPlaces& places, const SegmentAttention& attention, const SegmentCache& cache,
                           Rows& out) {
  const AttentionShape& shape = attention.shape;
  pool_.ParallelFor(out.rows, 8, [&](int64_t begin, int64_t end, int) {
    std::vector<float> key(static_cast<size_t>(shape.kv_heads * shape.head_dim));
    for (int64_t row = begin; row < end; ++row) {
      TurnRow(attention, row, shape.heads, places.rows[0]->row(row) + places.columns[0], out.row(row));
      TurnRow(attention, row, shape.kv_heads, places.rows[1]->row(row) + places.columns[1], key.data());
      const float* value = places.rows[2]->row(row) + places.columns[2];
      for (int64_t head = 0; head < shape.kv_heads; ++head, value += shape.head_dim) {
        int64_t token = 0;
        float* keys = cache.BlockOf(head, row, token);
        for (int64_t d = 0; d < shape.head_dim; ++d) {
          keys[d * kBlockTokens + token] = key[static_cast<size_t>(head * shape.head_dim + d)];
        }
        float* values = keys + kBlockTokens * shape.head_dim + token * cache.value_stride;
        std::copy_n(value, shape.head_dim, values);
        std::fill(values + shape.head_dim, values + cache.value_stride, 0.0F);
      }
    }
  });
}

// Rows of one head one after the other, so that its keys and values stay in the processor's cache.
void CpuPass::AttendSegments(const SegmentAttention& attention, const SegmentCache& cache, Rows& scratch, Rows& out) {
  const AttentionShape& shape = attention.shape;
  const int64_t heads_a_key = shape.heads / shape.kv_heads;
  const int64_t scores = AttendScores(cache.longest, kBlockTokens);
  const int64_t together = std::min<int64_t>(heads_a_key, 4);
  pool_.ParallelFor(out.rows * shape.kv_heads, 4, [&](int64_t begin, int64_t end, int thread) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t kv_head = task / out.rows;
      const int64_t row = task % out.rows;
      const auto segment = static_cast<size_t>(cache.segment_of[static_cast<size_t>(row)]);
      AttendArgs args;
      args.out = out.row(row) + kv_head * heads_a_key * shape.head_dim;
      args.queries = args.out;
      args.heads = heads_a_key;
      args.head_dim = shape.head_dim;
      args.scale = shape.scale;
      args.keys = cache.memory.data() + kv_head * cache.head_stride;
      args.values = args.keys + kBlockTokens * shape.head_dim;
      args.key_block_stride = cache.block_stride;
      args.value_block_stride = cache.block_stride;
      args.value_stride = cache.value_stride;
      args.block_tokens = kBlockTokens;
      args.blocks = cache.block_numbers.data() + cache.first_block[segment];
      args.tokens = attention.segment_ends[segment] - cache.first_row[segment];
      args.scores = scratch.row(thread);
      args.mixed = scratch.row(thread) + together * scores;
      kernels_.attend(args);
    }
  });
}

Activation CpuPass::AttendWithin(const Qkv& qkv, const SegmentAttention& attention) {
  QkvPlaces places;
  if (failed() || !FindQkv(qkv, attention, places)) return {};
  const AttentionShape& shape = attention.shape;
  SegmentCache cache(shape, attention.segment_ends);
  const auto floats = static_cast<size_t>(shape.kv_heads * cache.head_stride);
  cache.memory = arena_.Take(floats);
  if (cache.memory.data() == nullptr) {
    Fail(absl::ResourceExhaustedError(fmt::format("no memory for keys and values of {} floats", floats)));
  }
  const int64_t together = std::min<int64_t>(shape.heads / shape.kv_heads, 4);
  Rows scratch = TakeRows(pool_.threads(), together * (AttendScores(cache.longest, kBlockTokens) + cache.value_stride));
  Rows out = TakeRows(places.rows[0]->rows, shape.heads * shape.head_dim);
  if (!failed()) {
    FillSegments(places, attention, cache, out);
    AttendSegments(attention, cache, scratch, out);
  }
  arena_.Return(std::move(cache.memory));
  arena_.Return(std::move(scratch.buffer));
  return Adopt(std::move(out));
}

}  // namespace gwq
