// The reference on a real model.
#include "tests/support/smollm2.h"

#include <gtest/gtest.h>

#include "core/backend/torch/torch_backend.h"

namespace gwq {
namespace {

TEST(SmolLm2, GreedyTokensOnTorchBackendEqualTransformersInFp32) {
  const auto imported = testing::ImportedSmolLm2::Import();
  ASSERT_TRUE(imported.ok()) << imported.status();
  // One thread: LibTorch's pool spins between hundreds of short operations a token, which starves other tests.
  const auto backend = TorchBackend::Create({1});
  ASSERT_TRUE(backend.ok()) << backend.status();
  testing::ExpectGoldenGreedyTokens(**backend, (*imported)->model());
}

}  // namespace
}  // namespace gwq
