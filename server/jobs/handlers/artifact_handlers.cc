// Artifacts, and the bytes of both artifacts and models.
#include <fmt/format.h>

#include <algorithm>

#include "core/base/status.h"
#include "server/common/handler.h"
#include "server/jobs/handlers/entry_call.h"
#include "server/jobs/handlers/services.h"
#include "server/jobs/manifest_cache.h"
#include "server/jobs/record_proto.h"
#include "server/jobs/resource_names.h"

namespace gwq {
namespace {

using google::protobuf::Empty;

constexpr uint64_t kPartBytes = uint64_t{1} << 20;
constexpr size_t kMaxHolderBytes = 256;
constexpr int64_t kMinHoldMillis = 1'000, kMaxHoldMillis = 3'600'000;

class GetArtifactHandler final : public EntryCall<v1::GetArtifactRequest, v1::Artifact> {
 public:
  using EntryCall::EntryCall;

 private:
  absl::Status Run() override {
    GWQ_ASSIGN_OR_RETURN(const CatalogueEntry entry, Find("artifact"));
    response() = ArtifactToProto(entry);
    return absl::OkStatus();
  }
};

class ListArtifactsHandler final : public EntryCall<v1::ListArtifactsRequest, v1::ListArtifactsResponse> {
 public:
  using EntryCall::EntryCall;

 private:
  absl::Status Run() override {
    GWQ_ASSIGN_OR_RETURN(const Catalogue::EntryPage page, List("artifact"));
    for (const CatalogueEntry& entry : page.entries) {
      v1::Artifact& artifact = *response().add_artifacts();
      artifact = ArtifactToProto(entry);
      if (artifact.has_summary()) artifact.mutable_summary()->clear_metrics();
    }
    response().set_next_page_token(page.next_page_token);
    return absl::OkStatus();
  }
};

class DeleteArtifactHandler final : public EntryCall<v1::DeleteArtifactRequest, Empty> {
 public:
  using EntryCall::EntryCall;

 private:
  absl::Status Run() override { return Delete("artifact"); }
};

class ResolveHandler final : public JobsCall<v1::ResolveRequest, v1::ResolveResponse> {
 public:
  using WithState::WithState;

 private:
  absl::Status Run() override {
    if (request().holder().empty() || request().holder().size() > kMaxHolderBytes) {
      return InvalidField("holder", fmt::format("has {} bytes, not 1 to {}; give a name that is unique to the server "
                                                "process",
                                                request().holder().size(), kMaxHolderBytes));
    }
    if (request().hold_millis() < kMinHoldMillis || request().hold_millis() > kMaxHoldMillis) {
      return InvalidField("hold_millis",
                          fmt::format("{} is not in {}..{}", request().hold_millis(), kMinHoldMillis, kMaxHoldMillis));
    }
    GWQ_ASSIGN_OR_RETURN(const CatalogueEntry entry, FindAndHold());
    response().set_name(NameOf(entry.kind, entry.name));
    response().set_digest(entry.manifest.Hex());
    response().set_kind(entry.kind);
    response().set_blob_root(state_.blob_root);
    return absl::OkStatus();
  }

  absl::StatusOr<CatalogueEntry> FindAndHold() {
    const auto hold = [this](const std::string& kind, const std::string& id) {
      return state_.catalogue.FindAndHold(principal(), kind, id, request().holder(), request().hold_millis());
    };
    if (request().name().find('/') != std::string::npos) {
      GWQ_ASSIGN_OR_RETURN(const EntryName name, ParseModelName("name", request().name()));
      return hold(name.kind, name.id);
    }
    GWQ_ASSIGN_OR_RETURN(const std::string id, IdOf("name", "artifacts", "artifacts/" + request().name()));
    auto artifact = hold("artifact", id);
    if (artifact.ok() || !absl::IsNotFound(artifact.status())) return artifact;
    auto model = hold("model", id);
    if (!absl::IsNotFound(model.status())) return model;
    return absl::NotFoundError(fmt::format("name: there is neither artifacts/{} nor models/{}", id, id));
  }
};

class ReleaseHoldHandler final : public JobsCall<v1::ReleaseHoldRequest, Empty> {
 public:
  using WithState::WithState;

 private:
  absl::Status Run() override {
    const auto digest = Digest::Parse(request().digest());
    if (!digest.ok()) return AsField(digest.status(), "digest");
    return state_.catalogue.ReleaseHold(principal(), *digest, request().holder());
  }
};

// Streams [offset, end) of a blob, a part at a time.
template <class Request>
class BlobStream : public WithState<JobsState&, ServerStreamHandler<Request, v1::ReadBlobResponse>> {
 public:
  using Base = WithState<JobsState&, ServerStreamHandler<Request, v1::ReadBlobResponse>>;
  using Base::Base;

 protected:
  void Stream(const Digest& digest, uint64_t total, uint64_t offset, uint64_t end) {
    digest_ = digest;
    total_ = total;
    next_ = offset;
    end_ = end;
    SendPart();
  }
  absl::StatusOr<CatalogueEntry> Named(const std::string& name) {
    GWQ_ASSIGN_OR_RETURN(const EntryName entry, ParseEntryName("name", name));
    return state_.catalogue.Find(this->principal(), entry.kind, entry.id);
  }
  using Base::state_;

 private:
  void Drained() final {
    if (next_ == end_) return this->End(absl::OkStatus());
    SendPart();
  }
  void SendPart() {
    v1::ReadBlobResponse part;
    part.set_total_bytes(total_);
    part.mutable_data()->resize(std::min(kPartBytes, end_ - next_));
    const absl::Status read =
        state_.blobs.Read(digest_, next_, std::as_writable_bytes(std::span(*part.mutable_data())));
    if (!read.ok()) return this->End(read);
    next_ += part.data().size();
    total_ = 0;  // told in the first message
    this->Send(std::move(part));
  }

  Digest digest_;
  uint64_t total_ = 0, next_ = 0, end_ = 0;
};

class ReadManifestHandler final : public BlobStream<v1::ReadManifestRequest> {
 public:
  using BlobStream::BlobStream;

 private:
  void Open() override {
    const auto entry = Named(request().name());
    if (!entry.ok()) return End(entry.status());
    const auto info = state_.blobs.Stat(entry->manifest);
    if (!info.ok()) return End(info.status());
    Stream(entry->manifest, info->size, 0, info->size);
  }
};

class ReadBlobHandler final : public BlobStream<v1::ReadBlobRequest> {
 public:
  using BlobStream::BlobStream;

 private:
  void Open() override {
    if (const absl::Status status = Prepare(); !status.ok()) End(status);
  }
  absl::Status Prepare() {
    const auto digest = Digest::Parse(request().sha256());
    if (!digest.ok()) return AsField(digest.status(), "sha256");
    GWQ_ASSIGN_OR_RETURN(const CatalogueEntry entry, Named(request().name()));
    GWQ_ASSIGN_OR_RETURN(const auto blobs, state_.manifests.BlobsOf(state_.blobs, entry.manifest));
    // Otherwise a digest would tell what other principals have stored.
    if (!blobs->contains(*digest)) {
      return absl::NotFoundError(fmt::format("sha256: {} names no blob {}", request().name(), digest->Hex()));
    }
    GWQ_ASSIGN_OR_RETURN(const BlobInfo info, state_.blobs.Stat(*digest));
    if (request().offset() > info.size) {
      return InvalidField("offset", fmt::format("{} lies past the blob's {} bytes", request().offset(), info.size));
    }
    const uint64_t rest = info.size - request().offset();
    const uint64_t length = request().limit() == 0 ? rest : std::min(rest, request().limit());
    Stream(*digest, info.size, request().offset(), request().offset() + length);
    return absl::OkStatus();
  }
};

}  // namespace

grpc::ServerUnaryReactor* ArtifactService::GetArtifact(grpc::CallbackServerContext* context,
                                                       const v1::GetArtifactRequest* request, v1::Artifact* response) {
  return Start<GetArtifactHandler>("ArtifactService/GetArtifact", context, request, response);
}
grpc::ServerUnaryReactor* ArtifactService::ListArtifacts(grpc::CallbackServerContext* context,
                                                         const v1::ListArtifactsRequest* request,
                                                         v1::ListArtifactsResponse* response) {
  return Start<ListArtifactsHandler>("ArtifactService/ListArtifacts", context, request, response);
}
grpc::ServerUnaryReactor* ArtifactService::DeleteArtifact(grpc::CallbackServerContext* context,
                                                          const v1::DeleteArtifactRequest* request, Empty* response) {
  return Start<DeleteArtifactHandler>("ArtifactService/DeleteArtifact", context, request, response);
}
grpc::ServerWriteReactor<v1::ReadBlobResponse>* ArtifactService::ReadManifest(grpc::CallbackServerContext* context,
                                                                              const v1::ReadManifestRequest* request) {
  return StartOn<ReadManifestHandler>(blob_environment_, "ArtifactService/ReadManifest", context, request);
}
grpc::ServerWriteReactor<v1::ReadBlobResponse>* ArtifactService::ReadBlob(grpc::CallbackServerContext* context,
                                                                          const v1::ReadBlobRequest* request) {
  return StartOn<ReadBlobHandler>(blob_environment_, "ArtifactService/ReadBlob", context, request);
}
grpc::ServerUnaryReactor* ArtifactService::Resolve(grpc::CallbackServerContext* context,
                                                   const v1::ResolveRequest* request, v1::ResolveResponse* response) {
  return Start<ResolveHandler>("ArtifactService/Resolve", context, request, response);
}
grpc::ServerUnaryReactor* ArtifactService::ReleaseHold(grpc::CallbackServerContext* context,
                                                       const v1::ReleaseHoldRequest* request, Empty* response) {
  return Start<ReleaseHoldHandler>("ArtifactService/ReleaseHold", context, request, response);
}

}  // namespace gwq
