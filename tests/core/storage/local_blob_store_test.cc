#include "core/storage/local_blob_store.h"

#include <gtest/gtest.h>

#include "tests/core/storage/blob_store_conformance.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"

namespace gwq {
namespace {

using testing::HasCode;
using testing::IsOk;

class LocalFixture final : public testing::StoreFixture {
 public:
  LocalFixture() : store_(Reopen()) {}
  BlobStore& store() override { return *store_; }
  std::unique_ptr<BlobStore> Reopen() override {
    return OpenLocalBlobStore(LocalFileSystem(), folder_ / "root", clock_).value();
  }
  FakeClock& clock() override { return clock_; }

 private:
  testing::TempFolder folder_;
  FakeClock clock_;
  const std::unique_ptr<BlobStore> store_;
};

}  // namespace

namespace testing {

INSTANTIATE_TEST_SUITE_P(Local, BlobStoreConformance,
                         ::testing::Values(StoreFactory([] { return std::make_unique<LocalFixture>(); })));

}  // namespace testing

namespace {

TEST(LocalBlobStore, SaysWhichFolderCannotBeOpened) {
  const testing::TempFolder folder;
  ASSERT_THAT(WriteFileAtomically(LocalFileSystem(), folder / "file", {}), IsOk());
  const auto store = OpenLocalBlobStore(LocalFileSystem(), folder / "file", SystemClock());
  ASSERT_FALSE(store.ok());
  EXPECT_NE(MessageOf(store.status()).find(folder / "file"), std::string_view::npos);
}

TEST(LocalBlobStore, CollectsTemporaryFilesThatACrashLeft) {
  const testing::TempFolder folder;
  const auto store = OpenLocalBlobStore(LocalFileSystem(), folder.path(), SystemClock()).value();
  const std::string left = folder / "temporary/left";
  const std::string text = "bytes";
  ASSERT_THAT(WriteFileAtomically(LocalFileSystem(), left, std::as_bytes(std::span(text))), IsOk());
  ASSERT_THAT(LocalFileSystem().SetModified(left, 1000), IsOk());
  auto live = store->BeginUnnamed().value();
  EXPECT_EQ(store->CollectGarbage({}, 2000).value(), 5u);
  EXPECT_FALSE(LocalFileSystem().Exists(left));
  EXPECT_THAT(live->Commit(), IsOk());
}

TEST(LocalBlobStore, AnUnnamedWriterThatEndsEarlyLeavesNothing) {
  const testing::TempFolder folder;
  const auto store = OpenLocalBlobStore(LocalFileSystem(), folder.path(), SystemClock()).value();
  const std::string text = "bytes";
  {
    auto writer = store->BeginUnnamed().value();
    ASSERT_THAT(writer->Append(std::as_bytes(std::span(text))), IsOk());
    ASSERT_THAT(writer->Sync(), IsOk());
  }
  EXPECT_TRUE(LocalFileSystem().List(folder / "temporary")->empty());
}

TEST(LocalBlobStore, AWriterMayOutliveTheStore) {
  const testing::TempFolder folder;
  auto store = OpenLocalBlobStore(LocalFileSystem(), folder.path(), SystemClock()).value();
  auto writer = store->BeginUnnamed().value();
  store.reset();
  EXPECT_THAT(writer->Commit(), IsOk());
}

}  // namespace
}  // namespace gwq
