// The local store under a crash, or a failure, at each of its durable steps.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/io/fault_file_system.h"
#include "core/storage/local_blob_store.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"

namespace gwq {
namespace {

using testing::HasCode;
using testing::IsOk;

constexpr std::string_view kText = "forty-two bytes of a tensor, more or less.";
constexpr std::string_view kOther = "another blob, committed before";
constexpr uint64_t kSyncedAt = 16;
constexpr const char* kCrashNames[] = {"DropUnsynced", "ZeroUnsynced", "KeepUnsynced"};

std::span<const std::byte> Bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

// What the writer of an upload does: a part, a sync, the rest, a commit.
struct Outcome {
  bool synced = false;     // Sync answered OK
  bool committed = false;  // Commit answered OK
};

absl::Status Upload(FileSystem& files, const std::string& root, Outcome& outcome) {
  GWQ_ASSIGN_OR_RETURN(const auto store, OpenLocalBlobStore(files, root, SystemClock()));
  GWQ_ASSIGN_OR_RETURN(const auto writer, store->Begin("upload/1", Sha256Of(kText), kText.size()));
  if (writer->offset() < kSyncedAt) {
    GWQ_RETURN_IF_ERROR(writer->Append(Bytes(kText.substr(writer->offset(), kSyncedAt - writer->offset()))));
    GWQ_RETURN_IF_ERROR(writer->Sync());
  }
  outcome.synced = true;
  GWQ_RETURN_IF_ERROR(writer->Append(Bytes(kText.substr(writer->offset()))));
  GWQ_RETURN_IF_ERROR(writer->Commit().status());
  outcome.committed = true;
  return absl::OkStatus();
}

// No blob's bytes may differ from its name, whatever happened.
void ExpectOnlyWholeBlobs(BlobStore& store, const std::string& root) {
  const auto folders = LocalFileSystem().List(root + "/blobs");
  ASSERT_THAT(folders, IsOk());
  for (const std::string& folder : *folders) {
    const auto names = LocalFileSystem().List(fmt::format("{}/blobs/{}", root, folder));
    ASSERT_THAT(names, IsOk());
    for (const std::string& name : *names) {
      const auto digest = Digest::Parse(name);
      ASSERT_THAT(digest, IsOk()) << name;
      const auto text = ReadBlob(store, *digest, 1000);
      ASSERT_THAT(text, IsOk());
      EXPECT_EQ(Sha256Of(*text), *digest) << "a blob is half-written";
    }
  }
}

class CrashAtEachStep : public ::testing::TestWithParam<CrashKind> {};

TEST_P(CrashAtEachStep, NothingPromisedIsLostAndNothingHalfIsSeen) {
  bool finished = false;
  int64_t steps = 0;
  for (int64_t step = 0; !finished; ++step) {
    SCOPED_TRACE(fmt::format("crash at durable step {}", step));
    const testing::TempFolder folder;
    const std::string root = folder / "store";
    ASSERT_THAT(PutBlob(*OpenLocalBlobStore(LocalFileSystem(), root, SystemClock()).value(), Bytes(kOther)), IsOk());

    FaultFileSystem files(LocalFileSystem());
    files.CrashAt(step, GetParam());
    Outcome before;
    Upload(files, root, before).IgnoreError();
    finished = !files.crashed();
    if (finished) {
      files.Crash(GetParam());
      steps = step;
      EXPECT_TRUE(before.committed);
    }
    files.Restart();

    const auto store = OpenLocalBlobStore(files, root, SystemClock()).value();
    ExpectOnlyWholeBlobs(*store, root);
    EXPECT_EQ(ReadBlob(*store, Sha256Of(kOther), 100).value(), kOther);
    const bool visible = store->Stat(Sha256Of(kText)).ok();
    if (before.committed) {
      EXPECT_TRUE(visible) << "a commit was lost";
    }
    if (before.synced && !visible) {
      EXPECT_GE(store->PartialSize("upload/1"), kSyncedAt) << "synced bytes were lost";
    }
    Outcome after;
    EXPECT_THAT(Upload(files, root, after), IsOk()) << "the upload does not go on";
    EXPECT_EQ(ReadBlob(*store, Sha256Of(kText), 100).value(), kText);
    EXPECT_EQ(store->PartialSize("upload/1"), 0u);
  }
  EXPECT_GT(steps, 12) << "the steps are no longer counted";
}

INSTANTIATE_TEST_SUITE_P(All, CrashAtEachStep,
                         ::testing::Values(CrashKind::kDropUnsynced, CrashKind::kZeroUnsynced,
                                           CrashKind::kKeepUnsynced),
                         [](const auto& info) { return std::string(kCrashNames[static_cast<int>(info.param)]); });

// The same in a process that dies: locks and descriptors go with it, nothing is cleaned up.
TEST(KillAtEachStep, TheNextProcessGoesOn) {
  bool finished = false;
  for (int64_t step = 0; !finished; ++step) {
    SCOPED_TRACE(fmt::format("killed at durable step {}", step));
    const testing::TempFolder folder;
    const std::string root = folder / "store";
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      FaultFileSystem files(LocalFileSystem(), [] { ::kill(::getpid(), SIGKILL); });
      files.CrashAt(step, CrashKind::kDropUnsynced);
      Outcome outcome;
      ::_exit(Upload(files, root, outcome).ok() ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    finished = WIFEXITED(status);
    EXPECT_TRUE(finished ? WEXITSTATUS(status) == 0 : WTERMSIG(status) == SIGKILL);

    FaultFileSystem files(LocalFileSystem());
    const auto store = OpenLocalBlobStore(files, root, SystemClock()).value();
    ExpectOnlyWholeBlobs(*store, root);
    EXPECT_TRUE(!finished || store->Stat(Sha256Of(kText)).ok());
    Outcome after;
    EXPECT_THAT(Upload(files, root, after), IsOk());
    EXPECT_EQ(ReadBlob(*store, Sha256Of(kText), 100).value(), kText);
  }
}

TEST(FailureAtEachStep, IsToldAndTheUploadGoesOn) {
  bool finished = false;
  for (int64_t step = 0; !finished; ++step) {
    SCOPED_TRACE(fmt::format("failure at durable step {}", step));
    const testing::TempFolder folder;
    FaultFileSystem files(LocalFileSystem());
    files.FailAt(step, absl::ResourceExhaustedError("no space"));
    Outcome first;
    const absl::Status status = Upload(files, folder.path(), first);
    finished = files.operations() <= step;
    if (finished) break;
    // Clearing up after a commit is allowed to fail; everything before it is told.
    if (!first.committed) {
      EXPECT_THAT(status, HasCode(absl::StatusCode::kResourceExhausted));
    }
    Outcome second;
    EXPECT_THAT(Upload(files, folder.path(), second), IsOk());
    const auto store = OpenLocalBlobStore(files, folder.path(), SystemClock()).value();
    EXPECT_EQ(ReadBlob(*store, Sha256Of(kText), 100).value(), kText);
  }
}

TEST(CrashOfTheCollector, KeepsWhatIsKept) {
  bool finished = false;
  for (int64_t step = 0; !finished; ++step) {
    SCOPED_TRACE(fmt::format("crash at durable step {}", step));
    const testing::TempFolder folder;
    FakeClock clock;
    FaultFileSystem files(LocalFileSystem());
    const auto store = OpenLocalBlobStore(files, folder.path(), clock).value();
    const Digest kept = PutBlob(*store, Bytes(kOther)).value();
    ASSERT_THAT(PutBlob(*store, Bytes(kText)), IsOk());
    files.CrashAt(files.operations() + step, CrashKind::kDropUnsynced);
    finished = store->CollectGarbage({kept}, clock.WallMillis() + 1).ok();
    files.Restart();
    EXPECT_EQ(ReadBlob(*store, kept, 100).value(), kOther);
    ExpectOnlyWholeBlobs(*store, folder.path());
    EXPECT_THAT(store->CollectGarbage({kept}, clock.WallMillis() + 1), IsOk());
    EXPECT_THAT(store->Stat(Sha256Of(kText)), HasCode(absl::StatusCode::kNotFound));
  }
}

}  // namespace
}  // namespace gwq
