#include "core/backend/registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "core/base/status.h"
#include "core/format/format.h"
#include "tests/core/format/random_content.h"
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

// Rows and columns of no whole tiles and groups; outliers that share masks, and as many as there are weights.
TEST(HostLoadedBytes, AreWhatAWeightHoldsAndForOutliersLittleMore) {
  const auto backend = CreateBackend(kHostDevice, {}).value();
  std::mt19937 random(9);
  for (const Format* const format : KnownFormats()) {
    for (const int scale_bits : {8, 16}) {
      for (const int bits : {2, 3, 4, 5, 6, 7, 8}) {
        for (const int64_t group : {8, 24, 32}) {
          for (const int64_t outliers : {0, 7, 40 * 72}) {
            const PackedShape shape{40, 72, bits, group, outliers, scale_bits, format};
            if (!CheckPackedShape(shape).ok()) continue;
            SCOPED_TRACE(DescribeShape(shape));
            const auto packed = EncodePacked(testing::RandomContent(shape, random)).value();
            const uint64_t bytes = backend->LoadPacked(PackedView::Open(packed).value()).value()->bytes();
            const LoadedBytes bound = HostLoadedBytes(shape).value();
            EXPECT_GE(bound.held, bytes);
            EXPECT_LE(bound.held, bytes + 2 * static_cast<uint64_t>(outliers));
            EXPECT_GE(bound.loading, 8 * static_cast<uint64_t>(outliers));
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace gwq
