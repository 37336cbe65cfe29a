// The reference on a real model.
#include "tests/support/smollm2.h"

#include <gtest/gtest.h>

#include "core/backend/torch/torch_backend.h"

namespace gwq {
namespace {

TEST(SmolLm2, GreedyTokensOnTorchBackendEqualTransformersInFp32) {
  const auto imported = testing::ImportedSmolLm2::Import();
  ASSERT_TRUE(imported.ok()) << imported.status();
  const auto backend = TorchBackend::Create({2});
  ASSERT_TRUE(backend.ok()) << backend.status();
  testing::ExpectGoldenGreedyTokens(**backend, (*imported)->model());
}

}  // namespace
}  // namespace gwq
