// What every backend has to compute for the tiny models: one test body, the tolerance beside the backend.
#pragma once

#include <string>

#include "core/backend/backend.h"

namespace gwq::testing {

// Expectations of GoogleTest on the logits of the golden model `name`: whole prefill, one token at a time, and mixed
// batches of decoding, prefill and a chunk in the middle. `tolerance` is the largest |difference| to transformers.
void ExpectGoldenLogits(Backend& backend, const std::string& name, double tolerance);

}  // namespace gwq::testing
