// Random weights in every form a backend loads, beside the dense matrix they stand for.
#pragma once

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "core/backend/backend.h"
#include "tests/core/backend/reference.h"

namespace gwq::testing {

// kF32, kF16, kBF16 or packed of 2 to 8 bits.
struct WeightForm {
  std::string name;
  DType type = DType::kF32;
  int bits = 0;             // 0 if dense
  int64_t group_size = 64;  // cut to the columns where they are fewer
  double outlier_ratio = 0.01;
  const Format* format = &kAffine1;
  int scale_bits = 16;
};
[[nodiscard]] const std::vector<WeightForm>& AllForms();

struct TestWeight {
  std::unique_ptr<Weight> weight;
  Matrix dense;
};
[[nodiscard]] TestWeight RandomWeight(Backend& backend, const WeightForm& form, int64_t rows, int64_t cols,
                                      std::mt19937& random);
[[nodiscard]] TestWeight RandomVector(Backend& backend, int64_t size, double mean, std::mt19937& random);

}  // namespace gwq::testing
