#include "client/library/upload.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <thread>
#include <vector>

#include "core/base/mutex.h"
#include "core/base/status.h"
#include "core/io/file_system.h"
#include "gwq/v1/models.grpc.pb.h"

namespace gwq::client {
namespace {

constexpr size_t kPartBytes = 1 << 20;
// While one blob is synced on the server's disk, others are on the wire.
constexpr size_t kStreams = 4;
// Keeps a page of the manifest well below gRPC's default limit of 4 MiB.
constexpr int kTensorsPerPage = 4000;

// Blobs travel on a few streams at once; everything else is one call after the other.
class Pusher {
 public:
  Pusher(const Connection& jobs, const LocalModel& model, const UploadOptions& options, ProgressSink& progress)
      : jobs_(jobs),
        stub_(v1::ModelService::NewStub(jobs.channel())),
        model_(model),
        options_(options),
        progress_(progress) {}

  absl::StatusOr<UploadSummary> Run() {
    GWQ_RETURN_IF_ERROR(Create());
    GWQ_RETURN_IF_ERROR(SendManifest());
    GWQ_RETURN_IF_ERROR(SendMissing());
    v1::CommitUploadRequest request;
    request.set_name(upload_);
    request.set_request_id(upload_);
    GWQ_ASSIGN_OR_RETURN(summary_.operation, Ask(&v1::ModelService::Stub::CommitUpload, request));
    summary_.total_bytes = model_.total_bytes;
    return summary_;
  }

 private:
  // Again while the service is busy: every call of a push may be made twice.
  template <class Request, class Response>
  absl::StatusOr<Response> Ask(grpc::Status (v1::ModelService::Stub::*method)(grpc::ClientContext*, const Request&,
                                                                              Response*),
                               const Request& request) {
    for (int attempt = 1;; ++attempt) {
      absl::StatusOr<Response> response = Call(jobs_, *stub_, method, request);
      if (!IsBusy(response.status()) || attempt >= options_.max_attempts || jobs_.cancelled()) return response;
      Pause(jobs_, options_, attempt, response.status());
    }
  }

  absl::Status Create() {
    v1::CreateUploadRequest request;
    request.set_model_id(options_.model_id);
    request.set_dataset_id(options_.dataset_id);
    request.set_total_bytes(model_.total_bytes);
    request.set_request_id(fmt::format("{}{}-{}", options_.dataset_id.empty() ? "" : "dataset/",
                                       options_.model_id + options_.dataset_id,
                                       model_.fingerprint.Hex().substr(0, 32)));
    GWQ_ASSIGN_OR_RETURN(const v1::Upload upload, Ask(&v1::ModelService::Stub::CreateUpload, request));
    upload_ = upload.name();
    return absl::OkStatus();
  }

  absl::Status SendManifest() {
    std::vector<v1::AddUploadFilesRequest> pages(1);
    int tensors_in_page = 0;
    for (const LocalFile& file : model_.files) {
      v1::FileEntry* entry = AddEntry(pages.back(), file);
      for (const LocalTensor& piece : file.tensors) {
        if (++tensors_in_page > kTensorsPerPage) {
          entry = AddEntry(pages.emplace_back(), file);
          tensors_in_page = 1;
        }
        v1::TensorCut* to = entry->add_cuts();
        to->set_tensor(piece.tensor);
        to->set_offset(piece.blob.offset);
        to->set_size(piece.blob.size);
        to->set_sha256(piece.blob.digest.Hex());
      }
      ++tensors_in_page;
    }
    for (size_t i = 0; i < pages.size(); ++i) {
      pages[i].set_upload(upload_);
      pages[i].set_page(static_cast<int>(i));
      pages[i].set_last(i + 1 == pages.size());
      GWQ_RETURN_IF_ERROR(Ask(&v1::ModelService::Stub::AddUploadFiles, pages[i]).status());
    }
    return absl::OkStatus();
  }

  static v1::FileEntry* AddEntry(v1::AddUploadFilesRequest& page, const LocalFile& file) {
    v1::FileEntry* entry = page.add_files();
    entry->set_path(file.name);
    entry->set_size(file.size);
    entry->set_sha256(file.head.digest.Hex());
    entry->set_header_size(file.tensors.empty() ? 0 : file.head.size);
    return entry;
  }

  absl::Status SendMissing() {
    std::map<std::string, const LocalBlob*> blobs;
    for (const LocalFile& file : model_.files) {
      blobs.emplace(file.head.digest.Hex(), &file.head);
      for (const LocalTensor& piece : file.tensors) blobs.emplace(piece.blob.digest.Hex(), &piece.blob);
    }
    GWQ_ASSIGN_OR_RETURN(const std::vector<v1::MissingBlob> missing, ListMissing());
    for (const v1::MissingBlob& blob : missing) to_send_ += blob.size() - blob.received_bytes();
    std::vector<std::thread> streams;
    for (size_t i = 0; i < std::min(missing.size(), kStreams); ++i) {
      streams.emplace_back([&] { SendFrom(missing, blobs); });
    }
    for (std::thread& stream : streams) stream.join();
    MutexLock lock(mutex_);
    GWQ_RETURN_IF_ERROR(failure_);
    progress_.Update("upload", to_send_, to_send_, "B");
    progress_.Done();
    return absl::OkStatus();
  }

  // One stream's share: the next blob that nobody took, until none is left or one failed.
  void SendFrom(const std::vector<v1::MissingBlob>& missing, const std::map<std::string, const LocalBlob*>& blobs) {
    for (;;) {
      size_t mine;
      {
        MutexLock lock(mutex_);
        if (!failure_.ok() || next_ == missing.size()) return;
        mine = next_++;
      }
      const auto found = blobs.find(missing[mine].sha256());
      absl::Status sent = absl::InternalError(
          fmt::format("the server asks for blob {}, which this model does not have", missing[mine].sha256()));
      if (found != blobs.end()) sent = SendBlob(*found->second, missing[mine].received_bytes());
      MutexLock lock(mutex_);
      if (!sent.ok() && failure_.ok()) failure_ = std::move(sent);
    }
  }

  absl::StatusOr<std::vector<v1::MissingBlob>> ListMissing() {
    std::vector<v1::MissingBlob> missing;
    v1::ListMissingBlobsRequest request;
    request.set_upload(upload_);
    do {
      GWQ_ASSIGN_OR_RETURN(const v1::ListMissingBlobsResponse page,
                           Ask(&v1::ModelService::Stub::ListMissingBlobs, request));
      missing.insert(missing.end(), page.blobs().begin(), page.blobs().end());
      request.set_page_token(page.next_page_token());
    } while (!request.page_token().empty());
    return missing;
  }

  absl::Status SendBlob(const LocalBlob& blob, uint64_t offset) {
    absl::Status last;
    for (int stalled = 0; stalled < options_.max_attempts;) {
      if (jobs_.cancelled()) return absl::CancelledError("interrupted; run the same push again to continue");
      auto response = StreamBlob(blob, offset);
      if (response.ok() && response->complete()) return absl::OkStatus();
      last = response.ok() ? absl::UnavailableError(fmt::format("blob {} ended after {} of {} bytes", blob.digest.Hex(),
                                                                response->persisted_bytes(), blob.size))
                           : response.status();
      if (jobs_.cancelled()) continue;
      if (!IsTransient(last) && !absl::IsInvalidArgument(last)) return last;
      const auto there = Received(blob);
      // Another push's stream may have ended between our question and our first byte.
      const bool moved = there.ok() && *there != offset;
      if (!IsTransient(last) && !moved) return last;
      if (there.ok() && *there == blob.size) return absl::OkStatus();
      if (!there.ok() && !IsTransient(there.status())) return there.status();
      const bool forward = there.ok() && *there > offset;
      if (there.ok()) offset = *there;
      stalled = forward ? 0 : stalled + 1;
      if (!forward && stalled < options_.max_attempts) Pause(jobs_, options_, stalled, last);
    }
    return Annotate(last, fmt::format("{} attempts made no progress", options_.max_attempts));
  }

  // Bytes of a blob that the server has safe, all of them where it is complete.
  absl::StatusOr<uint64_t> Received(const LocalBlob& blob) {
    GWQ_ASSIGN_OR_RETURN(const auto missing, ListMissing());
    const auto found = std::ranges::find(missing, blob.digest.Hex(), &v1::MissingBlob::sha256);
    return found == missing.end() ? blob.size : found->received_bytes();
  }

  absl::StatusOr<v1::WriteBlobResponse> StreamBlob(const LocalBlob& blob, uint64_t offset) {
    grpc::ClientContext context;
    GWQ_RETURN_IF_ERROR(jobs_.PrepareStream(context));
    const Canceller::Attachment attachment(jobs_.canceller(), context);
    v1::WriteBlobResponse response;
    auto writer = stub_->WriteBlob(&context, &response);
    v1::WriteBlobRequest request;
    request.set_upload(upload_);
    request.set_sha256(blob.digest.Hex());
    request.set_offset(offset);
    do {
      const size_t part = static_cast<size_t>(std::min<uint64_t>(kPartBytes, blob.size - offset));
      request.mutable_data()->resize(part);
      const absl::Status read = LocalFileSystem().Read(blob.path, blob.offset + offset,
                                                       std::as_writable_bytes(std::span(*request.mutable_data())));
      if (!read.ok()) {
        context.TryCancel();
        (void)writer->Finish();
        return Annotate(read, "the file changed while it was sent");
      }
      if (!writer->Write(request)) break;
      offset += part;
      Advance(part);
      request.Clear();
    } while (offset < blob.size);
    writer->WritesDone();
    const grpc::Status status = writer->Finish();
    if (!status.ok()) return FromGrpc(status, context, jobs_);
    return response;
  }

  void Advance(uint64_t bytes) {
    MutexLock lock(mutex_);
    summary_.sent_bytes += bytes;
    progress_.Update("upload", std::min(summary_.sent_bytes, to_send_), to_send_, "B");
  }

  const Connection& jobs_;
  const std::unique_ptr<v1::ModelService::Stub> stub_;
  const LocalModel& model_;
  const UploadOptions& options_;
  ProgressSink& progress_;
  std::string upload_;
  uint64_t to_send_ = 0;
  Mutex mutex_;  // also keeps `progress_` to one caller at a time
  UploadSummary summary_;
  size_t next_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

absl::StatusOr<UploadSummary> PushModel(const Connection& jobs, const LocalModel& model, const UploadOptions& options,
                                        ProgressSink& progress) {
  return Pusher(jobs, model, options, progress).Run();
}

}  // namespace gwq::client
