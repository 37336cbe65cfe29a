#include "tests/core/storage/blob_store_conformance.h"

#include <gmock/gmock.h>

#include <string>
#include <thread>
#include <vector>

#include "core/storage/commit_group.h"
#include "tests/support/status_matchers.h"

namespace gwq::testing {
namespace {

std::span<const std::byte> Bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

TEST_P(BlobStoreConformance, ReadsBackWhatWasPut) {
  const auto digest = PutBlob(store(), Bytes("hello blob"));
  ASSERT_THAT(digest, IsOk());
  EXPECT_EQ(*digest, Sha256Of("hello blob"));
  EXPECT_EQ(ReadBlob(store(), *digest, 100).value(), "hello blob");
  std::string part(4, '-');
  EXPECT_THAT(store().Read(*digest, 6, std::as_writable_bytes(std::span(part))), IsOk());
  EXPECT_EQ(part, "blob");
  EXPECT_THAT(store().Read(*digest, 7, std::as_writable_bytes(std::span(part))),
              HasCode(absl::StatusCode::kOutOfRange));
  EXPECT_THAT(ReadBlob(store(), *digest, 9), HasCode(absl::StatusCode::kResourceExhausted));
  EXPECT_EQ(store().Stat(*digest)->size, 10u);
}

TEST_P(BlobStoreConformance, KnowsNothingOfOtherDigests) {
  const Digest digest = Sha256Of("never stored");
  std::byte byte{};
  EXPECT_THAT(store().Stat(digest), HasCode(absl::StatusCode::kNotFound));
  EXPECT_THAT(store().Read(digest, 0, {&byte, 1}), HasCode(absl::StatusCode::kNotFound));
  EXPECT_THAT(store().Materialize(digest), HasCode(absl::StatusCode::kNotFound));
}

TEST_P(BlobStoreConformance, MapsOnACacheLineAlsoEmptyBlobs) {
  const Digest digest = PutBlob(store(), Bytes("mapped")).value();
  const auto blob = store().Materialize(digest);
  ASSERT_THAT(blob, IsOk());
  EXPECT_EQ(reinterpret_cast<uintptr_t>((*blob)->bytes().data()) % 64, 0u);
  (*blob)->DropPages();
  EXPECT_EQ(Sha256Of((*blob)->bytes()), digest);
  const Digest empty = PutBlob(store(), {}).value();
  const auto nothing = store().Materialize(empty);
  ASSERT_THAT(nothing, IsOk());
  EXPECT_TRUE((*nothing)->bytes().empty());
}

TEST_P(BlobStoreConformance, ShowsNothingBeforeTheCommit) {
  const Digest digest = Sha256Of("text");
  auto writer = store().Begin("key", digest, 4);
  ASSERT_THAT(writer, IsOk());
  ASSERT_THAT((*writer)->Append(Bytes("text")), IsOk());
  ASSERT_THAT((*writer)->Sync(), IsOk());
  EXPECT_THAT(store().Stat(digest), HasCode(absl::StatusCode::kNotFound));
  EXPECT_EQ((*writer)->Commit().value(), digest);
  EXPECT_THAT(store().Stat(digest), IsOk());
  EXPECT_EQ(store().PartialSize("key"), 0u);
}

TEST_P(BlobStoreConformance, GoesOnFromWhatWasSynced) {
  const std::string text = "the first part, the second part";
  const Digest digest = Sha256Of(text);
  {
    auto writer = store().Begin("upload/1", digest, text.size()).value();
    EXPECT_EQ(writer->offset(), 0u);
    ASSERT_THAT(writer->Append(Bytes(text.substr(0, 10))), IsOk());
    ASSERT_THAT(writer->Sync(), IsOk());
    ASSERT_THAT(writer->Append(Bytes("never synced")), IsOk());
  }
  const auto reopened = fixture_->Reopen();
  EXPECT_EQ(reopened->PartialSize("upload/1"), 10u);
  auto writer = reopened->Begin("upload/1", digest, text.size()).value();
  ASSERT_EQ(writer->offset(), 10u);
  ASSERT_THAT(writer->Append(Bytes(text.substr(10))), IsOk());
  EXPECT_EQ(writer->Commit().value(), digest);
  EXPECT_EQ(ReadBlob(store(), digest, 100).value(), text);
}

TEST_P(BlobStoreConformance, DropsBytesThatAreNotWhatWasDeclared) {
  auto writer = store().Begin("key", Sha256Of("right"), 5).value();
  ASSERT_THAT(writer->Append(Bytes("wrong")), IsOk());
  ASSERT_THAT(writer->Sync(), IsOk());
  EXPECT_THAT(writer->Commit(), HasCode(absl::StatusCode::kDataLoss));
  EXPECT_THAT(writer->Append(Bytes("more")), HasCode(absl::StatusCode::kFailedPrecondition));
  writer.reset();
  EXPECT_EQ(store().PartialSize("key"), 0u);
  EXPECT_THAT(store().Stat(Sha256Of("wrong")), HasCode(absl::StatusCode::kNotFound));
  writer = store().Begin("key", Sha256Of("right"), 5).value();
  EXPECT_EQ(writer->offset(), 0u);
  ASSERT_THAT(writer->Append(Bytes("right")), IsOk());
  EXPECT_THAT(writer->Commit(), IsOk());
}

TEST_P(BlobStoreConformance, RefusesTooFewAndTooManyBytes) {
  auto writer = store().Begin("key", Sha256Of("right"), 5).value();
  EXPECT_THAT(writer->Append(Bytes("righteous")), HasCode(absl::StatusCode::kInvalidArgument));
  ASSERT_THAT(writer->Append(Bytes("righ")), IsOk());
  EXPECT_THAT(writer->Commit(), HasCode(absl::StatusCode::kDataLoss));
}

TEST_P(BlobStoreConformance, ForgetsADiscardedWriter) {
  auto writer = store().Begin("key", Sha256Of("text"), 4).value();
  ASSERT_THAT(writer->Append(Bytes("te")), IsOk());
  ASSERT_THAT(writer->Sync(), IsOk());
  writer->Discard();
  EXPECT_EQ(store().PartialSize("key"), 0u);
}

TEST_P(BlobStoreConformance, OneLiveWriterAKey) {
  auto first = store().Begin("key", Sha256Of("text"), 4).value();
  EXPECT_THAT(store().Begin("key", Sha256Of("text"), 4), HasCode(absl::StatusCode::kAlreadyExists));
  EXPECT_THAT(store().Begin("other", Sha256Of("text"), 4), IsOk());
  first.reset();
  EXPECT_THAT(store().Begin("key", Sha256Of("text"), 4), IsOk());
}

TEST_P(BlobStoreConformance, DropsPartialsByPrefixAndNoOthers) {
  for (const char* const key : {"a/1", "a/2", "ab/1", "b/1"}) {
    auto writer = store().Begin(key, Sha256Of("text"), 4).value();
    ASSERT_THAT(writer->Append(Bytes("te")), IsOk());
    ASSERT_THAT(writer->Sync(), IsOk());
  }
  ASSERT_THAT(store().DropPartials("a/"), IsOk());
  EXPECT_EQ(store().PartialSize("a/1"), 0u);
  EXPECT_EQ(store().PartialSize("a/2"), 0u);
  EXPECT_EQ(store().PartialSize("ab/1"), 2u);
  EXPECT_EQ(store().PartialSize("b/1"), 2u);
}

TEST_P(BlobStoreConformance, KeysMayHoldAnyBytesButNotTooMany) {
  for (const std::string_view key : {"../escape", "a.sync", "%", "\xff\n"}) {
    auto writer = store().Begin(key, Sha256Of("text"), 4);
    ASSERT_THAT(writer, IsOk());
    ASSERT_THAT((*writer)->Append(Bytes("text")), IsOk());
    EXPECT_THAT((*writer)->Commit(), IsOk());
  }
  EXPECT_THAT(store().Begin("", Sha256Of("text"), 4), HasCode(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(store().Begin(std::string(1000, 'k'), Sha256Of("text"), 4), HasCode(absl::StatusCode::kInvalidArgument));
}

TEST_P(BlobStoreConformance, TheSameBytesAreOneBlobWithTheLaterTime) {
  const Digest digest = PutBlob(store(), Bytes("same")).value();
  const int64_t first = store().Stat(digest)->stored_wall_millis;
  const auto mapped = store().Materialize(digest).value();
  fixture_->clock().Advance(5000);
  EXPECT_EQ(PutBlob(store(), Bytes("same")).value(), digest);
  EXPECT_EQ(store().Stat(digest)->stored_wall_millis, first + 5000);
  EXPECT_EQ(Sha256Of(mapped->bytes()), digest);
}

TEST_P(BlobStoreConformance, CollectsWhatIsOldAndNotKept) {
  const Digest kept = PutBlob(store(), Bytes("kept")).value();
  const Digest old = PutBlob(store(), Bytes("garbage")).value();
  const Digest renewed = PutBlob(store(), Bytes("renewed")).value();
  const auto pinned = store().Materialize(old).value();
  fixture_->clock().Advance(10'000);
  const int64_t limit = store().Stat(old)->stored_wall_millis + 5000;
  ASSERT_THAT(PutBlob(store(), Bytes("renewed")), IsOk());
  const Digest young = PutBlob(store(), Bytes("young")).value();
  EXPECT_EQ(store().CollectGarbage({kept}, limit).value(), 7u);
  EXPECT_THAT(store().Stat(old), HasCode(absl::StatusCode::kNotFound));
  EXPECT_THAT(store().Stat(kept), IsOk());
  EXPECT_THAT(store().Stat(renewed), IsOk());
  EXPECT_THAT(store().Stat(young), IsOk());
  EXPECT_EQ(Sha256Of(pinned->bytes()), old) << "a pinned blob stays readable";
}

TEST_P(BlobStoreConformance, RemovesABlobAtOnceAndOnlyThatOne) {
  const Digest gone = PutBlob(store(), Bytes("gone")).value();
  const Digest other = PutBlob(store(), Bytes("other")).value();
  const auto pinned = store().Materialize(gone).value();
  EXPECT_THAT(store().Remove(gone), IsOk());
  EXPECT_THAT(store().Stat(gone), HasCode(absl::StatusCode::kNotFound));
  EXPECT_THAT(store().Stat(other), IsOk());
  EXPECT_EQ(Sha256Of(pinned->bytes()), gone) << "a pinned blob stays readable";
  EXPECT_THAT(store().Remove(gone), IsOk()) << "there is none: that is what was asked for";
  EXPECT_EQ(PutBlob(store(), Bytes("gone")).value(), gone) << "and it can be stored anew";
}

TEST_P(BlobStoreConformance, TakesManyWritersAtOnce) {
  std::vector<Digest> digests(64);
  {
    CommitGroup commits;
    for (size_t i = 0; i < digests.size(); ++i) {
      auto writer = store().BeginUnnamed().value();
      ASSERT_THAT(writer->Append(Bytes(std::to_string(i))), IsOk());
      commits.Commit(std::move(writer), &digests[i]);
    }
    ASSERT_THAT(commits.Finish(), IsOk());
  }
  for (size_t i = 0; i < digests.size(); ++i) {
    EXPECT_EQ(ReadBlob(store(), digests[i], 10).value(), std::to_string(i));
  }
}

TEST_P(BlobStoreConformance, ACommitBesideTheCollectorIsNeverLost) {
  // Puts renew the same blobs over and over while the collector removes what it finds old.
  std::thread collector([&] {
    for (int i = 0; i < 40; ++i) {
      fixture_->clock().Advance(1);
      const int64_t now = fixture_->clock().WallMillis();
      EXPECT_THAT(store().CollectGarbage({}, now), IsOk());
    }
  });
  for (int i = 0; i < 40; ++i) {
    const auto digest = PutBlob(store(), Bytes(std::to_string(i % 3)));
    EXPECT_THAT(digest, IsOk());
  }
  collector.join();
  for (int i = 0; i < 3; ++i) EXPECT_THAT(PutBlob(store(), Bytes(std::to_string(i))), IsOk());
  for (int i = 0; i < 3; ++i) EXPECT_THAT(store().Stat(Sha256Of(std::to_string(i))), IsOk());
}

}  // namespace
}  // namespace gwq::testing
