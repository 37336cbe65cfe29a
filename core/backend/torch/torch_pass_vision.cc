// The operations of vision towers.
#include <ATen/ops/cat.h>
#include <ATen/ops/index_select.h>

#include <utility>

#include "core/backend/torch/layers.h"
#include "core/backend/torch/seam.h"
#include "core/backend/torch/torch_pass.h"

namespace gwq {

Activation TorchPass::Apply(const Activation& x, const Linear& linear, std::optional<Gate> activation) {
  return Do([&] {
    const at::Tensor out = ApplyLinear(At(x), linear);
    return activation.has_value() ? ApplyGate(out, *activation) : out;
  });
}

Activation TorchPass::Normalize(const Activation& x, const Norm& norm) {
  return Do([&] { return Normalized(At(x), norm); });
}

Activation TorchPass::AddRows(Activation x, const Weight& table, std::span<const int32_t> ids) {
  return Do([&] {
    const at::Tensor& onto = At(x);
    const at::Tensor values = ValuesOf(&table).dim() == 1 ? ValuesOf(&table).unsqueeze(0) : ValuesOf(&table);
    Require(values.size(1) == onto.size(1) && static_cast<int64_t>(ids.size()) == onto.size(0),
            "add rows: {} ids of rows of {} to {} rows of {}", ids.size(), values.size(1), onto.size(0), onto.size(1));
    return onto.add(RowsOrZeros(values, ids));
  });
}

Activation TorchPass::Regroup(const Activation& x, std::span<const int32_t> order, int64_t group) {
  return Do([&] {
    const auto count = static_cast<int64_t>(order.size());
    Require(group >= 1 && count > 0 && count % group == 0, "regroup: {} row numbers by {}", count, group);
    return RowsOrZeros(At(x), order).reshape({count / group, group * At(x).size(1)});
  });
}

Activation TorchPass::AttendWithin(const Qkv& qkv, const SegmentAttention& attention) {
  return Do([&] {
    Require(qkv.queries != nullptr && (qkv.keys == nullptr) == (qkv.values == nullptr),
            "attend within: queries, keys or values are missing");
    const AttentionShape& shape = attention.shape;
    const at::Tensor& first = At(*qkv.queries);
    const int64_t rows = first.size(0);
    int64_t column = 0;
    const auto part = [&](const Activation* own, int64_t heads) {
      const int64_t width = heads * shape.head_dim;
      const at::Tensor& from = own == nullptr ? first : At(*own);
      const int64_t begin = qkv.keys == nullptr ? std::exchange(column, column + width) : 0;
      Require(from.size(0) == rows && begin + width <= from.size(1) && (qkv.keys == nullptr || width == from.size(1)),
              "attend within: rows of {} for {} heads of {}", from.size(1), heads, shape.head_dim);
      return from.narrow(1, begin, width).reshape({rows, heads, shape.head_dim});
    };
    at::Tensor queries = part(qkv.queries, shape.heads);
    at::Tensor keys = part(qkv.keys, shape.kv_heads);
    const at::Tensor values = part(qkv.values, shape.kv_heads);
    Require(qkv.keys != nullptr || column == first.size(1), "attend within: rows of {} for heads of {} in all",
            first.size(1), column);
    if (!attention.cosines.empty()) {
      const auto angles = static_cast<size_t>(rows * shape.head_dim / 2);
      Require(attention.cosines.size() == angles && attention.sines.size() == angles,
              "attend within: {} angles for {} rows of heads of {}", attention.cosines.size(), rows, shape.head_dim);
      const RotaryTables tables = TablesOf(attention.cosines, attention.sines, rows);
      queries = Rotate(queries, tables);
      keys = Rotate(keys, tables);
    }
    std::vector<at::Tensor> parts;
    int64_t begin = 0;
    for (const int64_t end : attention.segment_ends) {
      Require(end > begin && end <= rows, "attend within: a segment from row {} to {} of {}", begin, end, rows);
      const auto segment = [&](const at::Tensor& x) { return x.narrow(0, begin, end - begin); };
      parts.push_back(FullAttention(segment(queries), segment(keys), segment(values), shape.scale));
      begin = end;
    }
    Require(begin == rows, "attend within: segments cover {} of {} rows", begin, rows);
    return parts.size() == 1 ? parts[0] : at::cat(parts, 0);
  });
}

}  // namespace gwq
