#include "core/models/config_fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string>

namespace gwq {

Gate ReadActivation(ConfigReader& json, std::string_view name, std::string_view fallback) {
  struct Name {
    std::string_view name;
    Gate gate;
  };
  constexpr std::array<Name, 7> kNames = {{{"silu", Gate::kSilu},
                                           {"swish", Gate::kSilu},
                                           {"gelu", Gate::kGelu},
                                           {"gelu_new", Gate::kGeluTanh},
                                           {"gelu_pytorch_tanh", Gate::kGeluTanh},
                                           {"quick_gelu", Gate::kQuickGelu},
                                           {"relu", Gate::kRelu}}};
  const std::string text = json.StringOr(name, fallback);
  for (const Name& known : kNames) {
    if (known.name == text) return known.gate;
  }
  json.Unsupported(name, fmt::format("'{}' is not supported; known are silu, gelu, gelu_new, gelu_pytorch_tanh, "
                                     "quick_gelu and relu",
                                     text.substr(0, 40)));
  return Gate::kSilu;
}

int64_t ReadSquare(ConfigReader& json, std::string_view name, int64_t fallback, int64_t high) {
  const std::vector<int64_t> sizes = json.Ints(name, 1, high);
  if (sizes.empty()) return fallback;
  if (!std::ranges::all_of(sizes, [&](int64_t size) { return size == sizes[0]; })) {
    json.Unsupported(name, "its sides differ, which is not supported");
  }
  return sizes[0];
}

AttentionShape ReadTowerAttention(ConfigReader& json, std::string_view heads_field, int64_t hidden, bool rotary) {
  AttentionShape shape;
  shape.heads = json.Int(heads_field, 1, kMaxHeads);
  shape.kv_heads = shape.heads;
  shape.head_dim = hidden / shape.heads;
  const int64_t multiple = rotary ? 4 : 1;
  if (hidden % shape.heads != 0 || shape.head_dim > kMaxHeadDim || shape.head_dim % multiple != 0) {
    json.Invalid(heads_field, fmt::format("is {}, must divide the hidden size, which is {}, into heads of a multiple "
                                          "of {} up to {}",
                                          shape.heads, hidden, multiple, kMaxHeadDim));
    shape = {1, 1, 4, 0};
  }
  shape.scale = 1.0F / std::sqrt(static_cast<float>(shape.head_dim));
  return shape;
}

}  // namespace gwq
