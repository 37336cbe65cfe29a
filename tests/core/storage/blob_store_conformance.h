// What every BlobStore must do; each implementation registers once with
// INSTANTIATE_TEST_SUITE_P(Name, BlobStoreConformance, ::testing::Values(&MakeIt)).
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>

#include "core/base/clock.h"
#include "core/storage/blob_store.h"

namespace gwq::testing {

// A store with what it needs. The clock is the one that dates its blobs.
class StoreFixture {
 public:
  virtual ~StoreFixture() = default;
  [[nodiscard]] virtual BlobStore& store() = 0;
  // The store as another process, or this one after a restart, sees it.
  [[nodiscard]] virtual std::unique_ptr<BlobStore> Reopen() = 0;
  [[nodiscard]] virtual FakeClock& clock() = 0;
};
using StoreFactory = std::function<std::unique_ptr<StoreFixture>()>;

class BlobStoreConformance : public ::testing::TestWithParam<StoreFactory> {
 protected:
  BlobStoreConformance() : fixture_(GetParam()()) {}
  [[nodiscard]] BlobStore& store() { return fixture_->store(); }

  const std::unique_ptr<StoreFixture> fixture_;
};

}  // namespace gwq::testing
