// ModelService/WriteBlob: one blob of an upload, appended message by message.
#include <fmt/format.h>
#include <prometheus/counter.h>

#include "core/base/status.h"
#include "server/common/handler.h"
#include "server/jobs/handlers/services.h"
#include "server/jobs/handlers/upload_manifest.h"
#include "server/jobs/resource_names.h"

namespace gwq {
namespace {

// What a crash can cost of a running upload; more often costs time in fsync.
constexpr uint64_t kSyncEvery = uint64_t{8} << 20;
constexpr size_t kMaxPart = size_t{2} << 20;
constexpr int64_t kBusyRetryMillis = 200;

class WriteBlobHandler final
    : public WithState<JobsState&, ClientStreamHandler<v1::WriteBlobRequest, v1::WriteBlobResponse>> {
 public:
  WriteBlobHandler(JobsState& state, const CallEnvironment& environment, std::string_view method,
                   ServerContext* context, v1::WriteBlobResponse* response)
      : WithState(state, environment, method, context, response),
        received_(environment.metrics.Counter("gwq_upload_received_bytes_total", "Bytes of blobs received.")) {}

 private:
  void Message(v1::WriteBlobRequest& message) override {
    if (const absl::Status status = Append(message); !status.ok()) {
      (void)KeepSynced();  // the first error is the one to tell
      End(status);
    }
  }

  // Also what a broken stream ends with: what came is kept, so that the next stream goes on from there.
  void Closed() override { End(Close()); }
  void Cancelled() override {}

  absl::Status Append(const v1::WriteBlobRequest& message) {
    if (!begun_) GWQ_RETURN_IF_ERROR(Prepare(message));
    if (present_) return absl::OkStatus();
    const std::string& data = message.data();
    received_.Increment(static_cast<double>(data.size()));
    if (data.size() > kMaxPart) {
      return InvalidField("data", fmt::format("{} bytes in one message, at most {} are taken", data.size(), kMaxPart));
    }
    if (writer_->offset() + data.size() > size_) {
      return InvalidField("data", fmt::format("{} bytes from {} reach past the blob's end at {}", data.size(),
                                              writer_->offset(), size_));
    }
    GWQ_RETURN_IF_ERROR(writer_->Append(std::as_bytes(std::span(data))));
    if (writer_->offset() - synced_ >= kSyncEvery) {
      GWQ_RETURN_IF_ERROR(CheckRoom(state_, 0));  // others write too
      GWQ_RETURN_IF_ERROR(writer_->Sync());
      synced_ = writer_->offset();
    }
    return absl::OkStatus();
  }

  absl::Status Prepare(const v1::WriteBlobRequest& message) {
    begun_ = true;
    GWQ_ASSIGN_OR_RETURN(const std::string id, IdOf("upload", "uploads", message.upload()));
    const auto digest = Digest::Parse(message.sha256());
    if (!digest.ok()) return AsField(digest.status(), "sha256");
    digest_ = *digest;
    GWQ_ASSIGN_OR_RETURN(const auto upload, state_.uploads.Of(state_.catalogue, principal(), id));
    const auto declared = upload->blobs.find(digest_);
    if (!upload->complete || declared == upload->blobs.end()) {
      return InvalidField("sha256", fmt::format("uploads/{} declares no blob {}", id, digest_.Hex()));
    }
    size_ = declared->second;
    if (state_.blobs.Stat(digest_).ok()) {
      present_ = true;
      response().set_persisted_bytes(size_);
      response().set_complete(true);
      End(absl::OkStatus());
      return absl::OkStatus();
    }
    auto writer = state_.blobs.Begin(PartialKey(id, digest_), digest_, size_);
    if (absl::IsAlreadyExists(writer.status())) {
      return WithRetryDelay(absl::UnavailableError("sha256: another stream writes this blob; wait for its end"),
                            kBusyRetryMillis);
    }
    GWQ_RETURN_IF_ERROR(writer.status());
    writer_ = *std::move(writer);
    synced_ = writer_->offset();
    if (message.offset() == synced_) return CheckRoom(state_, size_ - synced_);
    return InvalidField("offset",
                        fmt::format("{}, but {} bytes are safe on disk; go on from there", message.offset(), synced_));
  }

  absl::Status Close() {
    if (!begun_) return InvalidField("sha256", "the stream had no message");
    if (present_) return absl::OkStatus();
    if (writer_->offset() < size_) return KeepSynced();
    const auto committed = writer_->Commit();
    writer_.reset();
    if (absl::IsDataLoss(committed.status())) {
      return InvalidField("sha256", fmt::format("the {} bytes received have another digest than {}; they were dropped, "
                                                "send the blob again",
                                                size_, digest_.Hex()));
    }
    GWQ_RETURN_IF_ERROR(committed.status());
    response().set_persisted_bytes(size_);
    response().set_complete(true);
    return absl::OkStatus();
  }

  absl::Status KeepSynced() {
    if (writer_ == nullptr) return absl::OkStatus();
    GWQ_RETURN_IF_ERROR(writer_->Sync());
    response().set_persisted_bytes(writer_->offset());
    writer_.reset();
    return absl::OkStatus();
  }

  prometheus::Counter& received_;
  bool begun_ = false;
  bool present_ = false;
  Digest digest_;
  uint64_t size_ = 0;
  uint64_t synced_ = 0;
  std::unique_ptr<BlobWriter> writer_;
};

}  // namespace

grpc::ServerReadReactor<v1::WriteBlobRequest>* ModelService::WriteBlob(grpc::CallbackServerContext* context,
                                                                       v1::WriteBlobResponse* response) {
  return StartOn<WriteBlobHandler>(blob_environment_, "ModelService/WriteBlob", context, response);
}

}  // namespace gwq
