#include "core/base/bearer_token.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>

#include "core/base/status.h"

namespace gwq {
namespace {

TEST(BearerTokenTest, IsPrintableAsciiWithoutBlanks) {
  EXPECT_TRUE(CheckBearerToken("").ok());
  for (int byte = 0; byte < 256; ++byte) {
    const std::string token = fmt::format("left{}right", static_cast<char>(byte));
    const absl::Status status = CheckBearerToken(token);
    EXPECT_EQ(status.ok(), byte > 0x20 && byte < 0x7f) << byte;
    if (status.ok()) continue;
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    const char* const kind = byte == 0x20 ? "a blank" : byte < 0x80 ? "a control character" : "not ASCII";
    EXPECT_EQ(MessageOf(status),
              fmt::format("byte 5 of 10 of the bearer token is {}: a token is printable ASCII without blanks; take it "
                          "anew, without a line's end",
                          kind));
  }
}

}  // namespace
}  // namespace gwq
