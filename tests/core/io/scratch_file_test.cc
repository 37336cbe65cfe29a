#include "core/io/scratch_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"

namespace gwq {
namespace {

using testing::HasCode;
using testing::IsOk;
using testing::TempFolder;

// TMPDIR for the life of the object.
class TemporaryFilesIn {
 public:
  explicit TemporaryFilesIn(const std::string& folder) {
    if (const char* before = std::getenv("TMPDIR"); before != nullptr) before_ = before;
    ::setenv("TMPDIR", folder.c_str(), 1);
  }
  ~TemporaryFilesIn() {
    if (before_.empty()) {
      ::unsetenv("TMPDIR");
    } else {
      ::setenv("TMPDIR", before_.c_str(), 1);
    }
  }
  TemporaryFilesIn(const TemporaryFilesIn&) = delete;
  TemporaryFilesIn& operator=(const TemporaryFilesIn&) = delete;

 private:
  std::string before_;
};

// No file of this process may grow beyond `bytes`, as on a disk that is full.
class FilesOfAtMost {
 public:
  explicit FilesOfAtMost(uint64_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FilesOfAtMost() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }
  FilesOfAtMost(const FilesOfAtMost&) = delete;
  FilesOfAtMost& operator=(const FilesOfAtMost&) = delete;

 private:
  void (*handler_)(int);
  rlimit before_{};
};

std::vector<std::byte> Bytes(size_t size, unsigned char seed) {
  std::vector<std::byte> out(size);
  for (size_t i = 0; i < size; ++i) out[i] = static_cast<std::byte>(seed + i * 7);
  return out;
}

std::vector<std::byte> ReadAt(const ScratchFile& file, uint64_t offset, size_t size) {
  std::vector<std::byte> out(size);
  EXPECT_THAT(file.Read(offset, out), IsOk());
  return out;
}

// What the links in /proc/self/fd say of open files below `folder`.
std::vector<std::string> OpenFilesIn(const std::string& folder) {
  std::vector<std::string> out;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code ignored;
    const std::string target = std::filesystem::read_symlink(entry.path(), ignored).string();
    if (target.starts_with(folder)) out.push_back(target);
  }
  return out;
}

TEST(ScratchFile, GivesBackWhatWasWritten) {
  const auto file = ScratchFile::Create();
  ASSERT_THAT(file, IsOk());
  const auto first = Bytes(10'000, 1), second = Bytes(300, 2);
  EXPECT_THAT((*file)->Write(0, first), IsOk());
  EXPECT_THAT((*file)->Write(10'000, second), IsOk());
  EXPECT_EQ(ReadAt(**file, 0, 10'000), first);
  EXPECT_EQ(ReadAt(**file, 10'000, 300), second);
  EXPECT_THAT((*file)->Write(5'000, second), IsOk());
  EXPECT_EQ(ReadAt(**file, 5'000, 300), second);
  EXPECT_EQ(ReadAt(**file, 5'300, 10)[0], first[5'300]);
}

TEST(ScratchFile, ReadingPastTheEndIsOutOfRange) {
  const auto file = ScratchFile::Create();
  ASSERT_THAT(file, IsOk());
  std::vector<std::byte> out(101);
  EXPECT_THAT((*file)->Read(0, out), HasCode(absl::StatusCode::kOutOfRange));
  EXPECT_THAT((*file)->Write(0, Bytes(100, 1)), IsOk());
  EXPECT_THAT((*file)->Read(0, out), HasCode(absl::StatusCode::kOutOfRange));
  EXPECT_THAT((*file)->Read(0, std::span(out).first(100)), IsOk());
}

TEST(ScratchFile, HasNoNameAndGoesWithTheObject) {
  const TempFolder folder;
  const TemporaryFilesIn there(folder.path());
  {
    const auto file = ScratchFile::Create();
    ASSERT_THAT(file, IsOk());
    EXPECT_THAT((*file)->Write(0, Bytes(100, 1)), IsOk());
    EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
    EXPECT_THAT(OpenFilesIn(folder.path()), ::testing::ElementsAre(::testing::EndsWith(" (deleted)")));
  }
  EXPECT_THAT(OpenFilesIn(folder.path()), ::testing::IsEmpty());
}

TEST(ScratchFile, WithoutAFolderNamesItAndTmpdir) {
  const TempFolder folder;
  const TemporaryFilesIn nowhere(folder / "not-there");
  const auto file = ScratchFile::Create();
  EXPECT_THAT(file, HasCode(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(std::string(file.status().message()),
              ::testing::AllOf(::testing::HasSubstr(folder / "not-there"), ::testing::HasSubstr("TMPDIR")));
}

TEST(ScratchFile, AFullDiskIsResourceExhaustedAndKeepsWhatWasWritten) {
  const auto file = ScratchFile::Create();
  ASSERT_THAT(file, IsOk());
  const auto first = Bytes(4096, 1);
  {
    const FilesOfAtMost full(4096);
    EXPECT_THAT((*file)->Write(0, first), IsOk());
    const absl::Status status = (*file)->Write(4096, Bytes(1, 2));
    EXPECT_THAT(status, HasCode(absl::StatusCode::kResourceExhausted));
    EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr("TMPDIR"));
  }
  EXPECT_EQ(ReadAt(**file, 0, 4096), first);
}

}  // namespace
}  // namespace gwq
