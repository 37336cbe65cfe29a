// A config.json that is accepted has dimensions whose products do not overflow.
#include "core/models/config.h"
#include "tests/fuzz/bytes.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto config = gwq::ParseModelConfig(gwq::fuzz::Text(data, size));
  if (!config.ok()) return 0;
  gwq::fuzz::Require(config->hidden_size > 0 && config->vocab_size > 0 && config->intermediate_size > 0 &&
                     config->blocks > 0);
  gwq::fuzz::Require(config->vocab_size <= INT64_MAX / config->hidden_size / 8);
  return 0;
}
