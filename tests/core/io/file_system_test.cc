#include "core/io/file_system.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <filesystem>
#include <thread>

#include "core/io/paths.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"

namespace gwq {
namespace {

using ::testing::ElementsAre;
using testing::HasCode;
using testing::IsOk;

std::span<const std::byte> Bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

class LocalFiles : public ::testing::Test {
 protected:
  void Write(const std::string& name, std::string_view text) {
    ASSERT_THAT(WriteFileAtomically(files_, folder_ / name, Bytes(text)), IsOk());
  }
  FileSystem& files_ = LocalFileSystem();
  testing::TempFolder folder_;
};

TEST_F(LocalFiles, AppendsAndReadsBack) {
  const auto file = files_.OpenForAppend(folder_ / "a", true);
  ASSERT_THAT(file, IsOk());
  EXPECT_THAT((*file)->Append(Bytes("one ")), IsOk());
  EXPECT_THAT((*file)->Append(Bytes("two")), IsOk());
  EXPECT_THAT((*file)->Sync(), IsOk());
  EXPECT_THAT((*file)->Close(), IsOk());
  EXPECT_EQ(ReadSmallFile(files_, folder_ / "a", 100).value(), "one two");
  const auto more = files_.OpenForAppend(folder_ / "a", false);
  EXPECT_THAT((*more)->Append(Bytes("!")), IsOk());
  EXPECT_EQ(files_.Size(folder_ / "a").value(), 8u);
}

TEST_F(LocalFiles, TellsErrorsApart) {
  EXPECT_THAT(files_.Map(folder_ / "none"), HasCode(absl::StatusCode::kNotFound));
  EXPECT_THAT(files_.Size(folder_ / "none"), HasCode(absl::StatusCode::kNotFound));
  EXPECT_THAT(files_.List(folder_ / "none"), HasCode(absl::StatusCode::kNotFound));
  Write("file", "text");
  EXPECT_THAT(files_.CreateFolders(folder_ / "file/below"), HasCode(absl::StatusCode::kInternal));
  EXPECT_THAT(files_.CreateFolders(folder_ / "file"), HasCode(absl::StatusCode::kAlreadyExists));
  std::byte byte{};
  EXPECT_THAT(files_.Read(folder_ / "file", 4, {&byte, 1}), HasCode(absl::StatusCode::kOutOfRange));
  EXPECT_THAT(ReadSmallFile(files_, folder_ / "file", 3), HasCode(absl::StatusCode::kResourceExhausted));
}

// Offsets come out of headers that others wrote.
TEST_F(LocalFiles, ARangePastTheEndIsOutOfRangeHoweverFar) {
  Write("file", "text");
  std::byte bytes[2] = {};
  EXPECT_THAT(files_.Read(folder_ / "file", 2, bytes), IsOk());
  for (const uint64_t offset :
       {uint64_t{3}, uint64_t{5}, uint64_t{1} << 40, (uint64_t{1} << 63) - 1, uint64_t{1} << 63, ~uint64_t{0}}) {
    EXPECT_THAT(files_.Read(folder_ / "file", offset, bytes), HasCode(absl::StatusCode::kOutOfRange)) << offset;
  }
}

TEST_F(LocalFiles, ReadsRegularFilesAloneAndWaitsForNobody) {
  ASSERT_THAT(files_.CreateFolders(folder_ / "folder"), IsOk());
  ASSERT_EQ(mkfifo((folder_ / "pipe").c_str(), 0600), 0);
  ASSERT_EQ(mknod((folder_ / "socket").c_str(), S_IFSOCK | 0600, 0), 0);
  for (const std::string& path : {folder_ / "folder", folder_ / "pipe", folder_ / "socket", std::string("/dev/zero")}) {
    const auto refused = HasCode(absl::StatusCode::kInvalidArgument);
    std::byte byte{};
    EXPECT_THAT(files_.Map(path), refused) << path;
    EXPECT_THAT(files_.Read(path, 0, {&byte, 1}), refused) << path;
    EXPECT_THAT(files_.Size(path), refused) << path;
    const auto text = ReadSmallFile(files_, path, 10);
    EXPECT_THAT(text, refused) << path;
    EXPECT_NE(MessageOf(text.status()).find(path), std::string_view::npos) << text.status();
  }
  Write("file", "text");
  std::filesystem::create_symlink(folder_ / "file", folder_ / "link");
  EXPECT_EQ(ReadSmallFile(files_, folder_ / "link", 10).value(), "text");
}

TEST_F(LocalFiles, MapsAWholeFileAlsoWhenItIsUnlinkedOrEmpty) {
  Write("file", "text");
  Write("empty", "");
  const auto map = files_.Map(folder_ / "file");
  ASSERT_THAT(map, IsOk());
  ASSERT_THAT(files_.Remove(folder_ / "file"), IsOk());
  (*map)->DropPages();
  EXPECT_EQ(std::string(reinterpret_cast<const char*>((*map)->bytes().data()), 4), "text");
  const auto empty = files_.Map(folder_ / "empty");
  ASSERT_THAT(empty, IsOk());
  EXPECT_TRUE((*empty)->bytes().empty());
  (*empty)->DropPages();
}

TEST_F(LocalFiles, ListsSortedNames) {
  Write("b", "");
  Write("a", "");
  ASSERT_THAT(files_.CreateFolders(folder_ / "c/d"), IsOk());
  EXPECT_THAT(files_.List(folder_.path()).value(), ElementsAre("a", "b", "c"));
}

TEST_F(LocalFiles, CutsAndDatesAFile) {
  Write("file", "12345");
  ASSERT_THAT(files_.Truncate(folder_ / "file", 2), IsOk());
  ASSERT_THAT(files_.SetModified(folder_ / "file", 1'234'567), IsOk());
  const FileInfo info = files_.Stat(folder_ / "file").value();
  EXPECT_EQ(info.size, 2u);
  EXPECT_EQ(info.modified_wall_millis, 1'234'567);
}

TEST_F(LocalFiles, AtomicWriteReplacesAndLeavesNoOtherFile) {
  Write("file", "old");
  Write("file", "new");
  EXPECT_EQ(ReadSmallFile(files_, folder_ / "file", 10).value(), "new");
  EXPECT_THAT(files_.List(folder_.path()).value(), ElementsAre("file"));
}

TEST_F(LocalFiles, SaysBeforehandWhetherAFileCanBeWrittenAndLeavesNothing) {
  Write("file", "old");
  ASSERT_THAT(files_.CreateFolders(folder_ / "folder"), IsOk());
  EXPECT_THAT(CheckFileCanBeWritten(files_, folder_ / "new"), IsOk());
  EXPECT_THAT(CheckFileCanBeWritten(files_, folder_ / "file"), IsOk());
  EXPECT_THAT(CheckFileCanBeWritten(files_, folder_ / "folder"), HasCode(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(CheckFileCanBeWritten(files_, "/dev/null"), HasCode(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(CheckFileCanBeWritten(files_, folder_ / "none/new"), HasCode(absl::StatusCode::kNotFound));
  EXPECT_FALSE(CheckFileCanBeWritten(files_, folder_ / "file/new").ok());
  EXPECT_FALSE(CheckFileCanBeWritten(files_, "/proc/new").ok()) << "where even root makes no file";
  EXPECT_THAT(files_.List(folder_.path()).value(), ElementsAre("file", "folder"));
  EXPECT_THAT(files_.List(folder_ / "folder").value(), ElementsAre());
  EXPECT_EQ(ReadSmallFile(files_, folder_ / "file", 10).value(), "old");
}

TEST_F(LocalFiles, AnExclusiveLockShutsOutOthers) {
  std::atomic<bool> released = false;
  auto held = files_.Lock(folder_ / "lock", true);
  ASSERT_THAT(held, IsOk());
  std::thread other([&] {
    const auto lock = files_.Lock(folder_ / "lock", false);
    EXPECT_TRUE(released) << "the lock was given while it was held";
  });
  std::this_thread::yield();
  released = true;
  held->reset();
  other.join();
  const auto one = files_.Lock(folder_ / "lock", false);
  const auto two = files_.Lock(folder_ / "lock", false);  // would wait for ever if shared locks were exclusive
  EXPECT_THAT(two, IsOk());
}

TEST(Paths, ParentFolders) {
  EXPECT_EQ(ParentFolder("a/b/c"), "a/b");
  EXPECT_EQ(ParentFolder("c"), ".");
  EXPECT_EQ(ParentFolder("/c"), "/");
  EXPECT_NE(UniqueSuffix(), UniqueSuffix());
}

}  // namespace
}  // namespace gwq
