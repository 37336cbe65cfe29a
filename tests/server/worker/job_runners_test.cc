#include "core/jobs/runners/job_runners.h"

#include <gtest/gtest.h>

#include <set>

#include "core/io/file_system.h"
#include "core/jobs/kinds/job_kinds.h"
#include "core/storage/local_blob_store.h"
#include "tests/support/temp_folder.h"

namespace gwq {
namespace {

TEST(JobRunners, RunTheKindsThatAreKnownNoMoreAndNoLess) {
  std::set<std::string_view> planned, run;
  for (const JobKind& kind : JobKinds()) planned.insert(kind.name);
  for (const JobRunner& runner : JobRunners()) run.insert(runner.kind);
  EXPECT_EQ(planned, run);
  EXPECT_EQ(planned.size(), JobKinds().size());
  EXPECT_EQ(run.size(), JobRunners().size());
}

TEST(JobRunners, ASpecThatCannotBeReadIsAFaultOfTheInput) {
  const testing::TempFolder folder;
  const auto store = *OpenLocalBlobStore(LocalFileSystem(), folder / "blobs", SystemClock());
  for (const JobRunner& runner : JobRunners()) {
    NoCheckpoints checkpoints;
    NoPassCache passes;
    const absl::Status status = runner.run({*store, "{}", NoProgress(), checkpoints, passes, {}}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << runner.kind;
    EXPECT_FALSE(IsRetryable(status));
  }
  NoPassCache none;
  for (const JobKind& kind : JobKinds()) {
    EXPECT_EQ(kind.plan(*store, none, "{}").status().code(), absl::StatusCode::kInvalidArgument) << kind.name;
  }
}

TEST(IsRetryable, TellsPassingFaultsFromLastingOnes) {
  EXPECT_TRUE(IsRetryable(absl::UnavailableError("")));
  EXPECT_TRUE(IsRetryable(absl::ResourceExhaustedError("")));
  EXPECT_TRUE(IsRetryable(absl::InternalError("")));
  EXPECT_FALSE(IsRetryable(absl::InvalidArgumentError("")));
  EXPECT_FALSE(IsRetryable(absl::CancelledError("")));
  EXPECT_FALSE(IsRetryable(absl::DataLossError("")));
  EXPECT_FALSE(IsRetryable(absl::FailedPreconditionError("")));
}

}  // namespace
}  // namespace gwq
