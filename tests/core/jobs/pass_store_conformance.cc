// What every store of kept gradient passes must do.
#include <gmock/gmock.h>

#include "tests/core/jobs/job_store_conformance.h"
#include "tests/support/status_matchers.h"

namespace gwq {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::IsOk;
using ::testing::Not;

const Digest kModel = Sha256Of("model");

PassRecord Record(const std::string& principal, const std::string& what, uint64_t bytes,
                  const std::string& producer = "cpu") {
  return {principal, {Sha256Of(what), producer, kModel}, Sha256Of(principal + what + producer), bytes};
}

}  // namespace

void PassStoreConformance::Publish(const std::string& principal, const std::string& name, const Digest& manifest) {
  ASSERT_THAT(Enqueue(principal), IsOk());
  const auto lease = Acquire();
  ASSERT_THAT(lease, IsOk());
  ASSERT_THAT(jobs().Commit(lease->job.id, lease->fencing_token, PublicationOf("model", name, manifest)), IsOk());
}

bool PassStoreConformance::Has(const std::string& principal, const std::string& what, const std::string& producer) {
  return passes().FindPass(principal, {Sha256Of(what), producer, {}})->has_value();
}

std::vector<Digest> PassStoreConformance::Keep(const PassRecord& record) {
  clock_.Advance(1);
  const auto removed = passes().KeepPass(record);
  EXPECT_THAT(removed, IsOk());
  return removed.value_or(std::vector<Digest>());
}

namespace {

TEST_P(PassStoreConformance, ARecordIsFoundByItsPrincipalAndItsProducerAlone) {
  Publish("alice", "m", kModel);
  Publish("bob", "m", kModel);
  EXPECT_THAT(Keep(Record("alice", "a", 100)), IsEmpty());
  EXPECT_EQ((*passes().FindPass("alice", Record("alice", "a", 100).key))->record, Record("alice", "a", 100).record);
  EXPECT_FALSE(Has("bob", "a"));
  EXPECT_FALSE(Has("alice", "a", "another"));
  EXPECT_FALSE(Has("alice", "b"));
  if (!GetParam().keeps) return;
  store_ = {};
  Open();
  EXPECT_TRUE(Has("alice", "a")) << "after a restart";
}

TEST_P(PassStoreConformance, WithoutAProducerTheOnlyRecordIsFound) {
  Publish("alice", "m", kModel);
  Keep(Record("alice", "a", 1, "one"));
  EXPECT_TRUE(Has("alice", "a", ""));
  Keep(Record("alice", "a", 1, "two"));
  EXPECT_FALSE(Has("alice", "a", "")) << "which of the two a job will use is not known";
}

TEST_P(PassStoreConformance, AnotherRecordUnderTheKeyReplacesTheFirst) {
  Publish("alice", "m", kModel);
  Keep(Record("alice", "a", 100));
  PassRecord again = Record("alice", "a", 100);
  EXPECT_THAT(Keep(again), IsEmpty()) << "told again, because the answer was lost";
  again.record = Sha256Of("again");
  EXPECT_THAT(Keep(again), ElementsAre(Record("alice", "a", 100).record));
}

TEST_P(PassStoreConformance, WhatWasUsedLongestAgoMakesRoomInThePrincipalsLimit) {
  Publish("alice", "m", kModel);
  for (const char* const what : {"a", "b", "c"}) EXPECT_THAT(Keep(Record("alice", what, 200)), IsEmpty());
  EXPECT_TRUE(Has("alice", "a")) << "and is used now";
  EXPECT_THAT(Keep(Record("alice", "d", 200)), ElementsAre(Record("alice", "b", 0).record));
  EXPECT_TRUE(Has("alice", "a") && Has("alice", "c") && Has("alice", "d"));
  EXPECT_FALSE(Has("alice", "b"));
}

TEST_P(PassStoreConformance, WhatWasUsedLongestAgoMakesRoomInTheLimitOfAll) {
  Publish("alice", "m", kModel);
  Publish("bob", "m", kModel);
  Keep(Record("alice", "a", 500));
  Keep(Record("bob", "a", 400));
  EXPECT_THAT(Keep(Record("bob", "b", 150)), ElementsAre(Record("alice", "a", 0).record));
  EXPECT_TRUE(Has("bob", "a") && Has("bob", "b"));
}

TEST_P(PassStoreConformance, WhatIsLargerThanALimitIsNotKept) {
  Publish("alice", "m", kModel);
  Keep(Record("alice", "a", 100));
  EXPECT_THAT(Keep(Record("alice", "b", 601)), ElementsAre(Record("alice", "b", 0).record));
  EXPECT_TRUE(Has("alice", "a"));
  EXPECT_FALSE(Has("alice", "b"));
}

TEST_P(PassStoreConformance, RecordsGoWithTheLastModelThatTheyBelongTo) {
  Publish("alice", "m", kModel);
  Publish("alice", "n", kModel);
  Publish("bob", "m", kModel);
  Keep(Record("alice", "a", 100));
  Keep(Record("bob", "a", 100));
  ASSERT_THAT(catalogue().Delete("alice", "model", "m"), IsOk());
  EXPECT_TRUE(Has("alice", "a")) << "models/n is the same model";
  Publish("alice", "n", Sha256Of("another"));
  EXPECT_FALSE(Has("alice", "a"));
  EXPECT_TRUE(Has("bob", "a"));
  EXPECT_THAT(Keep(Record("alice", "a", 100)), ElementsAre(Record("alice", "a", 100).record)) << "there is no model";
}

TEST_P(PassStoreConformance, KeptRecordsAreRootsOfTheCollection) {
  Publish("alice", "m", kModel);
  const PassRecord record = Record("alice", "a", 100);
  Keep(record);
  EXPECT_THAT(catalogue().Roots()->checkpoints, Contains(record.record));
  ASSERT_THAT(catalogue().Delete("alice", "model", "m"), IsOk());
  EXPECT_THAT(catalogue().Roots()->checkpoints, Not(Contains(record.record)));
}

TEST_P(PassStoreConformance, APartIsPublishedUnderTheLeaseAndTheJobGoesOn) {
  ASSERT_THAT(Enqueue("alice"), IsOk());
  const auto lease = Acquire();
  const auto part = PublicationOf("artifact", "a-1", Sha256Of("1"));
  ASSERT_THAT(jobs().PublishPart(lease->job.id, lease->fencing_token, *part.entry), IsOk());
  EXPECT_THAT(jobs().PublishPart(lease->job.id, lease->fencing_token, *part.entry), IsOk());
  EXPECT_EQ(catalogue().Find("alice", "artifact", "a-1")->job, lease->job.id);
  EXPECT_EQ(Get(lease->job.id).state, JobState::kRunning);
  EXPECT_TRUE(absl::IsAborted(jobs().PublishPart(lease->job.id, lease->fencing_token + 1, *part.entry)));
}

}  // namespace
}  // namespace gwq
