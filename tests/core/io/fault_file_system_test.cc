// The file system that forgets: what a crash takes away, and what it must not.
#include "core/io/fault_file_system.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"

namespace gwq {
namespace {

using testing::HasCode;
using testing::IsOk;

std::span<const std::byte> Bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

class Faults : public ::testing::Test {
 protected:
  void Append(const std::string& name, std::string_view text, bool sync) {
    const auto file = files_.OpenForAppend(folder_ / name, false);
    ASSERT_THAT(file, IsOk());
    ASSERT_THAT((*file)->Append(Bytes(text)), IsOk());
    if (sync) {
      ASSERT_THAT((*file)->Sync(), IsOk());
    }
    ASSERT_THAT((*file)->Close(), IsOk());
  }
  // "-" where the file is missing.
  std::string After(const std::string& name) {
    const auto text = ReadSmallFile(LocalFileSystem(), folder_ / name, 1000);
    return text.ok() ? *text : "-";
  }
  testing::TempFolder folder_;
  FaultFileSystem files_{LocalFileSystem()};
};

TEST_F(Faults, ANameIsLostUntilItsFolderIsSynced) {
  Append("lost", "text", true);
  files_.Crash(CrashKind::kDropUnsynced);
  EXPECT_EQ(After("lost"), "-");
  files_.Restart();
  Append("kept", "text", true);
  ASSERT_THAT(files_.SyncFolder(folder_.path()), IsOk());
  files_.Crash(CrashKind::kDropUnsynced);
  EXPECT_EQ(After("kept"), "text");
}

TEST_F(Faults, BytesAreLostZeroedOrKept) {
  Append("file", "synced", true);
  ASSERT_THAT(files_.SyncFolder(folder_.path()), IsOk());
  Append("file", "+12", false);
  files_.Crash(CrashKind::kKeepUnsynced);
  EXPECT_EQ(After("file"), "synced+12");
  files_.Restart();
  Append("file", "34", false);
  files_.Crash(CrashKind::kZeroUnsynced);
  EXPECT_EQ(After("file"), std::string("synced+12\0\0", 11));
  files_.Restart();
  Append("file", "56", false);
  files_.Crash(CrashKind::kDropUnsynced);
  EXPECT_EQ(After("file"), std::string("synced+12\0\0", 11));
}

TEST_F(Faults, ARenameIsUndoneWithWhatItReplaced) {
  Append("old", "old", true);
  Append("new", "new", true);
  ASSERT_THAT(files_.SyncFolder(folder_.path()), IsOk());
  ASSERT_THAT(files_.Rename(folder_ / "new", folder_ / "old"), IsOk());
  files_.Crash(CrashKind::kDropUnsynced);
  EXPECT_EQ(After("old"), "old");
  EXPECT_EQ(After("new"), "new");
}

TEST_F(Faults, ASyncedRenameOfUnsyncedBytesShowsAnEmptyFile) {
  Append("new", "bytes", false);
  ASSERT_THAT(files_.Rename(folder_ / "new", folder_ / "name"), IsOk());
  ASSERT_THAT(files_.SyncFolder(folder_.path()), IsOk());
  files_.Crash(CrashKind::kDropUnsynced);
  EXPECT_EQ(After("name"), "");
}

TEST_F(Faults, ARemovedFileComesBack) {
  Append("file", "text", true);
  ASSERT_THAT(files_.SyncFolder(folder_.path()), IsOk());
  ASSERT_THAT(files_.Remove(folder_ / "file"), IsOk());
  files_.Crash(CrashKind::kDropUnsynced);
  EXPECT_EQ(After("file"), "text");
}

TEST_F(Faults, AFolderWhoseNameWasNotSyncedIsLostWithAllInIt) {
  ASSERT_THAT(files_.CreateFolders(folder_ / "a/b"), IsOk());
  Append("a/b/file", "text", true);
  ASSERT_THAT(files_.SyncFolder(folder_ / "a/b"), IsOk());
  ASSERT_THAT(files_.SyncFolder(folder_ / "a"), IsOk());
  files_.Crash(CrashKind::kDropUnsynced);
  EXPECT_FALSE(LocalFileSystem().Exists(folder_ / "a"));
}

TEST_F(Faults, FoldersCreatedDurablyStayWithEveryLevel) {
  ASSERT_THAT(CreateFoldersDurably(files_, folder_ / "a/b/c"), IsOk());
  files_.Crash(CrashKind::kDropUnsynced);
  files_.Restart();
  EXPECT_TRUE(files_.Exists(folder_ / "a/b/c"));
}

TEST_F(Faults, FoldersAreNotCreatedWhileTheMachineIsDown) {
  files_.Crash(CrashKind::kDropUnsynced);
  EXPECT_THAT(CreateFoldersDurably(files_, folder_ / "a"), HasCode(absl::StatusCode::kUnavailable));
  EXPECT_THAT(CreateFoldersDurably(files_, "a"), HasCode(absl::StatusCode::kUnavailable));
}

TEST_F(Faults, AFolderThatSomebodyMadeAndDidNotSyncIsSynced) {
  ASSERT_THAT(files_.CreateFolders(folder_ / "a"), IsOk());
  ASSERT_THAT(CreateFoldersDurably(files_, folder_ / "a"), IsOk());
  files_.Crash(CrashKind::kDropUnsynced);
  files_.Restart();
  EXPECT_TRUE(files_.Exists(folder_ / "a"));
}

TEST_F(Faults, StopsAtTheChosenOperationAndStaysDown) {
  int kills = 0;
  FaultFileSystem files(LocalFileSystem(), [&] { ++kills; });
  files.CrashAt(2, CrashKind::kDropUnsynced);
  const auto file = files.OpenForAppend(folder_ / "file", true);
  ASSERT_THAT((*file)->Append(Bytes("text")), IsOk());
  EXPECT_THAT((*file)->Sync(), HasCode(absl::StatusCode::kUnavailable));
  EXPECT_THAT((*file)->Append(Bytes("text")), HasCode(absl::StatusCode::kUnavailable));
  EXPECT_THAT(files.Size(folder_ / "file"), HasCode(absl::StatusCode::kUnavailable));
  EXPECT_TRUE(files.crashed());
  EXPECT_EQ(kills, 1);
  EXPECT_EQ(After("file"), "-");
}

TEST_F(Faults, FailsOnceWithTheGivenStatus) {
  files_.FailAt(1, absl::ResourceExhaustedError("disk full"));
  const auto file = files_.OpenForAppend(folder_ / "file", true);
  EXPECT_THAT((*file)->Append(Bytes("text")), HasCode(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT((*file)->Append(Bytes("text")), IsOk());
}

TEST_F(Faults, AnAtomicWriteShowsOldOrNewAfterACrashAtEveryOperation) {
  for (const CrashKind kind : {CrashKind::kDropUnsynced, CrashKind::kZeroUnsynced, CrashKind::kKeepUnsynced}) {
    bool survived = false;
    for (int64_t step = 0; !survived; ++step) {
      ASSERT_THAT(WriteFileAtomically(LocalFileSystem(), folder_ / "file", Bytes("old")), IsOk());
      FaultFileSystem files(LocalFileSystem());
      files.CrashAt(step, kind);
      const absl::Status status = WriteFileAtomically(files, folder_ / "file", Bytes("new"));
      survived = !files.crashed();
      EXPECT_EQ(status.ok(), survived);
      EXPECT_THAT(After("file"), ::testing::AnyOf("old", "new")) << "crash at operation " << step;
      if (survived) {
        files.Crash(kind);
        EXPECT_EQ(After("file"), "new");
      }
    }
  }
}

}  // namespace
}  // namespace gwq
