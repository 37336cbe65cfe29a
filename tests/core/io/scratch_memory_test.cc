#include "core/io/scratch_memory.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>

#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"

namespace gwq {
namespace {

using testing::HasCode;
using testing::IsOk;
using testing::TempFolder;

constexpr size_t kLarge = ScratchMemory::kHeapBytes + 1;

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

// Whether a file of `folder` without a name is mapped.
bool MapsNamelessFileOf(const std::string& folder) {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    if (line.find(folder + "/") != std::string::npos && line.ends_with("(deleted)")) return true;
  }
  return false;
}

TEST(ScratchMemory, IsAlignedZerosThatCanBeWritten) {
  for (const size_t bytes : {size_t{0}, size_t{1}, size_t{100}, ScratchMemory::kHeapBytes, kLarge}) {
    const auto memory = ScratchMemory::Create(bytes);
    ASSERT_THAT(memory, IsOk());
    ASSERT_EQ(memory->bytes().size(), bytes);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(memory->bytes().data()) % ScratchMemory::kAlignment, 0u);
    EXPECT_TRUE(std::ranges::all_of(memory->bytes(), [](std::byte byte) { return byte == std::byte{0}; })) << bytes;
    std::ranges::fill(memory->bytes(), std::byte{7});
  }
}

TEST(ScratchMemory, IsAFileWithoutANameWhereItIsLarge) {
  const TempFolder folder;
  const TemporaryFilesIn there(folder.path());
  {
    const auto small = ScratchMemory::Create(ScratchMemory::kHeapBytes);
    ASSERT_THAT(small, IsOk());
    EXPECT_FALSE(MapsNamelessFileOf(folder.path()));
    const auto large = ScratchMemory::Create(kLarge);
    ASSERT_THAT(large, IsOk());
    EXPECT_TRUE(MapsNamelessFileOf(folder.path()));
    EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
  }
  EXPECT_FALSE(MapsNamelessFileOf(folder.path())) << "gone with the object";
}

TEST(ScratchMemory, MovesWithoutCopying) {
  auto first = ScratchMemory::Create(kLarge);
  ASSERT_THAT(first, IsOk());
  std::byte* const data = first->bytes().data();
  data[kLarge - 1] = std::byte{9};
  ScratchMemory second = *std::move(first);
  ScratchMemory third;
  third = std::move(second);
  EXPECT_EQ(third.bytes().data(), data);
  EXPECT_EQ(third.bytes()[kLarge - 1], std::byte{9});
}

TEST(ScratchMemory, SaysThatTheDiskHasNoRoom) {
  const auto memory = ScratchMemory::Create(size_t{1} << 60);
  EXPECT_THAT(memory, HasCode(absl::StatusCode::kResourceExhausted));
  EXPECT_NE(memory.status().message().find("set TMPDIR"), std::string::npos) << memory.status();
}

TEST(ScratchMemory, SaysThatThereIsNoFolderForIt) {
  const TempFolder folder;
  const TemporaryFilesIn there(folder / "missing");
  const auto memory = ScratchMemory::Create(kLarge);
  EXPECT_THAT(memory, HasCode(absl::StatusCode::kFailedPrecondition));
  EXPECT_NE(memory.status().message().find("TMPDIR"), std::string::npos) << memory.status();
}

}  // namespace
}  // namespace gwq
