// What speaks against a set of calibration samples.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/calibration/sample_set.h"

namespace gwq {

struct SampleNeeds {
  int64_t max_tokens = 512;  // as the recipe has it
  int64_t samples = 1;       // that the methods of the recipe should have at least
  int64_t rows = 0;          // tokens, of all samples together, that its widest Gram matrix should be made of; 0: none
};

// A sentence for each of these, of a set that has it:
//   a sample repeats itself: over 20 % of its stretches of 8 tokens stand earlier in it
//   a sample repeats others: over half of its stretches of 8 tokens stand in samples before it
//   a sample is short: under 64 tokens or a quarter of max_tokens (a quarter of that alone where max_tokens is under
//   256) there are fewer samples than `samples`, or fewer tokens than `rows`
// Memory: 8 bytes for about a million stretches at most; of more, an even share is looked at.
[[nodiscard]] std::vector<std::string> SampleWarnings(const SampleSet& samples, const SampleNeeds& needs);

}  // namespace gwq
