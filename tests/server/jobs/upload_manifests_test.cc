// Which manifests of uploads in progress are kept.
#include <gtest/gtest.h>

#include <map>
#include <memory>

#include "core/jobs/sqlite_store.h"
#include "server/jobs/handlers/upload_manifest.h"
#include "tests/support/status_matchers.h"

namespace gwq {
namespace {

class UploadManifestsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto opened = SqliteStore::Open({.path = ":memory:", .new_id = [this] { return next_id_; }}, clock_);
    ASSERT_THAT(opened, testing::IsOk());
    store_ = *std::move(opened);
  }
  void Begin(const std::string& id) {
    next_id_ = id;
    Upload upload;
    upload.principal = "alice";
    upload.name = "m";
    ASSERT_THAT(store_->CreateUpload(upload), testing::IsOk());
    ASSERT_THAT(store_->AddUploadPage("alice", id, 0, R"({"files":[],"last":true})"), testing::IsOk());
  }
  // A kept manifest is the same object again. Shared, so that no other takes its place in memory.
  std::shared_ptr<const UploadManifest> Of(const std::string& id) { return *manifests_.Of(*store_, "alice", id); }

  FakeClock clock_;
  std::string next_id_;
  std::unique_ptr<SqliteStore> store_;
  UploadManifests manifests_;
};

TEST_F(UploadManifestsTest, TheLeastRecentlyUsedGoesFirstWhateverItsId) {
  const std::string ids = "abcdefgh";  // as many as are kept
  std::map<char, std::shared_ptr<const UploadManifest>> first;
  for (const char id : ids) {
    Begin({id});
    first[id] = Of({id});
  }
  EXPECT_EQ(Of("a"), first['a']);
  Begin("0");
  (void)Of("0");
  EXPECT_EQ(Of("a"), first['a']) << "it was used since";
  EXPECT_NE(Of("b"), first['b']);
}

TEST_F(UploadManifestsTest, AForgottenUploadIsAssembledAnew) {
  Begin("a");
  const auto first = Of("a");
  EXPECT_EQ(Of("a"), first);
  manifests_.Forget("a");
  EXPECT_NE(Of("a"), first);
}

TEST_F(UploadManifestsTest, AnUploadOfAnotherPrincipalIsNotFoundThoughItIsKept) {
  Begin("a");
  (void)Of("a");
  EXPECT_TRUE(absl::IsNotFound(manifests_.Of(*store_, "bob", "a").status()));
}

}  // namespace
}  // namespace gwq
