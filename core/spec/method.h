// The methods of quantization by name: what a recipe, a plan and a report may say.
#pragma once

#include <string_view>

#include "core/spec/enum_names.h"

namespace gwq {

// How one matrix is stored. The order is that of gwq.v1.Method, which counts from 1. core/quant/quantizers.cc says who
// makes each; kKeep leaves the tensor as it is.
enum class Method { kGwq, kRtn, kKeep, kGptq, kSpqr, kTuned };

inline constexpr EnumEntry<Method> kMethodNames[] = {{Method::kGwq, "gwq"},   {Method::kRtn, "rtn"},
                                                     {Method::kKeep, "keep"}, {Method::kGptq, "gptq"},
                                                     {Method::kSpqr, "spqr"}, {Method::kTuned, "tuned"}};
constexpr const auto& NamesOf(Method) { return kMethodNames; }

}  // namespace gwq
