// WorkerService: gradient passes that are kept from job to job.
#include <algorithm>
#include <optional>

#include "core/base/status.h"
#include "core/jobs/kinds/job_kinds.h"
#include "core/storage/checkpoint.h"
#include "server/jobs/handlers/worker_call.h"

namespace gwq {
namespace {

constexpr size_t kMaxProducerBytes = 4096;

absl::StatusOr<PassKey> KeyOf(const std::string& what, const std::string& producer) {
  PassKey key;
  const auto digest = Digest::Parse(what);
  if (!digest.ok()) return AsField(digest.status(), "what_sha256");
  key.what = *digest;
  if (producer.empty() || producer.size() > kMaxProducerBytes) {
    return InvalidField("producer", fmt::format("has {} bytes, not 1 to {}", producer.size(), kMaxProducerBytes));
  }
  key.producer = producer;
  return key;
}

class FindPassHandler final : public WorkerCall<v1::FindPassRequest, v1::FindPassResponse> {
 public:
  using WorkerCall::WorkerCall;

 private:
  absl::Status Act() override {
    GWQ_ASSIGN_OR_RETURN(const PassKey key, KeyOf(request().what_sha256(), request().producer()));
    GWQ_ASSIGN_OR_RETURN(const Job job, state_.jobs.GetLeased(JobId(request().job()), request().fencing_token()));
    GWQ_ASSIGN_OR_RETURN(const std::optional<PassRecord> found, state_.passes.FindPass(job.principal, key));
    if (found) response().set_record_sha256(found->record.Hex());
    return absl::OkStatus();
  }
};

class KeepPassHandler final : public WorkerCall<v1::KeepPassRequest, v1::KeepPassResponse> {
 public:
  using WorkerCall::WorkerCall;

 private:
  absl::Status Act() override {
    PassRecord kept;
    GWQ_ASSIGN_OR_RETURN(kept.key, KeyOf(request().what_sha256(), request().producer()));
    const auto record = Digest::Parse(request().record_sha256());
    if (!record.ok()) return AsField(record.status(), "record_sha256");
    kept.record = *record;
    GWQ_ASSIGN_OR_RETURN(const std::vector<Digest> removed, Keep(kept));
    // Of this principal's and of others', as the limits ask for; each record has blobs of its own.
    for (const Digest& digest : removed) RemoveScratch(state_.blobs, digest, {});
    return absl::OkStatus();
  }

  // The collection must not take the record's blobs before it is kept. Returns the records that are not kept any more.
  absl::StatusOr<std::vector<Digest>> Keep(PassRecord& kept) {
    MutexLock reachable(state_.collection);
    GWQ_ASSIGN_OR_RETURN(const Job job, state_.jobs.GetLeased(JobId(request().job()), request().fencing_token()));
    kept.principal = job.principal;
    GWQ_ASSIGN_OR_RETURN(kept.key.model, Model(job));
    GWQ_ASSIGN_OR_RETURN(kept.bytes, Bytes(kept.record));
    return state_.passes.KeepPass(kept);
  }

  // One that the job itself reads.
  absl::StatusOr<Digest> Model(const Job& job) {
    const auto model = Digest::Parse(request().model_sha256());
    if (!model.ok()) return AsField(model.status(), "model_sha256");
    GWQ_ASSIGN_OR_RETURN(const JobKind* const kind, FindJobKind(job.kind));
    GWQ_ASSIGN_OR_RETURN(const JobInputs inputs, kind->inputs(job.spec_json));
    if (std::ranges::find(inputs.manifests, *model) != inputs.manifests.end()) return *model;
    return InvalidField("model_sha256", fmt::format("the job's spec names no manifest {}", model->Hex()));
  }

  absl::StatusOr<uint64_t> Bytes(const Digest& record) {
    auto stored = ReadCheckpoint(state_.blobs, record);
    if (absl::IsDataLoss(stored.status())) return InvalidField("record_sha256", MessageOf(stored.status()));
    GWQ_RETURN_IF_ERROR(stored.status());
    if (!stored->blobs.empty() || stored->scratch.empty()) {
      return InvalidField("record_sha256", "a record names scratch blobs and no others");
    }
    std::vector<Digest> all = stored->scratch;
    all.push_back(record);
    uint64_t bytes = 0;
    for (const Digest& blob : all) {
      const auto info = state_.blobs.Stat(blob);
      if (!info.ok()) {
        return InvalidField("record_sha256", fmt::format("it names {}: {}", blob.Hex(), MessageOf(info.status())));
      }
      bytes += info->size;
    }
    return bytes;
  }
};

}  // namespace

grpc::ServerUnaryReactor* WorkerService::FindPass(grpc::CallbackServerContext* context,
                                                  const v1::FindPassRequest* request, v1::FindPassResponse* response) {
  return Start<FindPassHandler>("WorkerService/FindPass", context, request, response);
}
grpc::ServerUnaryReactor* WorkerService::KeepPass(grpc::CallbackServerContext* context,
                                                  const v1::KeepPassRequest* request, v1::KeepPassResponse* response) {
  return Start<KeepPassHandler>("WorkerService/KeepPass", context, request, response);
}

}  // namespace gwq
