// What every Backend must do, whatever it runs on. A test binary compiles backend_conformance.cc,
// backend_rows_conformance.cc, backend_vision_conformance.cc, reference.cc and weights.cc and registers each of its
// backends by INSTANTIATE_TEST_SUITE_P.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/backend/backend.h"

namespace gwq::testing {

struct BackendCase {
  std::string name;
  std::function<absl::StatusOr<std::unique_ptr<Backend>>()> create;
  double tolerance = 1e-5;  // of FP32 results, relative to the largest magnitude
  bool has_cache = true;    // false if keys and values live in the pass: every sequence starts at context 0
  bool bitwise_rows = true;
  double max_bits_over_stored = 1.5;  // a weight, in memory, over the bits of its codes or elements
};

inline void PrintTo(const BackendCase& backend, std::ostream* out) { *out << backend.name; }
inline std::string CaseName(const ::testing::TestParamInfo<BackendCase>& info) { return info.param.name; }

class BackendConformance : public ::testing::TestWithParam<BackendCase> {
 protected:
  void SetUp() override;
  std::unique_ptr<Backend> backend_;
};

// A batch with its own storage: sequences of `lengths` rows after `contexts` cached tokens, on scattered blocks.
class TestBatch {
 public:
  TestBatch(const std::vector<int64_t>& lengths, const std::vector<int64_t>& contexts, const KvCacheShape& cache);
  explicit TestBatch(int64_t rows) : TestBatch({rows}, {0}, {}) {}
  TestBatch(const TestBatch&) = delete;
  TestBatch& operator=(const TestBatch&) = delete;

  std::vector<int32_t> tokens;
  std::vector<int32_t> positions;
  std::vector<int32_t> output_rows;  // every row
  std::vector<std::vector<int32_t>> blocks;
  std::vector<SequenceRows> sequences;
  // Points at the vectors as they are now.
  [[nodiscard]] Batch batch() const;

 private:
  int64_t rows_;
};

// Reads the whole activation; records a failure where that fails.
[[nodiscard]] std::vector<float> ReadAll(Pass& pass, const Activation& activation, int64_t rows);

}  // namespace gwq::testing
