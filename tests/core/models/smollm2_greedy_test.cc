// The import's weights, the family and the kernels together: what a user sees.
#include <gtest/gtest.h>

#include "core/backend/cpu/cpu_backend.h"
#include "tests/support/smollm2.h"

namespace gwq {
namespace {

TEST(SmolLm2, GreedyTokensOnCpuBackendEqualTransformersInFp32) {
  const auto imported = testing::ImportedSmolLm2::Import();
  ASSERT_TRUE(imported.ok()) << imported.status();
  const auto backend = CreateCpuBackend({.threads = 2, .isa = {}});
  ASSERT_TRUE(backend.ok()) << backend.status();
  testing::ExpectGoldenGreedyTokens(**backend, (*imported)->model());
}

}  // namespace
}  // namespace gwq
