#include "core/backend/registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/status.h"
#include "tests/support/status_matchers.h"

namespace gwq {
namespace {

using ::testing::Contains;
using testing::FailsAt;
using testing::HasCode;
using ::testing::HasSubstr;
using testing::IsOk;

TEST(BackendRegistry, EveryKnownDeviceHasABackend) {
  EXPECT_THAT(KnownDevices(), Contains(std::string(kHostDevice)));
  for (const std::string& device : KnownDevices()) {
    const auto backend = CreateBackend(device, {.threads = 2});
    ASSERT_THAT(backend, IsOk()) << device;
    EXPECT_THAT((*backend)->CreateKvCache({1, 1, 8, 16, 1}), IsOk()) << device;
  }
}

TEST(BackendRegistry, AnUnknownDeviceIsToldWithThoseThatAreKnown) {
  const absl::Status status = CreateBackend("abacus", {}).status();
  EXPECT_THAT(status, FailsAt("device"));
  EXPECT_THAT(std::string(MessageOf(status)), HasSubstr("'abacus'"));
  EXPECT_THAT(std::string(MessageOf(status)), HasSubstr(kHostDevice));
}

TEST(BackendRegistry, TheBackendsOwnErrorsAreReturned) {
  EXPECT_THAT(CreateBackend(kHostDevice, {.threads = 0}), HasCode(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace gwq
