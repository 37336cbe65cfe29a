#include "core/quant/quantizers.h"

#include "core/quant/gptq/gptq.h"
#include "core/quant/gwq/gwq.h"
#include "core/quant/rtn/rtn.h"
#include "core/quant/spqr/spqr.h"

namespace gwq {

const Quantizer* FindQuantizer(Method method) {
  static const GwqQuantizer gwq;
  static const RtnQuantizer rtn;
  static const GptqQuantizer gptq;
  static const SpqrQuantizer spqr;
  static const Quantizer* const all[] = {&gwq, &rtn, &gptq, &spqr};
  for (const Quantizer* one : all) {
    if (one->method() == method) return one;
  }
  return nullptr;
}

}  // namespace gwq
