#include "core/storage/local_blob_store.h"

#include <gtest/gtest.h>

#include "core/io/fault_file_system.h"
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

// Knows which lock is held while blobs come and go. For one thread.
class LockWatch final : public FaultFileSystem {
 public:
  LockWatch() : FaultFileSystem(LocalFileSystem()) {}

  absl::StatusOr<std::unique_ptr<FileLock>> Lock(const std::string& path, bool exclusive) override {
    auto lock = FaultFileSystem::Lock(path, exclusive);
    if (!lock.ok()) return lock;
    return std::make_unique<Held>(*std::move(lock), exclusive ? exclusive_ : shared_);
  }
  absl::Status Rename(const std::string& from, const std::string& to) override {
    EXPECT_EQ(shared_ + exclusive_, 1) << "a commit of " << to << " that the collector cannot see";
    ++checked;
    return FaultFileSystem::Rename(from, to);
  }
  absl::Status Remove(const std::string& path) override {
    if (path.find("/blobs/") != std::string::npos) {
      EXPECT_EQ(exclusive_, 1) << "a commit may renew " << path << " while it is removed";
      ++checked;
    }
    return FaultFileSystem::Remove(path);
  }
  int checked = 0;

 private:
  class Held final : public FileLock {
   public:
    Held(std::unique_ptr<FileLock> lock, int& count) : lock_(std::move(lock)), count_(count) { ++count_; }
    ~Held() override { --count_; }

   private:
    const std::unique_ptr<FileLock> lock_;
    int& count_;
  };
  int shared_ = 0;
  int exclusive_ = 0;
};

TEST(LocalBlobStore, TheCollectorShutsCommitsOutWhileItRemoves) {
  const testing::TempFolder folder;
  FakeClock clock;
  LockWatch files;
  const auto store = OpenLocalBlobStore(files, folder.path(), clock).value();
  const std::string text = "bytes";
  ASSERT_THAT(PutBlob(*store, std::as_bytes(std::span(text))), IsOk());
  EXPECT_EQ(store->CollectGarbage({}, clock.WallMillis() + 1).value(), 5u);
  EXPECT_EQ(files.checked, 2);
}

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
