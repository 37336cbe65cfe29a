#include "core/quant/quantizers.h"

#include <fmt/format.h>

namespace gwq {

// Each method's file defines its own.
const Quantizer& GptqMethod();
const Quantizer& GwqMethod();
const Quantizer& RtnMethod();
const Quantizer& SpqrMethod();
const Quantizer& TunedMethod();

absl::StatusOr<std::vector<QuantizedMatrix>> Quantizer::QuantizeBlock(std::span<const MatrixInput>, BlockObjective&,
                                                                      const Recipe&, const QuantizeTools&,
                                                                      Progress&) const {
  return absl::InternalError(fmt::format("method {} makes one matrix at a time", EnumText(method())));
}

const Quantizer* FindQuantizer(Method method) {
  static const Quantizer* const all[] = {&GptqMethod(), &GwqMethod(), &RtnMethod(), &SpqrMethod(), &TunedMethod()};
  for (const Quantizer* one : all) {
    if (one->method() == method) return one;
  }
  return nullptr;
}

}  // namespace gwq
