// Garbage collection beside everything that makes something reachable: jobs of every kind in the table, uploads,
// checkpoints, commits. Threads, fixed seeds, a bounded number of rounds.
#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <thread>

#include "core/io/json.h"
#include "core/jobs/kinds/job_kinds.h"
#include "core/jobs/kinds/specs.h"
#include "core/jobs/spec_texts.h"
#include "core/manifest/limits.h"
#include "core/storage/checkpoint.h"
#include "tests/server/jobs/jobs_fixture.h"

namespace gwq {
namespace {

using Stub = v1::WorkerService::Stub;

constexpr int kJobsOfAKind = 8, kPushes = 4, kWorkers = 2;

class CollectionTest : public JobsFixture {
 protected:
  void SetUp() override {
    settings_.max_queued_jobs = 10'000;
    // The clock runs hours ahead, so that nothing is kept for being young; leases and uploads end by what is done here.
    settings_.lease_seconds = settings_.upload_hours = 10'000'000;
    settings_.keep_jobs_days = 0;
    JobsFixture::SetUp();
  }

  BlobStore& blobs() { return server_->state().blobs; }
  Digest Put(std::string_view bytes) { return *PutBlob(blobs(), std::as_bytes(std::span(bytes))); }
  // A text that nobody has stored.
  std::string NewText() { return "text " + std::to_string(++texts_); }
  Digest NewManifest() {
    Manifest manifest;
    manifest.kind = "dataset";
    for (const char* path : {"a.txt", "b.txt"}) {
      const std::string text = NewText();
      manifest.files.push_back({path, text.size(), Put(text)});
    }
    return Put(ManifestJson(manifest));
  }

  // The kind's example with each digest replaced by that of a new manifest or blob, and with a long text.
  std::string NewSpec(const JobKind& kind) {
    std::string spec = kind.example();
    const auto replace = [&](const Digest& from, auto make) {
      const size_t at = spec.find(from.Hex());
      if (at != std::string::npos) spec.replace(at, from.Hex().size(), make().Hex());
    };
    for (int i = 0; i < kExamples; ++i) {
      replace(ExampleManifest(i), [this] { return NewManifest(); });
      replace(ExampleBlob(i), [this] { return Put(NewText()); });
    }
    nlohmann::json json = nlohmann::json::parse(spec);
    // An example has one calibration; every other quantization takes its samples from a dataset.
    if (json.contains("recipe") && texts_ % 2 == 0) {
      json["recipe"]["calibration"] = {{"source", "dataset"}, {"dataset", NewManifest().Hex()}};
    }
    json["of no meaning"] = NewText() + std::string(2 * kMaxSpecTextBytes, 'x');
    return CanonicalJson(json);
  }

  // As CreateJob does, without a plan, which would need a real model.
  void CreateJobs(const JobKind& kind) {
    for (int i = 0; i < kJobsOfAKind; ++i) {
      MutexLock reachable(server_->state().collection);
      const auto job = EnqueuePlanned(server_->state(), NewJob("local", kind.name, NewSpec(kind), ""));
      ASSERT_TRUE(job.ok()) << job.status();
    }
  }

  void PushDatasets() {
    for (int i = 0; i < kPushes; ++i) {
      google::longrunning::Operation operation;
      PushDataset(Files({{"data.txt", NewText()}, {"more.txt", NewText()}}), "dataset-" + std::to_string(i),
                  &operation);
    }
  }

  void ExpectStored(const Digest& digest, std::string_view what) {
    EXPECT_TRUE(blobs().Stat(digest).ok()) << what << " " << digest.Hex() << " was collected";
  }
  // The blob, and where it is a manifest the blobs that it names.
  void ExpectWhole(const Digest& digest, std::string_view what) {
    const auto json = ReadBlob(blobs(), digest, kMaxManifestBytes);
    EXPECT_TRUE(json.ok()) << what << ": " << json.status();
    if (!json.ok()) return;
    const auto manifest = ParseManifest(*json);
    if (!manifest.ok()) return;
    for (const Digest& blob : manifest->Blobs()) ExpectStored(blob, what);
  }
  // Whatever looks like a digest in the spec: not what the kind says.
  void ExpectDigests(const nlohmann::json& value, std::string_view what) {
    if (value.is_structured()) {
      for (const nlohmann::json& inner : value) ExpectDigests(inner, what);
    } else if (value.is_string()) {
      if (const auto digest = Digest::Parse(value.get<std::string>()); digest.ok()) ExpectWhole(*digest, what);
    }
  }
  void ExpectInputs(const Job& job) {
    const auto spec = JoinTexts(blobs(), job.spec_json, job.texts);
    ASSERT_TRUE(spec.ok()) << spec.status();
    ExpectDigests(nlohmann::json::parse(*spec), job.kind);
    if (!job.checkpoint.has_value()) return;
    const auto checkpoint = ReadCheckpoint(blobs(), *job.checkpoint);
    ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
    for (const Digest& blob : checkpoint->blobs) ExpectStored(blob, "checkpoint");
    for (const Digest& blob : checkpoint->scratch) ExpectStored(blob, "scratch");
  }

  void SaveCheckpoint(const Lease& lease) {
    v1::SaveCheckpointRequest request;
    request.set_job(lease.job.id);
    request.set_fencing_token(lease.fencing_token);
    const Digest scratch = *(*BeginScratch(blobs()))->Commit();
    request.set_checkpoint_sha256(StoreCheckpoint(blobs(), {"{}", {Put(NewText()), Put(NewText())}, {scratch}})->Hex());
    if (lease.job.checkpoint.has_value()) request.set_replaced_sha256(lease.job.checkpoint->Hex());
    v1::SaveCheckpointResponse response;
    const grpc::Status saved = Call(*workers_, &Stub::SaveCheckpoint, request, &response);
    EXPECT_TRUE(saved.ok()) << saved.error_message();
  }
  void Commit(const Lease& lease) {
    const JobKind* const kind = *FindJobKind(lease.job.kind);
    v1::CommitRequest request;
    request.set_job(lease.job.id);
    request.set_fencing_token(lease.fencing_token);
    request.set_kind(kind->product(lease.job.spec_json)->kind);
    request.set_manifest_sha256(NewManifest().Hex());
    v1::CommitResponse response;
    const grpc::Status committed = Call(*workers_, &Stub::Commit, request, &response);
    EXPECT_TRUE(committed.ok()) << committed.error_message();
  }

  // Looks at all that the job names at the beginning and at the end of an attempt, and ends it in one of many ways.
  void Attempt(const Lease& lease, std::mt19937& random) {
    ExpectInputs(lease.job);
    const auto chance = [&](int percent) { return static_cast<int>(random() % 100) < percent; };
    if (chance(60)) SaveCheckpoint(lease);
    std::this_thread::yield();
    const auto now = server_->state().jobs.GetLeased(lease.job.id, lease.fencing_token);
    ASSERT_TRUE(now.ok()) << now.status();
    ExpectInputs(*now);
    const std::string& id = lease.job.id;
    JobStore& jobs = server_->state().jobs;
    if (chance(50)) {
      // It waits again, if attempts are left, and is looked at by the next one.
      ASSERT_TRUE(jobs.Fail(id, lease.fencing_token, {14, "lost", ""}, /*retryable=*/true).ok());
      if (chance(20)) {
        EXPECT_TRUE(jobs.Cancel("local", id).ok());
      }
    } else if (chance(20)) {
      ASSERT_TRUE(jobs.Fail(id, lease.fencing_token, {3, "bad", ""}, /*retryable=*/false).ok());
    } else {
      Commit(lease);
    }
  }
  bool AnyLive() {
    const JobStore::LiveCounts live = *server_->state().jobs.CountLive();
    return live.queued + live.running > 0;
  }
  void Work(int seed) {
    std::mt19937 random(static_cast<unsigned>(seed));
    while (!created_ || AnyLive()) {
      const auto lease = server_->state().jobs.Acquire({"worker", "cpu:0", uint64_t{1} << 40, {}});
      if (!lease.ok()) {
        std::this_thread::yield();
        continue;
      }
      Attempt(*lease, random);
      if (HasFailure()) return;
    }
  }

  // Only after something new was stored: the clock would run on until leases end, and until files that are being
  // written, which have the machine's time, look old.
  void CollectUntilDone() {
    int seen = -1;
    while (!done_) {
      const int texts = texts_;
      if (texts == seen) {
        std::this_thread::yield();
        continue;
      }
      seen = texts;
      clock_.Advance(int64_t{2} * 3'600'000);
      const auto freed = server_->maintenance().Collect();
      ASSERT_TRUE(freed.ok()) << freed.status();
      freed_ += *freed;
    }
  }

  // More than the digests of any example.
  static constexpr int kExamples = 16;
  std::atomic<int> texts_{0};
  std::atomic<bool> created_{false}, done_{false};
  std::atomic<uint64_t> freed_{0};
};

TEST_F(CollectionTest, TakesNothingThatAJobACheckpointAnUploadOrAResourceNames) {
  std::thread collector([this] { CollectUntilDone(); });
  std::vector<std::thread> creators, workers;
  for (const JobKind& kind : JobKinds()) creators.emplace_back([this, &kind] { CreateJobs(kind); });
  creators.emplace_back([this] { PushDatasets(); });
  for (int i = 0; i < kWorkers; ++i) workers.emplace_back([this, i] { Work(i); });
  for (std::thread& thread : creators) thread.join();
  created_ = true;
  for (std::thread& thread : workers) thread.join();
  done_ = true;
  collector.join();
  clock_.Advance(int64_t{2} * 3'600'000);
  freed_ += *server_->maintenance().Collect();
  EXPECT_GT(freed_, 0u);
  for (const char* kind : {"model", "artifact", "dataset", "evaluation"}) {
    const auto page = server_->state().catalogue.ListEntries("local", kind, 1000, "");
    for (const CatalogueEntry& entry : page->entries) ExpectWhole(entry.manifest, kind);
  }
  const auto ended = server_->state().jobs.List("local", 1000, "");
  for (const Job& job : ended->jobs) EXPECT_TRUE(JoinTexts(blobs(), job.spec_json, job.texts).ok()) << job.kind;
}

TEST_F(CollectionTest, EveryDigestOfAnExampleIsOneThatTheTestReplaces) {
  std::set<std::string> replaced;
  for (int i = 0; i < kExamples; ++i) replaced.insert({ExampleManifest(i).Hex(), ExampleBlob(i).Hex()});
  for (const JobKind& kind : JobKinds()) {
    const JobInputs inputs = *kind.inputs(kind.example());
    for (const Digest& digest : inputs.manifests) EXPECT_TRUE(replaced.contains(digest.Hex())) << kind.name;
    for (const Digest& digest : inputs.blobs) EXPECT_TRUE(replaced.contains(digest.Hex())) << kind.name;
  }
}

}  // namespace
}  // namespace gwq
