#include "server/jobs/upload_handlers.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/status.h"
#include "core/jobs/job_kinds.h"
#include "core/jobs/specs.h"
#include "server/jobs/job_proto.h"

namespace gwq {
namespace {

constexpr size_t kMaxPartBytes = 2 << 20;
// What a crash of this machine may cost a resumed upload.
constexpr uint64_t kSyncBytes = 8 << 20;
constexpr int kMaxPages = 100'000;

}  // namespace

absl::Status CreateUploadHandler::Run() {
  GWQ_RETURN_IF_ERROR(CheckResourceId("model_id", request().model_id()));
  if (request().total_bytes() == 0 || request().total_bytes() > jobs().uploads.max_bytes) {
    return InvalidField("total_bytes", fmt::format("{} is not between 1 and the limit of {}", request().total_bytes(),
                                                   jobs().uploads.max_bytes));
  }
  Upload upload;
  upload.principal = principal();
  upload.name = request().model_id();
  upload.request_id = request().request_id();
  upload.total_bytes = request().total_bytes();
  upload.created_wall_millis = jobs().clock.WallMillis();
  upload.expires_wall_millis = upload.created_wall_millis + jobs().uploads.lifetime_millis;
  GWQ_ASSIGN_OR_RETURN(upload, jobs().catalogue.CreateUpload(std::move(upload)));
  response() = UploadToProto(upload);
  return absl::OkStatus();
}

absl::Status GetUploadHandler::Run() {
  GWQ_ASSIGN_OR_RETURN(const std::string id, IdOf("name", "uploads", request().name()));
  GWQ_ASSIGN_OR_RETURN(const Upload upload, jobs().catalogue.GetUpload(principal(), id));
  response() = UploadToProto(upload);
  return absl::OkStatus();
}

absl::Status AddUploadFilesHandler::Run() {
  GWQ_ASSIGN_OR_RETURN(const std::string id, IdOf("upload", "uploads", request().upload()));
  if (request().page() < 0 || request().page() >= kMaxPages) {
    return InvalidField("page", fmt::format("{} is not between 0 and {}", request().page(), kMaxPages - 1));
  }
  GWQ_ASSIGN_OR_RETURN(const std::string page, UploadPageJson(request()));
  GWQ_RETURN_IF_ERROR(jobs().catalogue.AddUploadPage(principal(), id, request().page(), page));
  state_.sessions.Forget(id);
  GWQ_ASSIGN_OR_RETURN(const auto pages, jobs().catalogue.UploadPages(principal(), id));
  response().set_pages(static_cast<int>(pages.size()));
  if (!request().last()) return absl::OkStatus();
  GWQ_ASSIGN_OR_RETURN(const auto contents, state_.sessions.Contents(principal(), id));
  GWQ_ASSIGN_OR_RETURN(const Upload upload, jobs().catalogue.GetUpload(principal(), id));
  uint64_t declared = 0;
  for (const ManifestFile& file : contents->manifest.files) declared += file.size;
  for (const ManifestShard& shard : contents->manifest.shards) declared += shard.size;
  if (declared == upload.total_bytes) return absl::OkStatus();
  return InvalidField("files", fmt::format("the files have {} bytes together, the upload was created for {}", declared,
                                           upload.total_bytes));
}

absl::Status ListMissingBlobsHandler::Run() {
  GWQ_ASSIGN_OR_RETURN(const std::string id, IdOf("upload", "uploads", request().upload()));
  GWQ_ASSIGN_OR_RETURN(const int page_size, PageSize(request().page_size(), 1000, 10'000));
  GWQ_ASSIGN_OR_RETURN(const auto contents, state_.sessions.Contents(principal(), id));
  GWQ_ASSIGN_OR_RETURN(const auto missing, state_.sessions.ListMissing(id, *contents));
  uint64_t total = 0, lacking = 0;
  for (const auto& [digest, size] : contents->blobs) total += size;
  for (const auto& blob : missing) lacking += blob.size - blob.received;
  response().set_missing_bytes(lacking);
  response().set_present_bytes(total - lacking);
  for (const auto& blob : missing) {
    const std::string hex = blob.digest.Hex();
    // The token is the digest of the last blob told: what comes in meanwhile does not shift the pages.
    if (hex <= request().page_token()) continue;
    if (response().blobs_size() == page_size) {
      response().set_next_page_token(response().blobs(page_size - 1).sha256());
      break;
    }
    v1::MissingBlob* to = response().add_blobs();
    to->set_sha256(hex);
    to->set_size(blob.size);
    to->set_received_bytes(blob.received);
  }
  return absl::OkStatus();
}

void WriteBlobHandler::Message(v1::WriteBlobRequest& message) {
  absl::Status status = writer_ == nullptr ? Open(message) : absl::OkStatus();
  if (status.ok() && !ended()) status = Append(message.data());
  if (!status.ok()) End(std::move(status));
}

absl::Status WriteBlobHandler::Open(const v1::WriteBlobRequest& first) {
  GWQ_ASSIGN_OR_RETURN(const std::string upload, IdOf("upload", "uploads", first.upload()));
  const auto digest = Digest::Parse(first.sha256());
  if (!digest.ok()) return InvalidField("sha256", MessageOf(digest.status()));
  GWQ_ASSIGN_OR_RETURN(const auto contents, state_.sessions.Contents(principal(), upload));
  const auto declared = contents->blobs.find(*digest);
  if (declared == contents->blobs.end())
    return InvalidField("sha256", fmt::format("{} is no blob of {}", first.sha256(), first.upload()));
  size_ = declared->second;
  if (state_.context.blobs.Stat(*digest).ok()) {
    response().set_persisted_bytes(size_);
    response().set_complete(true);
    End(absl::OkStatus());
    return absl::OkStatus();
  }
  GWQ_ASSIGN_OR_RETURN(writer_,
                       state_.context.blobs.Begin(UploadSessions::PartialKey(upload, *digest), *digest, size_));
  if (first.offset() == writer_->offset()) return absl::OkStatus();
  return absl::OutOfRangeError(fmt::format("offset {} is not where this blob goes on: {} bytes are safe; resume there",
                                           first.offset(), writer_->offset()));
}

absl::Status WriteBlobHandler::Append(const std::string& data) {
  if (data.size() > kMaxPartBytes)
    return InvalidField("data", fmt::format("{} bytes; send at most {} in a part", data.size(), kMaxPartBytes));
  if (data.size() > size_ - writer_->offset()) {
    return InvalidField("data", fmt::format("reaches past the blob's {} bytes", size_));
  }
  GWQ_RETURN_IF_ERROR(writer_->Append(std::as_bytes(std::span(data))));
  unsynced_ += data.size();
  if (unsynced_ < kSyncBytes) return absl::OkStatus();
  unsynced_ = 0;
  return writer_->Sync();
}

void WriteBlobHandler::Closed() {
  if (writer_ == nullptr) return End(InvalidField("sha256", "the stream ended before its first message"));
  End(Complete());
}

absl::Status WriteBlobHandler::Complete() {
  response().set_persisted_bytes(writer_->offset());
  if (writer_->offset() < size_) return writer_->Sync();
  GWQ_RETURN_IF_ERROR(writer_->Commit().status());
  response().set_complete(true);
  return absl::OkStatus();
}

absl::Status CommitUploadHandler::Run() {
  GWQ_ASSIGN_OR_RETURN(const std::string id, IdOf("name", "uploads", request().name()));
  GWQ_ASSIGN_OR_RETURN(const Upload upload, jobs().catalogue.GetUpload(principal(), id));
  if (!upload.commit_job.empty()) {
    GWQ_ASSIGN_OR_RETURN(const Job job, jobs().jobs.Get(principal(), upload.commit_job));
    // A failed import may be tried again: its bytes are all here.
    if (job.state != JobState::kFailed && job.state != JobState::kCancelled) {
      response() = OperationOf(job);
      return absl::OkStatus();
    }
  }
  GWQ_ASSIGN_OR_RETURN(const auto contents, state_.sessions.Contents(principal(), id));
  GWQ_ASSIGN_OR_RETURN(const auto missing, state_.sessions.ListMissing(id, *contents));
  if (!missing.empty()) {
    return absl::FailedPreconditionError(
        fmt::format("{} of {} blobs are not here yet, {} first; ListMissingBlobs names them", missing.size(),
                    contents->blobs.size(), missing.front().digest.Hex()));
  }
  const std::string json = ManifestJson(contents->manifest);
  ImportJob spec{.upload = id, .model_id = upload.name, .manifest = {}};
  GWQ_ASSIGN_OR_RETURN(spec.manifest, PutBlob(jobs().blobs, std::as_bytes(std::span(json))));
  Job job;
  job.principal = principal();
  job.kind = kImportKind;
  job.spec_json = SpecJson(spec);
  // One import an upload and attempt: the same commit twice makes one job.
  job.request_id = fmt::format("commit-{}-{}", id, upload.commit_job);
  GWQ_ASSIGN_OR_RETURN(job.memory_bytes, FindJobKind(kImportKind)->plan(jobs().blobs, job.spec_json));
  GWQ_ASSIGN_OR_RETURN(job, jobs().jobs.Enqueue(std::move(job)));
  GWQ_RETURN_IF_ERROR(jobs().catalogue.SetUploadCommitted(principal(), id, job.id));
  response() = OperationOf(job);
  return absl::OkStatus();
}

absl::Status DeleteUploadHandler::Run() {
  GWQ_ASSIGN_OR_RETURN(const std::string id, IdOf("name", "uploads", request().name()));
  GWQ_RETURN_IF_ERROR(jobs().catalogue.DeleteUpload(principal(), id));
  state_.sessions.Forget(id);
  return jobs().blobs.DropPartials(id + "/");
}

}  // namespace gwq
