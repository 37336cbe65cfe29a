// The families on CpuBackend with dense weights against transformers.
#include <gtest/gtest.h>

#include "core/backend/cpu/cpu_backend.h"
#include "tests/support/golden_model.h"
#include "tests/support/logits_conformance.h"

namespace gwq {
namespace {

// fp32 against transformers' fp32, for weights stored as F32, F16 and BF16.
constexpr double kLogitsTolerance = 1e-4;

class CpuLogits : public ::testing::TestWithParam<std::string> {};

TEST_P(CpuLogits, EqualTransformersInPrefillDecodingAndMixedBatchesOnEveryInstructionSet) {
  for (const IsaLevel isa : SupportedIsaLevels()) {
    SCOPED_TRACE(IsaLevelName(isa));
    const auto backend = CreateCpuBackend({.threads = 2, .isa = isa});
    ASSERT_TRUE(backend.ok()) << backend.status();
    testing::ExpectGoldenLogits(**backend, GetParam(), kLogitsTolerance);
  }
}

INSTANTIATE_TEST_SUITE_P(Models, CpuLogits, ::testing::ValuesIn(testing::GoldenModelNames()), [](const auto& which) {
  std::string name = which.param;
  std::ranges::replace(name, '-', '_');
  return name;
});

}  // namespace
}  // namespace gwq
