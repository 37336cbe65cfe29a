#include "core/quant/quantizers.h"

namespace gwq {

// Each method's file defines its own.
const Quantizer& GptqMethod();
const Quantizer& GwqMethod();
const Quantizer& RtnMethod();
const Quantizer& SpqrMethod();

const Quantizer* FindQuantizer(Method method) {
  static const Quantizer* const all[] = {&GptqMethod(), &GwqMethod(), &RtnMethod(), &SpqrMethod()};
  for (const Quantizer* one : all) {
    if (one->method() == method) return one;
  }
  return nullptr;
}

}  // namespace gwq
