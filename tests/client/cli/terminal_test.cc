#include "client/cli/terminal.h"

#include <gtest/gtest.h>

#include "tests/client/cli/printed.h"

namespace gwq::cli {
namespace {

TEST(BytesText, HasTheLargestUnitThatKeepsANumberInFront) {
  EXPECT_EQ(BytesText(1023), "1023 B");
  EXPECT_EQ(BytesText(1024), "1.0 KiB");
  EXPECT_EQ(BytesText(12'897'485), "12.3 MiB");
  EXPECT_EQ(BytesText(uint64_t{5000} << 40), "5000.0 TiB") << "the last unit";
}

TEST(PlainProgress, IsALineForEachTenthOfAPhaseAndNeverMoreThanTheWhole) {
  const auto printed = testing::PrintedBy([] {
    Terminal terminal(/*silent=*/false);
    for (uint64_t done = 0; done < 1000; ++done) terminal.Update("hash", done, 1000, "files");
    terminal.Update("walk", 512, 1536, "B");
    terminal.Update("walk", static_cast<uint64_t>(-1), 1536, "B");  // as a service's int64 comes
  });
  EXPECT_EQ(std::ranges::count(printed.error, '\n'), 12);
  EXPECT_TRUE(printed.error.starts_with("hash: 0 of 1000 (0 %)\nhash: 100 of 1000 (10 %)\n")) << printed.error;
  EXPECT_TRUE(printed.error.ends_with("walk: 512 B of 1.5 KiB (30 %)\nwalk: 1.5 KiB of 1.5 KiB (100 %)\n"))
      << printed.error;
  EXPECT_EQ(printed.out, "") << "standard output is for results";
}

}  // namespace
}  // namespace gwq::cli
