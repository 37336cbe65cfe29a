// Gradient passes from job to job, through the service.
#include <gmock/gmock.h>

#include "core/artifact/stored_model.h"
#include "core/base/status.h"
#include "core/jobs/kinds/specs.h"
#include "core/quant/pass_keys.h"
#include "core/storage/checkpoint.h"
#include "tests/server/jobs/jobs_fixture.h"

namespace gwq {
namespace {

using ::testing::HasSubstr;
using Stub = v1::WorkerService::Stub;

class PassesTest : public JobsFixture {
 protected:
  void SetUp() override {
    settings_.kept_passes_mib = settings_.kept_passes_principal_mib = 1;
    JobsFixture::SetUp();
    keep_everything_ = runners_[1].run;
    Import(TinyModel(), "tiny");
    source_ = server_->state().catalogue.Find("local", "model", "tiny")->manifest;
  }

  BlobStore& blobs() { return server_->state().blobs; }
  bool IsStored(const Digest& digest) { return blobs().Stat(digest).ok(); }
  PassKey Key(const std::string& what) const { return {Sha256Of(what), "cpu", source_}; }
  Digest Scratch(size_t bytes) {
    const auto writer = *BeginScratch(blobs());
    EXPECT_TRUE(writer->Append(std::vector<std::byte>(bytes)).ok());
    return *writer->Commit();
  }
  Checkpoint Record(size_t bytes = 10) { return {R"({"a":1})", {}, {Scratch(bytes)}}; }

  v1::CreateJobResponse Create(v1::CreateJobRequest request) {
    v1::CreateJobResponse response;
    const grpc::Status status = Call(*jobs_, &v1::JobService::Stub::CreateJob, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  }
  // Runs a quantization whose runner does this.
  void Run(const std::function<void(const JobContext& context)>& act) {
    Create(Quantize("models/tiny", "small"));
    RunQueued(act);
  }
  void RunQueued(const std::function<void(const JobContext& context)>& act) {
    bool ran = false;
    runners_[1].run = [&](const JobContext& context) {
      act(context);
      ran = true;
      return keep_everything_(context);
    };
    ASSERT_TRUE(RunOne());
    EXPECT_TRUE(ran);
  }
  // The same model and a quantization of it, of another principal.
  void QueueAs(const std::string& principal) {
    JobStore& jobs = server_->state().jobs;
    Job import = NewJob(principal, "import", ImportJob{"u", "tiny", source_}.Json(), "");
    const auto queued = jobs.Enqueue(import);
    const auto lease = jobs.Acquire({"w", "cpu:0", uint64_t{1} << 40, {}});
    CatalogueEntry entry;
    entry.kind = "model";
    entry.name = "tiny";
    entry.manifest = source_;
    ASSERT_TRUE(jobs.Commit(queued->id, lease->fencing_token, {entry, "{}"}).ok());
    const auto job = jobs.Enqueue(NewJob(principal, "quantize", QuantizeJob{"tiny", "small", source_, {}}.Json(), ""));
    ASSERT_TRUE(job.ok()) << job.status();
  }
  void Collect() {
    clock_.Advance(int64_t{2} * 3'600'000);
    ASSERT_TRUE(server_->maintenance().Collect().ok());
  }

  Digest source_;

 private:
  std::function<absl::StatusOr<JobOutput>(const JobContext&)> keep_everything_;
};

TEST_F(PassesTest, ALaterJobFindsWhatAnEarlierOneKeptWhateverWasCollectedMeanwhile) {
  Checkpoint record;
  Run([&](const JobContext& context) {
    EXPECT_FALSE((*context.passes.Load(Key("a"))).has_value());
    record = Record();
    EXPECT_TRUE(context.passes.Save(Key("a"), record).ok());
  });
  Collect();
  Run([&](const JobContext& context) {
    const auto found = *context.passes.Load(Key("a"));
    ASSERT_TRUE(found.has_value());
    EXPECT_EQ(found->state, record.state);
    EXPECT_EQ(found->scratch, record.scratch);
    EXPECT_TRUE(IsStored(record.scratch[0]));
    EXPECT_FALSE((*context.passes.Load(Key("b"))).has_value());
  });
}

TEST_F(PassesTest, AnotherPrincipalFindsNothingEvenOfTheSameModel) {
  Run([&](const JobContext& context) { EXPECT_TRUE(context.passes.Save(Key("a"), Record()).ok()); });
  QueueAs("mallory");
  RunQueued([&](const JobContext& context) {
    EXPECT_FALSE((*context.passes.Load(Key("a"))).has_value());
    EXPECT_TRUE(context.passes.Save(Key("a"), Record()).ok());
  });
  const auto own = server_->state().passes.FindPass("local", Key("a"));
  const auto other = server_->state().passes.FindPass("mallory", Key("a"));
  EXPECT_NE((*own)->record, (*other)->record);
}

TEST_F(PassesTest, WhatMustMakeRoomIsRemovedAtOnceTheLongestUnusedFirst) {
  std::vector<Checkpoint> records;
  Run([&](const JobContext& context) {
    EXPECT_EQ(context.passes.room(), uint64_t{1} << 20);
    for (const char* const what : {"a", "b", "c"}) {
      records.push_back(Record(size_t{400} << 10));
      EXPECT_TRUE(context.passes.Save(Key(what), records.back()).ok());
      clock_.Advance(1);
    }
  });
  EXPECT_FALSE(IsStored(records[0].scratch[0]));
  EXPECT_TRUE(IsStored(records[1].scratch[0]) && IsStored(records[2].scratch[0]));
}

TEST_F(PassesTest, WhatIsTooLargeIsRemovedAtOnce) {
  Checkpoint large = Record(size_t{2} << 20);
  Run([&](const JobContext& context) {
    EXPECT_TRUE(context.passes.Save(Key("a"), large).ok());
    EXPECT_FALSE((*context.passes.Load(Key("a"))).has_value());
  });
  EXPECT_FALSE(IsStored(large.scratch[0]));
}

TEST_F(PassesTest, ARecordGoesWithItsModel) {
  Checkpoint record;
  Run([&](const JobContext& context) {
    record = Record();
    EXPECT_TRUE(context.passes.Save(Key("a"), record).ok());
  });
  v1::DeleteModelRequest request;
  request.set_name("models/tiny");
  google::protobuf::Empty empty;
  ASSERT_TRUE(Call(*models_, &v1::ModelService::Stub::DeleteModel, request, &empty).ok());
  EXPECT_FALSE((*server_->state().passes.FindPass("local", Key("a"))).has_value());
  Collect();
  EXPECT_FALSE(IsStored(record.scratch[0]));
}

TEST_F(PassesTest, AServiceThatKeepsNoneIsNotAsked) {
  StopServer();
  settings_.kept_passes_mib = 0;
  StartServer();
  Run([&](const JobContext& context) {
    EXPECT_EQ(context.passes.room(), 0U);
    EXPECT_FALSE((*context.passes.Load(Key("a"))).has_value());
  });
}

TEST_F(PassesTest, ACallWithoutTheLeaseOrWithAnotherModelIsRefused) {
  Create(Quantize("models/tiny", "small"));
  v1::AcquireRequest acquire;
  acquire.set_worker("w");
  acquire.set_memory_bytes(uint64_t{1} << 40);
  v1::AcquireResponse lease;
  ASSERT_TRUE(Call(*workers_, &Stub::Acquire, acquire, &lease).ok());
  v1::KeepPassRequest request;
  request.set_job(lease.job());
  request.set_fencing_token(lease.fencing_token());
  request.set_what_sha256(Sha256Of("a").Hex());
  request.set_producer("cpu");
  request.set_model_sha256(source_.Hex());
  request.set_record_sha256(StoreCheckpoint(blobs(), Record())->Hex());
  v1::KeepPassResponse response;
  const auto keep = [&](const auto& change) {
    v1::KeepPassRequest changed = request;
    change(changed);
    return Call(*workers_, &Stub::KeepPass, changed, &response);
  };
  EXPECT_EQ(keep([](auto& r) { r.set_fencing_token(99); }).error_code(), grpc::StatusCode::ABORTED);
  EXPECT_EQ(FieldOf(keep([](auto& r) { r.set_model_sha256(Sha256Of("x").Hex()); })), "model_sha256");
  EXPECT_EQ(FieldOf(keep([](auto& r) { r.set_record_sha256(Sha256Of("x").Hex()); })), "record_sha256");
  EXPECT_EQ(FieldOf(keep([&](auto& r) { r.set_record_sha256(StoreCheckpoint(blobs(), {"1", {}, {}})->Hex()); })),
            "record_sha256");
  EXPECT_EQ(FieldOf(keep([](auto& r) { r.clear_producer(); })), "producer");
  EXPECT_TRUE(keep([](auto&) {}).ok());
  v1::FindPassRequest find;
  find.set_job(lease.job());
  find.set_fencing_token(99);
  find.set_what_sha256(Sha256Of("a").Hex());
  find.set_producer("cpu");
  v1::FindPassResponse found;
  EXPECT_EQ(Call(*workers_, &Stub::FindPass, find, &found).error_code(), grpc::StatusCode::ABORTED);
  find.set_fencing_token(lease.fencing_token());
  ASSERT_TRUE(Call(*workers_, &Stub::FindPass, find, &found).ok());
  EXPECT_EQ(found.record_sha256(), request.record_sha256());
}

TEST_F(PassesTest, PassesAreCountedByHowTheyWereHad) {
  const auto keep = runners_[1].run;
  for (const PassCounts& passes : {PassCounts{1, 0}, PassCounts{0, 2}}) {
    Create(Quantize("models/tiny", "small"));
    runners_[1].run = [&](const JobContext& context) {
      auto out = keep(context);
      if (out.ok()) out->passes = passes;
      return out;
    };
    ASSERT_TRUE(RunOne());
  }
  EXPECT_THAT(server_->metrics().Text(), HasSubstr("gwq_gradient_passes_total{result=\"run\"} 1"));
  EXPECT_THAT(server_->metrics().Text(), HasSubstr("gwq_gradient_passes_total{result=\"reused\"} 2"));
}

TEST_F(PassesTest, APlanTellsExactSizesOnceTheCostsAreKnown) {
  v1::CreateJobRequest request = Quantize("models/tiny", "small");
  v1::Recipe& proto = *request.mutable_quantize()->mutable_recipe();
  proto.clear_group_size();
  proto.set_method(v1::RTN);
  proto.mutable_target()->set_bits(7);
  v1::CreateJobRequest ask = request;
  ask.set_validate_only(true);
  const v1::Plan before = Create(ask).plan();
  EXPECT_TRUE(before.bounds());
  Create(request);
  uint64_t bytes = 0;
  RunQueued([&](const JobContext& context) {
    const auto job = *QuantizeJob::Parse(context.spec_json);
    const auto model = *StoredModel::Open(context.store, job.source);
    Plan plan = *PlanQuantization(*model->model(), model->manifest(), job.recipe);
    FormLosses losses;
    for (const PlannedModule& module : plan.modules) {
      for (size_t i = 0; i < module.choices.size(); ++i) {
        losses[module.tensor].push_back(static_cast<double>(module.choices.size() - i));
      }
    }
    const Checkpoint record = *StoreLosses(context.store, losses);
    EXPECT_TRUE(context.passes.Save(LossesKey(job.source, job.recipe, plan, "cpu"), record).ok());
    DivideTarget(job.recipe, losses, plan);
    bytes = plan.total_bytes;
  });
  const v1::Plan after = Create(ask).plan();
  EXPECT_FALSE(after.bounds());
  EXPECT_EQ(after.total_bytes(), bytes);
  EXPECT_LE(after.total_bytes(), before.total_bytes());
  for (const v1::PlannedModule& module : after.modules()) EXPECT_EQ(module.least_stored_bytes(), 0U);
  ask.mutable_quantize()->mutable_recipe()->set_seed(1);
  EXPECT_TRUE(Create(ask).plan().bounds()) << "other samples";
}

}  // namespace
}  // namespace gwq
