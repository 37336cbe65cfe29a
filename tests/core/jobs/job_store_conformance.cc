#include "tests/core/jobs/job_store_conformance.h"

#include <gmock/gmock.h>
#include <stdlib.h>

#include <filesystem>

#include "core/base/status.h"

namespace gwq {

void JobStoreConformance::SetUp() {
  std::string pattern = testing::TempDir() + "gwq-store-XXXXXX";
  ASSERT_NE(mkdtemp(pattern.data()), nullptr);
  folder_ = pattern;
  Open();
  ASSERT_NE(store_.jobs, nullptr);
}

void JobStoreConformance::TearDown() {
  store_ = {};
  std::filesystem::remove_all(folder_);
}

absl::StatusOr<Job> JobStoreConformance::Enqueue(const std::string& principal, const std::string& request_id,
                                                 uint64_t memory_bytes) {
  Job job;
  job.principal = principal;
  job.kind = "import";
  job.spec_json = "{}";
  job.request_id = request_id;
  job.memory_bytes = memory_bytes;
  return jobs().Enqueue(job);
}

absl::StatusOr<Lease> JobStoreConformance::Acquire(uint64_t memory_bytes) {
  return jobs().Acquire({"worker", "cpu:0", memory_bytes, {}});
}

Job JobStoreConformance::Get(const std::string& id) {
  auto job = jobs().Get("alice", id);
  EXPECT_TRUE(job.ok()) << job.status();
  return job.value_or(Job{});
}

Publication PublicationOf(const std::string& kind, const std::string& name, const Digest& manifest) {
  Publication publication;
  publication.result_json = "{\"made\":1}";
  CatalogueEntry& entry = publication.entry.emplace();
  entry.kind = kind;
  entry.name = name;
  entry.manifest = manifest;
  entry.stored_bytes = 7;
  entry.architecture = "LlamaForCausalLM";
  entry.report_json = "{}";
  entry.report_markdown = "# Report";
  return publication;
}

TEST_P(JobStoreConformance, AJobGoesFromTheQueueToItsResult) {
  const Job made = *Enqueue("alice");
  EXPECT_EQ(Get(made.id).state, JobState::kQueued);
  const Lease lease = *Acquire();
  EXPECT_EQ(lease.job.id, made.id);
  EXPECT_EQ(lease.job.attempt, 1);
  EXPECT_EQ(Get(made.id).state, JobState::kRunning);
  EXPECT_EQ(Get(made.id).device, "cpu:0");
  const auto cancel = jobs().Renew(made.id, lease.fencing_token, {"import", 1, 2}, {"one", "two"});
  ASSERT_TRUE(cancel.ok());
  EXPECT_FALSE(*cancel);
  EXPECT_EQ(Get(made.id).progress, (JobProgress{"import", 1, 2}));
  const Digest manifest = Sha256Of("m");
  ASSERT_TRUE(jobs().Commit(made.id, lease.fencing_token, PublicationOf("model", "tiny", manifest)).ok());
  EXPECT_EQ(Get(made.id).state, JobState::kSucceeded);
  EXPECT_EQ(Get(made.id).result_json, "{\"made\":1}");
  const CatalogueEntry entry = *catalogue().Find("alice", "model", "tiny");
  EXPECT_EQ(entry.manifest, manifest);
  EXPECT_EQ(entry.job, made.id);
  const auto logs = *jobs().Logs("alice", made.id, 1, 10);
  ASSERT_EQ(logs.size(), 1u);
  EXPECT_EQ(logs[0].index, 1u);
  EXPECT_EQ(logs[0].text, "two");
}

TEST_P(JobStoreConformance, TheSameRequestIdGivesTheSameJobAndAnotherSpecIsRefused) {
  const Job first = *Enqueue("alice", "key");
  EXPECT_EQ(Enqueue("alice", "key")->id, first.id);
  EXPECT_NE(Enqueue("bob", "key")->id, first.id);
  Job other;
  other.principal = "alice";
  other.kind = "import";
  other.spec_json = "{\"other\":1}";
  other.request_id = "key";
  EXPECT_EQ(jobs().Enqueue(other).status().code(), absl::StatusCode::kAlreadyExists);
}

TEST_P(JobStoreConformance, ARequestFindsTheJobThatItMadeBefore) {
  Job asked;
  asked.principal = "alice";
  asked.kind = "import";
  asked.spec_json = "{\"source\":1}";
  asked.request_id = "key";
  asked.request_sha256 = "a request";
  EXPECT_EQ(*jobs().FindByRequest("alice", "key", "a request"), std::nullopt);
  const std::string id = jobs().Enqueue(asked)->id;
  if (GetParam().keeps) {
    store_ = {};
    Open();
  }
  EXPECT_EQ((*jobs().FindByRequest("alice", "key", "a request"))->id, id);
  EXPECT_EQ((*jobs().FindByRequest("alice", "key", ""))->id, id) << "by the key alone";
  EXPECT_EQ(*jobs().FindByRequest("bob", "key", "a request"), std::nullopt);
  EXPECT_EQ(*jobs().FindByRequest("alice", "", "a request"), std::nullopt);
  EXPECT_EQ(jobs().FindByRequest("alice", "key", "another").status().code(), absl::StatusCode::kAlreadyExists);
  asked.spec_json = "{\"source\":2}";
  EXPECT_EQ(jobs().Enqueue(asked)->id, id) << "what a name stands for is no part of the request";
  asked.request_sha256 = "another";
  EXPECT_EQ(jobs().Enqueue(asked).status().code(), absl::StatusCode::kAlreadyExists);
}

TEST_P(JobStoreConformance, AFullQueueRefusesOnePrincipalAloneWithARetryDelay) {
  for (int i = 0; i < kSuiteMaxQueued; ++i) ASSERT_TRUE(Enqueue("alice").ok());
  const absl::Status refused = Enqueue("alice").status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_GT(RetryDelayMilliseconds(refused), 0);
  EXPECT_TRUE(Enqueue("bob").ok());
  ASSERT_TRUE(Acquire().ok());
  EXPECT_TRUE(Enqueue("alice").ok()) << "a job that runs no longer waits";
}

TEST_P(JobStoreConformance, ThePrincipalWithTheFewestRunningJobsComesFirst) {
  const Job first = *Enqueue("alice");
  const Job second = *Enqueue("alice");
  const Job third = *Enqueue("bob");
  EXPECT_EQ(Acquire()->job.id, first.id);
  EXPECT_EQ(Acquire()->job.id, third.id);
  EXPECT_EQ(Acquire()->job.id, second.id);
  EXPECT_TRUE(absl::IsNotFound(Acquire().status()));
}

TEST_P(JobStoreConformance, AJobWaitsForADeviceThatHoldsItAndDoesNotBlockSmallerOnes) {
  const Job large = *Enqueue("alice", "", 5000);
  const Job small = *Enqueue("alice", "", 500);
  EXPECT_TRUE(absl::IsNotFound(jobs().Acquire({"worker", "cpu:0", 4999, {}, 501}).status())) << "left to others";
  EXPECT_EQ(Acquire(1000)->job.id, small.id);
  EXPECT_TRUE(absl::IsNotFound(Acquire(4999).status()));
  EXPECT_EQ(Acquire(5000)->job.id, large.id);
}

TEST_P(JobStoreConformance, AWorkerGetsOnlyKindsItRuns) {
  ASSERT_TRUE(Enqueue("alice").ok());
  EXPECT_TRUE(absl::IsNotFound(jobs().Acquire({"w", "cpu:0", 1000, {"quantize"}}).status()));
  EXPECT_TRUE(jobs().Acquire({"w", "cpu:0", 1000, {"quantize", "import"}}).ok());
}

TEST_P(JobStoreConformance, FencingTokensGrowAndOldOnesAreRefused) {
  const Job job = *Enqueue("alice");
  const Lease first = *Acquire();
  clock_.Advance(kSuiteLeaseMillis);
  EXPECT_EQ(jobs().ExpireLeases()->size(), 1u);
  const Lease second = *Acquire();
  EXPECT_GT(second.fencing_token, first.fencing_token);
  EXPECT_EQ(second.job.attempt, 2);
  EXPECT_TRUE(absl::IsAborted(jobs().Renew(job.id, first.fencing_token, {}, {}).status()));
  EXPECT_TRUE(absl::IsAborted(jobs().Commit(job.id, first.fencing_token, {})));
  EXPECT_TRUE(absl::IsAborted(jobs().Fail(job.id, first.fencing_token, {13, "x", ""}, true)));
  EXPECT_TRUE(jobs().Renew(job.id, second.fencing_token, {}, {}).ok());
  EXPECT_TRUE(absl::IsAborted(jobs().Renew("nosuchjob", 1, {}, {}).status()));
}

TEST_P(JobStoreConformance, ARenewedLeaseLivesOn) {
  const Job job = *Enqueue("alice");
  const Lease lease = *Acquire();
  for (int i = 0; i < 5; ++i) {
    clock_.Advance(kSuiteLeaseMillis - 1);
    EXPECT_EQ(jobs().ExpireLeases()->size(), 0u);
    ASSERT_TRUE(jobs().Renew(job.id, lease.fencing_token, {"p", i, 5}, {}).ok());
  }
}

TEST_P(JobStoreConformance, ALeaseThatRanOutNamesItsJobAndItsWorker) {
  const Job first = *Enqueue("alice"), second = *Enqueue("alice");
  ASSERT_TRUE(jobs().Acquire({"cpu:0-abc", "cpu:0", 1000, {}}).ok());
  clock_.Advance(kSuiteLeaseMillis / 2);
  ASSERT_TRUE(jobs().Acquire({"cpu:0-def", "cpu:0", 1000, {}}).ok());
  clock_.Advance(kSuiteLeaseMillis / 2);
  const auto expired = jobs().ExpireLeases();
  ASSERT_TRUE(expired.ok());
  ASSERT_EQ(expired->size(), 1u);
  EXPECT_EQ(expired->front().job, first.id);
  EXPECT_EQ(expired->front().worker, "cpu:0-abc");
  EXPECT_EQ(Get(second.id).state, JobState::kRunning);
}

TEST_P(JobStoreConformance, ALeaseThatRunsOutTooOftenFailsTheJob) {
  const Job job = *Enqueue("alice");
  for (int attempt = 1; attempt <= 3; ++attempt) {
    ASSERT_EQ(Acquire()->job.attempt, attempt);
    clock_.Advance(kSuiteLeaseMillis);
    ASSERT_EQ(jobs().ExpireLeases()->size(), 1u);
  }
  EXPECT_EQ(Get(job.id).state, JobState::kFailed);
  EXPECT_EQ(Get(job.id).error->code, static_cast<int>(absl::StatusCode::kUnavailable));
  EXPECT_TRUE(absl::IsNotFound(Acquire().status()));
}

TEST_P(JobStoreConformance, AJobGivenBackWaitsAgainAndItsAttemptDoesNotCount) {
  const Job job = *Enqueue("alice");
  for (int restart = 0; restart < 5; ++restart) {
    const Lease lease = *Acquire();
    EXPECT_EQ(lease.job.attempt, 1);
    ASSERT_TRUE(jobs().ReleaseLease(job.id, lease.fencing_token).ok());
    EXPECT_EQ(Get(job.id).state, JobState::kQueued);
    EXPECT_FALSE(Get(job.id).error.has_value());
    EXPECT_TRUE(absl::IsAborted(jobs().ReleaseLease(job.id, lease.fencing_token))) << "once";
  }
  const Lease lease = *Acquire();
  ASSERT_TRUE(jobs().Cancel("alice", job.id).ok());
  ASSERT_TRUE(jobs().ReleaseLease(job.id, lease.fencing_token).ok());
  EXPECT_EQ(Get(job.id).state, JobState::kCancelled);
}

TEST_P(JobStoreConformance, AReportStaysWithAJobThatFailedForGood) {
  const Job bad = *Enqueue("alice");
  EXPECT_TRUE(absl::IsNotFound(jobs().Report("alice", bad.id).status()));
  Lease lease = *Acquire();
  ASSERT_TRUE(jobs().Fail(bad.id, lease.fencing_token, {14, "gone", ""}, true, {"{}", "# early"}).ok());
  EXPECT_TRUE(absl::IsNotFound(jobs().Report("alice", bad.id).status())) << "it is tried again";
  lease = *Acquire();
  ASSERT_TRUE(jobs().Fail(bad.id, lease.fencing_token, {9, "missed", ""}, false, {R"({"a":1})", "# R"}).ok());
  EXPECT_TRUE(Get(bad.id).has_report);
  const auto report = jobs().Report("alice", bad.id);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->json, R"({"a":1})");
  EXPECT_EQ(report->markdown, "# R");
  EXPECT_TRUE(absl::IsNotFound(jobs().Report("bob", bad.id).status()));
  const Job other = *Enqueue("alice");
  lease = *Acquire();
  ASSERT_TRUE(jobs().Fail(other.id, lease.fencing_token, {3, "wrong", ""}, false).ok());
  EXPECT_FALSE(Get(other.id).has_report);
  EXPECT_TRUE(absl::IsNotFound(jobs().Report("alice", other.id).status()));
}

TEST_P(JobStoreConformance, AFaultOfTheInputIsNotTriedAgainAndAPassingOneIs) {
  const Job bad = *Enqueue("alice");
  Lease lease = *Acquire();
  ASSERT_TRUE(jobs().Fail(bad.id, lease.fencing_token, {3, "wrong", "files[0].path"}, false).ok());
  EXPECT_EQ(Get(bad.id).state, JobState::kFailed);
  EXPECT_EQ(Get(bad.id).error->field, "files[0].path");
  const Job unlucky = *Enqueue("alice");
  lease = *Acquire();
  ASSERT_TRUE(jobs().Fail(unlucky.id, lease.fencing_token, {14, "gone", ""}, true).ok());
  EXPECT_EQ(Get(unlucky.id).state, JobState::kQueued);
  lease = *Acquire();
  ASSERT_TRUE(jobs().Commit(unlucky.id, lease.fencing_token, {}).ok());
  EXPECT_FALSE(Get(unlucky.id).error.has_value());
}

TEST_P(JobStoreConformance, CancellingEndsAQueuedJobAtOnceAndARunningOneWithItsWorker) {
  const Job queued = *Enqueue("alice");
  EXPECT_EQ(jobs().Cancel("alice", queued.id)->state, JobState::kCancelled);
  const Job running = *Enqueue("alice");
  Lease lease = *Acquire();
  EXPECT_EQ(jobs().Cancel("alice", running.id)->state, JobState::kRunning);
  EXPECT_TRUE(*jobs().Renew(running.id, lease.fencing_token, {}, {}));
  ASSERT_TRUE(jobs().Fail(running.id, lease.fencing_token, {1, "cancelled", ""}, true).ok());
  EXPECT_EQ(Get(running.id).state, JobState::kCancelled);
  EXPECT_EQ(jobs().Cancel("alice", running.id)->state, JobState::kCancelled) << "again is fine";
  const Job lost = *Enqueue("alice");
  ASSERT_TRUE(Acquire().ok());
  ASSERT_TRUE(jobs().Cancel("alice", lost.id).ok());
  clock_.Advance(kSuiteLeaseMillis);
  EXPECT_EQ(jobs().ExpireLeases()->size(), 1u);
  EXPECT_EQ(Get(lost.id).state, JobState::kCancelled);
}

TEST_P(JobStoreConformance, ACommitWhoseAnswerWasLostIsOkAgainAndPublishesOnce) {
  const Job job = *Enqueue("alice");
  const Lease lease = *Acquire();
  const Digest first = Sha256Of("first");
  ASSERT_TRUE(jobs().Commit(job.id, lease.fencing_token, PublicationOf("model", "m", first)).ok());
  ASSERT_TRUE(jobs().Commit(job.id, lease.fencing_token, PublicationOf("model", "m", Sha256Of("second"))).ok());
  EXPECT_EQ(catalogue().Find("alice", "model", "m")->manifest, first);
  EXPECT_TRUE(absl::IsAborted(jobs().Commit(job.id, lease.fencing_token + 1, {})));
}

TEST_P(JobStoreConformance, WhatAnotherPrincipalStoredIsNotFound) {
  const Job job = *Enqueue("alice");
  const Lease lease = *Acquire();
  ASSERT_TRUE(jobs().Commit(job.id, lease.fencing_token, PublicationOf("model", "m", Sha256Of("m"))).ok());
  EXPECT_TRUE(absl::IsNotFound(jobs().Get("bob", job.id).status()));
  EXPECT_TRUE(absl::IsNotFound(jobs().Cancel("bob", job.id).status()));
  EXPECT_TRUE(absl::IsNotFound(jobs().Logs("bob", job.id, 0, 10).status()));
  EXPECT_TRUE(jobs().List("bob", 10, "")->jobs.empty());
  EXPECT_TRUE(absl::IsNotFound(catalogue().Find("bob", "model", "m").status()));
  EXPECT_TRUE(absl::IsNotFound(catalogue().Delete("bob", "model", "m")));
  EXPECT_TRUE(catalogue().ListEntries("bob", "model", 10, "")->entries.empty());
}

TEST_P(JobStoreConformance, TheLeasedJobIsGivenToTheHolderOfItsTokenAlone) {
  const Job job = *Enqueue("alice");
  const Lease lease = *Acquire();
  EXPECT_EQ(jobs().GetLeased(job.id, lease.fencing_token)->principal, "alice");
  EXPECT_TRUE(absl::IsAborted(jobs().GetLeased(job.id, lease.fencing_token + 1).status()));
  EXPECT_TRUE(absl::IsAborted(jobs().GetLeased("nosuchjob", lease.fencing_token).status()));
  ASSERT_TRUE(jobs().Fail(job.id, lease.fencing_token, {14, "lost", ""}, true).ok());
  EXPECT_TRUE(absl::IsAborted(jobs().GetLeased(job.id, lease.fencing_token).status())) << "it waits again";
}

TEST_P(JobStoreConformance, ACheckpointGoesToTheNextAttemptOnAnyWorker) {
  const Job job = *Enqueue("alice");
  const Lease first = *Acquire();
  EXPECT_EQ(first.job.checkpoint, std::nullopt);
  ASSERT_TRUE(jobs().SaveCheckpoint(job.id, first.fencing_token, Sha256Of("one"), std::nullopt).ok());
  ASSERT_TRUE(jobs().SaveCheckpoint(job.id, first.fencing_token, Sha256Of("two"), Sha256Of("one")).ok());
  ASSERT_TRUE(jobs().Renew(job.id, first.fencing_token, {"p", 1, 2}, {}).ok());
  ASSERT_TRUE(jobs().Fail(job.id, first.fencing_token, {14, "lost", ""}, true).ok());
  if (GetParam().keeps) {
    store_ = {};
    Open();
  }
  const Lease second = *jobs().Acquire({"another", "cpu:1", 1000, {}});
  EXPECT_EQ(second.job.checkpoint, Sha256Of("two"));
  EXPECT_TRUE(absl::IsAborted(jobs().SaveCheckpoint(job.id, first.fencing_token, Sha256Of("late"), Sha256Of("two"))));
  clock_.Advance(kSuiteLeaseMillis);
  ASSERT_EQ(jobs().ExpireLeases()->size(), 1u);
  EXPECT_TRUE(absl::IsAborted(jobs().SaveCheckpoint(job.id, second.fencing_token, Sha256Of("late"), Sha256Of("two"))));
  EXPECT_EQ(Acquire()->job.checkpoint, Sha256Of("two"));
}

TEST_P(JobStoreConformance, CheckpointsOfEndedJobsAreToldUntilTheyAreForgotten) {
  const Job cancelled = *Enqueue("alice");
  const Lease first = *Acquire();
  ASSERT_TRUE(jobs().SaveCheckpoint(cancelled.id, first.fencing_token, Sha256Of("one"), std::nullopt).ok());
  ASSERT_TRUE(jobs().ReleaseLease(cancelled.id, first.fencing_token).ok());
  EXPECT_TRUE(jobs().EndedCheckpoints(10)->empty()) << "it waits and will go on from there";
  ASSERT_TRUE(jobs().Cancel("alice", cancelled.id).ok());
  const auto ended = jobs().EndedCheckpoints(10);
  ASSERT_EQ(ended->size(), 1u);
  EXPECT_EQ(ended->front().job, cancelled.id);
  EXPECT_EQ(ended->front().checkpoint, Sha256Of("one"));
  ASSERT_TRUE(jobs().ForgetCheckpoint(cancelled.id).ok());
  EXPECT_TRUE(jobs().EndedCheckpoints(10)->empty());
}

TEST_P(JobStoreConformance, AJobWaitsWhileTheRunningOnesMayNeedTheDisk) {
  const auto enqueue = [&](uint64_t disk_bytes) {
    Job job;
    job.principal = "alice";
    job.kind = "import";
    job.spec_json = "{}";
    job.disk_bytes = disk_bytes;
    return jobs().Enqueue(job)->id;
  };
  const auto acquire = [&](uint64_t free) { return jobs().Acquire({"w", "cpu:0", 1000, {}, 0, free}); };
  const std::string large = enqueue(60), second = enqueue(60), none = enqueue(0);
  EXPECT_EQ(acquire(59)->job.id, none) << "what needs no disk does not wait for it";
  EXPECT_TRUE(absl::IsNotFound(acquire(59).status()));
  const Lease running = *acquire(100);
  EXPECT_EQ(running.job.id, large);
  EXPECT_TRUE(absl::IsNotFound(acquire(100).status())) << "the running one may need 60 of the 100";
  ASSERT_TRUE(jobs().Fail(large, running.fencing_token, {3, "bad", ""}, false).ok());
  EXPECT_EQ(acquire(100)->job.id, second);
}

TEST_P(JobStoreConformance, AJobGoesOnFromItsCheckpointThoughItsOwnStatesFillTheDisk) {
  Job job;
  job.principal = "alice";
  job.kind = "import";
  job.spec_json = "{}";
  job.disk_bytes = 60;
  const std::string id = jobs().Enqueue(job)->id;
  const Lease first = *jobs().Acquire({"w", "cpu:0", 1000, {}, 0, 100});
  ASSERT_TRUE(jobs().SaveCheckpoint(id, first.fencing_token, Sha256Of("one"), std::nullopt).ok());
  ASSERT_TRUE(jobs().Fail(id, first.fencing_token, {14, "lost", ""}, /*retryable=*/true).ok());
  EXPECT_EQ(jobs().Acquire({"w", "cpu:0", 1000, {}, 0, /*disk_bytes=*/40})->job.id, id);
}

TEST_P(JobStoreConformance, AnAttemptThatSavedACheckpointDoesNotCountTowardsThoseThatMayFail) {
  const Job job = *Enqueue("alice");
  const auto lose = [&](const char* saves) {
    const Lease lease = *Acquire();
    if (saves != nullptr) {
      EXPECT_TRUE(jobs().SaveCheckpoint(job.id, lease.fencing_token, Sha256Of(saves), lease.job.checkpoint).ok());
    }
    EXPECT_TRUE(jobs().Fail(job.id, lease.fencing_token, {14, "lost", ""}, /*retryable=*/true).ok());
    return Get(job.id).state;
  };
  for (const char* const saves : {"one", "two", "three", "four"}) EXPECT_EQ(lose(saves), JobState::kQueued) << saves;
  for (int i = 1; i < kMaxAttempts; ++i) EXPECT_EQ(lose(nullptr), JobState::kQueued) << i;
  EXPECT_EQ(lose(nullptr), JobState::kFailed);
}

TEST_P(JobStoreConformance, ALateSaveDoesNotBringBackAnEarlierCheckpoint) {
  const Job job = *Enqueue("alice");
  const Lease lease = *Acquire();
  const auto save = [&](const char* checkpoint, const std::optional<Digest>& replaced) {
    return jobs().SaveCheckpoint(job.id, lease.fencing_token, Sha256Of(checkpoint), replaced);
  };
  ASSERT_TRUE(save("one", std::nullopt).ok());
  EXPECT_TRUE(save("one", std::nullopt).ok()) << "its answer was lost";
  ASSERT_TRUE(save("two", Sha256Of("one")).ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(save("one", std::nullopt)));
  EXPECT_TRUE(absl::IsFailedPrecondition(save("other", Sha256Of("one"))));
  EXPECT_EQ(Get(job.id).checkpoint, Sha256Of("two"));
}

TEST_P(JobStoreConformance, ACheckpointGoesWithItsJobsEnd) {
  const auto with_checkpoint = [&] {
    EXPECT_TRUE(Enqueue("alice").ok());
    Lease lease = *Acquire();
    EXPECT_TRUE(jobs().SaveCheckpoint(lease.job.id, lease.fencing_token, Sha256Of("c"), std::nullopt).ok());
    EXPECT_EQ(catalogue().Roots()->checkpoints, std::vector<Digest>{Sha256Of("c")});
    return lease;
  };
  const auto expect_none = [&](const std::string& id) {
    EXPECT_EQ(Get(id).checkpoint, std::nullopt);
    EXPECT_TRUE(catalogue().Roots()->checkpoints.empty());
  };
  Lease lease = with_checkpoint();
  ASSERT_TRUE(jobs().Commit(lease.job.id, lease.fencing_token, PublicationOf("model", "m", Sha256Of("m"))).ok());
  expect_none(lease.job.id);
  lease = with_checkpoint();
  ASSERT_TRUE(jobs().Fail(lease.job.id, lease.fencing_token, {3, "bad", ""}, false).ok());
  expect_none(lease.job.id);
  lease = with_checkpoint();
  ASSERT_TRUE(jobs().ReleaseLease(lease.job.id, lease.fencing_token).ok());
  EXPECT_EQ(Get(lease.job.id).checkpoint, Sha256Of("c")) << "it waits and goes on from there";
  ASSERT_TRUE(jobs().Cancel("alice", lease.job.id).ok());
  expect_none(lease.job.id);
}

TEST_P(JobStoreConformance, WhatAJobNamesIsARootWhileItIsLiveAndItsTextsAsLongAsItIsKept) {
  Job job;
  job.principal = "alice";
  job.kind = "quantize";
  job.spec_json = "{}";
  job.inputs = {.manifests = {Sha256Of("model"), Sha256Of("dataset")}, .blobs = {Sha256Of("picture")}};
  job.texts = Sha256Of("texts");
  const std::string id = jobs().Enqueue(job)->id;
  EXPECT_EQ(Get(id).texts, Sha256Of("texts"));
  const auto expect_live_roots = [&] {
    const CollectionRoots roots = *catalogue().Roots();
    EXPECT_THAT(roots.manifests, testing::UnorderedElementsAre(Sha256Of("model"), Sha256Of("dataset")));
    EXPECT_THAT(roots.blobs, testing::UnorderedElementsAre(Sha256Of("picture"), Sha256Of("texts")));
  };
  expect_live_roots();
  EXPECT_EQ(catalogue().Roots()->running_since_wall_millis, std::nullopt);
  const Lease lease = *Acquire();
  EXPECT_EQ(lease.job.texts, Sha256Of("texts"));
  expect_live_roots();
  EXPECT_EQ(catalogue().Roots()->running_since_wall_millis, clock_.WallMillis());
  ASSERT_TRUE(jobs().Fail(id, lease.fencing_token, {3, "bad", ""}, false).ok());
  EXPECT_TRUE(catalogue().Roots()->manifests.empty());
  EXPECT_EQ(catalogue().Roots()->blobs, std::vector<Digest>{Sha256Of("texts")});
  ASSERT_EQ(jobs().PurgeEnded(INT64_MAX, {}, 10)->removed, 1);
  EXPECT_TRUE(catalogue().Roots()->blobs.empty());
}

TEST_P(JobStoreConformance, LiveJobsAreCountedByState) {
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(Enqueue(i == 0 ? "alice" : "bob").ok());
  const Lease lease = *Acquire();
  EXPECT_EQ(jobs().CountLive()->queued, 2);
  EXPECT_EQ(jobs().CountLive()->running, 1);
  ASSERT_TRUE(jobs().Commit(lease.job.id, lease.fencing_token, PublicationOf("model", "m", Sha256Of("m"))).ok());
  EXPECT_EQ(jobs().CountLive()->running, 0);
}

TEST_P(JobStoreConformance, EndedJobsAreRemovedOldestFirstButNotWhatMadeAnEntryOrIsNamedByAnUpload) {
  Upload upload;
  upload.principal = "alice";
  upload.name = "m";
  upload.expires_wall_millis = INT64_MAX;
  upload = *catalogue().CreateUpload(upload);
  std::vector<std::string> ids;
  for (const std::string made : {"nothing", "an entry", "an upload's", "nothing later", "too late"}) {
    ids.push_back(Enqueue("alice", made)->id);
    const Lease lease = *Acquire();
    ASSERT_TRUE(jobs().Renew(lease.job.id, lease.fencing_token, {"p", 1, 1}, {"line"}).ok());
    const Publication publication =
        made == "an entry" ? PublicationOf("model", "m", Sha256Of("m")) : Publication{std::nullopt, "{}"};
    ASSERT_TRUE(jobs().Commit(lease.job.id, lease.fencing_token, publication).ok());
    clock_.Advance(10);
  }
  ASSERT_TRUE(catalogue().SetUploadCommitted("alice", upload.id, ids[2]).ok());
  const int64_t last_end = Get(ids[4]).finished_wall_millis;
  const auto first = *jobs().PurgeEnded(last_end, {}, 1);
  EXPECT_EQ(first.removed, 1);
  ASSERT_TRUE(first.next.has_value());
  EXPECT_EQ(jobs().Get("alice", ids[0]).status().code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(jobs().Get("alice", ids[3]).ok());
  const auto rest = *jobs().PurgeEnded(last_end, *first.next, 10);
  EXPECT_EQ(rest.removed, 1);
  EXPECT_FALSE(rest.next.has_value());
  EXPECT_EQ(jobs().Get("alice", ids[3]).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(jobs().PurgeEnded(last_end, {}, 10)->removed, 0);
  for (const std::string& kept : {ids[1], ids[2], ids[4]}) EXPECT_TRUE(jobs().Get("alice", kept).ok()) << kept;
  EXPECT_EQ(jobs().Logs("alice", ids[1], 0, 10)->size(), 1u);
  // Its key is free again, and the next job's id and log are its own.
  const Job again = *Enqueue("alice", "nothing");
  EXPECT_NE(again.id, ids[0]);
  EXPECT_TRUE(jobs().Logs("alice", again.id, 0, 10)->empty());
}

TEST_P(JobStoreConformance, ARemovalGoesOnInStepsOfABoundedLengthUntilItHasSeenAllEndedJobs) {
  constexpr int kEnded = 450;
  constexpr int kKept = 250;  // one after the other, more than a step looks at
  for (int i = 0; i < kEnded; ++i) {
    const Job job = *Enqueue("alice");
    if (i < kKept) {
      const Lease lease = *Acquire();
      const std::string name = "m" + std::to_string(i);
      ASSERT_TRUE(jobs().Commit(job.id, lease.fencing_token, PublicationOf("model", name, Sha256Of(name))).ok());
    } else {
      ASSERT_TRUE(jobs().Cancel("alice", job.id).ok());
    }
  }
  int64_t removed = 0;
  int steps = 0;
  std::optional<EndedPosition> position = EndedPosition();
  for (; position.has_value(); ++steps) {
    ASSERT_LT(steps, kEnded);
    const auto step = *jobs().PurgeEnded(INT64_MAX, *position, 7);
    EXPECT_LE(step.removed, 7);
    removed += step.removed;
    position = step.next;
  }
  EXPECT_EQ(removed, kEnded - kKept);
  EXPECT_EQ(jobs().List("alice", 1000, "")->jobs.size(), static_cast<size_t>(kKept));
}

TEST_P(JobStoreConformance, LiveJobsAreNotRemovedHoweverOld) {
  const std::string running = Enqueue("alice")->id;
  ASSERT_TRUE(Acquire().ok());
  const std::string queued = Enqueue("alice")->id;
  const std::string cancelled = Enqueue("alice")->id;
  ASSERT_TRUE(jobs().Cancel("alice", cancelled).ok());
  EXPECT_EQ(jobs().PurgeEnded(INT64_MAX, {}, 10)->removed, 1);
  EXPECT_EQ(jobs().Get("alice", cancelled).status().code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(jobs().Get("alice", running).ok());
  EXPECT_TRUE(jobs().Get("alice", queued).ok());
}

TEST_P(JobStoreConformance, APageOfLongSpecsEndsEarly) {
  for (int i = 0; i < 4; ++i) {
    Job job;
    job.principal = "alice";
    job.kind = "quantize";
    job.spec_json = std::string(i == 3 ? 3 << 20 : 400 << 10, 'x');
    job.max_attempts = 1;
    ASSERT_TRUE(jobs().Enqueue(job).ok());
  }
  std::vector<size_t> sizes;
  std::string token;
  do {
    const auto page = jobs().List("alice", 100, token);
    ASSERT_TRUE(page.ok());
    sizes.push_back(page->jobs.size());
    token = page->next_page_token;
  } while (!token.empty());
  EXPECT_EQ(sizes, (std::vector<size_t>{1, 2, 1})) << "newest first: 3 MiB, then three of 400 KiB";
}

TEST_P(JobStoreConformance, ListsComeNewestFirstInPagesThatJoinWithoutGapOrRepeat) {
  std::vector<std::string> ids;
  for (int i = 0; i < kSuiteMaxQueued; ++i) ids.push_back(Enqueue("alice")->id);
  std::reverse(ids.begin(), ids.end());
  std::vector<std::string> seen;
  std::string token;
  do {
    const auto page = jobs().List("alice", 2, token);
    ASSERT_TRUE(page.ok());
    EXPECT_FALSE(page->jobs.empty()) << "a token tells of more";
    for (const Job& job : page->jobs) seen.push_back(job.id);
    token = page->next_page_token;
  } while (!token.empty());
  EXPECT_EQ(seen, ids);
  EXPECT_EQ(FieldViolations(jobs().List("alice", 2, "nonsense").status())[0].field, "page_token");
  EXPECT_EQ(FieldViolations(jobs().List("alice", 0, "").status())[0].field, "page_size");
}

TEST_P(JobStoreConformance, TheVersionGrowsAndTheListenerHearsEveryChange) {
  std::vector<std::string> heard;
  jobs().SetListener([&](const std::string& id) { heard.push_back(id); });
  const Job job = *Enqueue("alice");
  const uint64_t created = Get(job.id).version;
  const Lease lease = *Acquire();
  ASSERT_TRUE(jobs().Renew(job.id, lease.fencing_token, {"p", 1, 2}, {}).ok());
  const uint64_t renewed = Get(job.id).version;
  EXPECT_GT(renewed, created);
  ASSERT_TRUE(jobs().Commit(job.id, lease.fencing_token, {}).ok());
  EXPECT_GT(Get(job.id).version, renewed);
  EXPECT_EQ(heard, std::vector<std::string>(4, job.id));
}

TEST_P(JobStoreConformance, AnUploadCollectsItsPages) {
  Upload upload;
  upload.principal = "alice";
  upload.name = "m";
  upload.request_id = "r";
  upload.total_bytes = 10;
  upload.expires_wall_millis = clock_.WallMillis() + 1000;
  const Upload made = *catalogue().CreateUpload(upload);
  EXPECT_EQ(catalogue().CreateUpload(upload)->id, made.id);
  ASSERT_TRUE(catalogue().AddUploadPage("alice", made.id, 0, "zero").ok());
  ASSERT_TRUE(catalogue().AddUploadPage("alice", made.id, 1, "one").ok());
  EXPECT_TRUE(catalogue().AddUploadPage("alice", made.id, 0, "zero").ok()) << "sent again";
  EXPECT_EQ(catalogue().AddUploadPage("alice", made.id, 0, "other").code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(*catalogue().UploadPages("alice", made.id), (std::vector<std::string>{"zero", "one"}));
  EXPECT_TRUE(absl::IsNotFound(catalogue().UploadPages("bob", made.id).status()));
  EXPECT_EQ(catalogue().OpenUploads()->size(), 1u);
  ASSERT_TRUE(catalogue().SetUploadCommitted("alice", made.id, "job").ok());
  EXPECT_EQ(catalogue().GetUpload("alice", made.id)->commit_job, "job");
  EXPECT_TRUE(catalogue().OpenUploads()->empty());
  clock_.Advance(1000);
  EXPECT_EQ(catalogue().ExpireUploads()->size(), 1u);
  EXPECT_TRUE(absl::IsNotFound(catalogue().GetUpload("alice", made.id).status()));
}

TEST_P(JobStoreConformance, OpenUploadsOfOnePrincipalAreLimited) {
  Upload upload;
  upload.principal = "alice";
  upload.name = "m";
  upload.total_bytes = 10;
  for (int i = 0; i < kSuiteMaxUploads; ++i) ASSERT_TRUE(catalogue().CreateUpload(upload).ok());
  EXPECT_EQ(catalogue().CreateUpload(upload).status().code(), absl::StatusCode::kResourceExhausted);
  upload.principal = "bob";
  EXPECT_TRUE(catalogue().CreateUpload(upload).ok());
}

TEST_P(JobStoreConformance, AJobCanBeQueuedAsLongAsTheQueueOfItsPrincipalHasRoom) {
  for (int i = 0; i < kSuiteMaxQueued; ++i) {
    EXPECT_TRUE(jobs().CanEnqueue("alice").ok());
    ASSERT_TRUE(Enqueue("alice").ok());
  }
  EXPECT_EQ(jobs().CanEnqueue("alice"), Enqueue("alice").status());
  EXPECT_TRUE(jobs().CanEnqueue("bob").ok());
}

TEST_P(JobStoreConformance, WhatALiveJobOrAHoldNeedsIsNotDeleted) {
  const Digest manifest = Sha256Of("m");
  const Job import = *Enqueue("alice");
  Lease lease = *Acquire();
  ASSERT_TRUE(jobs().Commit(import.id, lease.fencing_token, PublicationOf("model", "m", manifest)).ok());
  ASSERT_TRUE(catalogue().Hold("alice", manifest, "server-1", 5000).ok());
  const absl::Status held = catalogue().Delete("alice", "model", "m");
  EXPECT_EQ(held.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(MessageOf(held),
            "models/m is needed by the server 'server-1', which has loaded it; unload it there or, if that server is "
            "gone, wait: its hold runs out in 5 s");
  ASSERT_TRUE(catalogue().ReleaseHold("alice", manifest, "server-1").ok());

  Job quantize;
  quantize.principal = "alice";
  quantize.kind = "quantize";
  quantize.spec_json = "{}";
  quantize.inputs.manifests = {manifest};
  const Job needs = *jobs().Enqueue(quantize);
  EXPECT_EQ(MessageOf(catalogue().Delete("alice", "model", "m")),
            "models/m is needed by jobs/" + needs.id + "; wait for it or cancel it");
  EXPECT_NE(std::ranges::count(catalogue().Roots()->manifests, manifest), 0);
  ASSERT_TRUE(jobs().Cancel("alice", needs.id).ok());

  ASSERT_TRUE(catalogue().Hold("alice", manifest, "server-2", 5000).ok());
  clock_.Advance(5000);
  EXPECT_TRUE(catalogue().Delete("alice", "model", "m").ok()) << "the hold ran out";
  EXPECT_TRUE(catalogue().Roots()->manifests.empty());
}

TEST_P(JobStoreConformance, WhatIsFoundAndHeldIsNotDeletedNorCollected) {
  const Digest manifest = Sha256Of("m");
  const Job import = *Enqueue("alice");
  ASSERT_TRUE(jobs().Commit(import.id, Acquire()->fencing_token, PublicationOf("model", "m", manifest)).ok());
  EXPECT_TRUE(absl::IsNotFound(catalogue().FindAndHold("alice", "artifact", "m", "server", 5000).status()));
  EXPECT_TRUE(absl::IsNotFound(catalogue().FindAndHold("bob", "model", "m", "server", 5000).status()));
  const auto found = catalogue().FindAndHold("alice", "model", "m", "server", 5000);
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->manifest, manifest);
  EXPECT_EQ(catalogue().Delete("alice", "model", "m").code(), absl::StatusCode::kFailedPrecondition);
  clock_.Advance(5000);
  EXPECT_TRUE(catalogue().Delete("alice", "model", "m").ok()) << "the hold ran out";
}

TEST_P(JobStoreConformance, AfterARestartAHoldLastsAsLongAsItWasLastRenewedFor) {
  if (!GetParam().keeps) return;
  const Digest manifest = Sha256Of("m");
  const auto held = [&] { return std::ranges::count(catalogue().Roots()->manifests, manifest) > 0; };
  for (const int64_t ttl : {5'000, 60'000, 10'000}) ASSERT_TRUE(catalogue().Hold("alice", manifest, "s", ttl).ok());
  store_ = {};
  Open();
  clock_.Advance(9'999);
  EXPECT_TRUE(held());
  clock_.Advance(1);
  EXPECT_FALSE(held());
}

TEST_P(JobStoreConformance, EntriesAreListedByNameWithoutReports) {
  for (const char* name : {"b", "a", "c"}) {
    const Job job = *Enqueue("alice");
    const Lease lease = *Acquire();
    ASSERT_TRUE(jobs().Commit(job.id, lease.fencing_token, PublicationOf("artifact", name, Sha256Of(name))).ok());
  }
  const auto first = *catalogue().ListEntries("alice", "artifact", 2, "");
  ASSERT_EQ(first.entries.size(), 2u);
  EXPECT_EQ(first.entries[0].name, "a");
  EXPECT_EQ(first.entries[0].report_markdown, "");
  EXPECT_EQ(catalogue().Find("alice", "artifact", "a")->report_markdown, "# Report");
  const auto second = *catalogue().ListEntries("alice", "artifact", 2, first.next_page_token);
  ASSERT_EQ(second.entries.size(), 1u);
  EXPECT_EQ(second.entries[0].name, "c");
  EXPECT_TRUE(second.next_page_token.empty());
}

TEST_P(JobStoreConformance, AfterARestartRunningLeasesGetTheirWholeTimeAndTokensGoOnGrowing) {
  if (!GetParam().keeps) return;
  const Job job = *Enqueue("alice");
  const Lease lease = *Acquire();
  clock_.Advance(kSuiteLeaseMillis - 1);
  store_ = {};
  Open();
  clock_.Advance(kSuiteLeaseMillis - 1);
  EXPECT_EQ(jobs().ExpireLeases()->size(), 0u);
  EXPECT_TRUE(jobs().Renew(job.id, lease.fencing_token, {"p", 1, 1}, {}).ok());
  ASSERT_TRUE(Enqueue("alice").ok());
  EXPECT_GT(Acquire()->fencing_token, lease.fencing_token);
  clock_.Advance(kSuiteLeaseMillis);
  EXPECT_EQ(jobs().ExpireLeases()->size(), 2u);
}

}  // namespace gwq
