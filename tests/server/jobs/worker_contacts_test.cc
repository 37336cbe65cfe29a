#include "server/jobs/worker_contacts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace gwq {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr int64_t kSilence = 1000;

class WorkerContactsTest : public testing::Test {
 protected:
  std::vector<std::string> Silent() { return contacts_.SilentFor(kSilence, leases_); }

  FakeClock clock_;
  LeaseTable leases_;
  WorkerContacts contacts_{clock_};
};

TEST_F(WorkerContactsTest, AWorkerThatNeverAsksIsSilentOnceTheTimeOfAStartHasPassed) {
  contacts_.Started("a");
  clock_.Advance(WorkerContacts::kStarts * kSilence - 1);
  contacts_.Started("b");
  EXPECT_THAT(Silent(), IsEmpty());
  clock_.Advance(1);
  EXPECT_THAT(Silent(), ElementsAre("a"));
  contacts_.Ended("a");
  EXPECT_THAT(Silent(), IsEmpty());
}

TEST_F(WorkerContactsTest, AWorkerThatWaitsForAJobIsNotSilentAndOneThatDoesNotAskAgainIs) {
  contacts_.Started("a");
  contacts_.AsksForJob("a");
  clock_.Advance(10 * kSilence);
  EXPECT_THAT(Silent(), IsEmpty());
  contacts_.HasAsked("a");
  clock_.Advance(kSilence - 1);
  EXPECT_THAT(Silent(), IsEmpty());
  clock_.Advance(1);
  EXPECT_THAT(Silent(), ElementsAre("a"));
}

TEST_F(WorkerContactsTest, AWorkerIsNotSilentWhileItHoldsALeaseNorSoonAfter) {
  contacts_.Started("a");
  contacts_.AsksForJob("a");
  contacts_.HasAsked("a");
  leases_.Set("a", {"job", 1});
  clock_.Advance(10 * kSilence);
  EXPECT_THAT(Silent(), IsEmpty());
  leases_.Drop("job");
  clock_.Advance(kSilence - 1);
  EXPECT_THAT(Silent(), IsEmpty());
  clock_.Advance(1);
  EXPECT_THAT(Silent(), ElementsAre("a"));
}

TEST_F(WorkerContactsTest, OfTwoCallsThatOverlapTheLastOneCounts) {
  contacts_.Started("a");
  contacts_.AsksForJob("a");
  contacts_.AsksForJob("a");
  contacts_.HasAsked("a");
  clock_.Advance(10 * kSilence);
  EXPECT_THAT(Silent(), IsEmpty());
  contacts_.HasAsked("a");
  clock_.Advance(kSilence);
  EXPECT_THAT(Silent(), ElementsAre("a"));
}

TEST_F(WorkerContactsTest, WorkersFromElsewhereAreNotKeptAndACallOlderThanTheStartDoesNotCount) {
  contacts_.AsksForJob("a");
  contacts_.Started("a");
  contacts_.HasAsked("a");
  contacts_.AsksForJob("other");
  clock_.Advance(kSilence);
  EXPECT_THAT(Silent(), ElementsAre("a"));
}

}  // namespace
}  // namespace gwq
