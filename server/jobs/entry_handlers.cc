#include "server/jobs/entry_handlers.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/artifact/limits.h"
#include "core/artifact/manifest.h"
#include "core/base/status.h"
#include "core/jobs/specs.h"
#include "server/jobs/job_proto.h"

namespace gwq {
namespace {

constexpr char kModel[] = "model";
constexpr char kArtifact[] = "artifact";
constexpr uint64_t kPartBytes = 1 << 20;
constexpr int64_t kMaxHoldMillis = 24 * 3600 * 1000;

absl::StatusOr<CatalogueEntry> FindNamed(const JobsContext& jobs, const std::string& principal, std::string_view name) {
  if (name.starts_with("models/")) {
    GWQ_ASSIGN_OR_RETURN(const std::string id, IdOf("name", "models", name));
    return jobs.catalogue.Find(principal, kModel, id);
  }
  GWQ_ASSIGN_OR_RETURN(const std::string id, IdOf("name", "artifacts", name));
  return jobs.catalogue.Find(principal, kArtifact, id);
}

absl::StatusOr<Catalogue::EntryPage> ListOf(const JobsContext& jobs, const std::string& principal, const char* kind,
                                            int asked, const std::string& token) {
  GWQ_ASSIGN_OR_RETURN(const int page_size, PageSize(asked, 50, 1000));
  return jobs.catalogue.ListEntries(principal, kind, page_size, token);
}

}  // namespace

absl::Status GetModelHandler::Run() {
  GWQ_ASSIGN_OR_RETURN(const std::string id, IdOf("name", "models", request().name()));
  GWQ_ASSIGN_OR_RETURN(const CatalogueEntry entry, jobs().catalogue.Find(principal(), kModel, id));
  response() = ModelToProto(entry);
  return absl::OkStatus();
}

absl::Status ListModelsHandler::Run() {
  GWQ_ASSIGN_OR_RETURN(const auto page,
                       ListOf(jobs(), principal(), kModel, request().page_size(), request().page_token()));
  for (const CatalogueEntry& entry : page.entries) *response().add_models() = ModelToProto(entry);
  response().set_next_page_token(page.next_page_token);
  return absl::OkStatus();
}

absl::Status DeleteModelHandler::Run() {
  GWQ_ASSIGN_OR_RETURN(const std::string id, IdOf("name", "models", request().name()));
  return jobs().catalogue.Delete(principal(), kModel, id);
}

absl::Status GetArtifactHandler::Run() {
  GWQ_ASSIGN_OR_RETURN(const std::string id, IdOf("name", "artifacts", request().name()));
  GWQ_ASSIGN_OR_RETURN(const CatalogueEntry entry, jobs().catalogue.Find(principal(), kArtifact, id));
  response() = ArtifactToProto(entry);
  return absl::OkStatus();
}

absl::Status ListArtifactsHandler::Run() {
  GWQ_ASSIGN_OR_RETURN(const auto page,
                       ListOf(jobs(), principal(), kArtifact, request().page_size(), request().page_token()));
  for (const CatalogueEntry& entry : page.entries) *response().add_artifacts() = ArtifactToProto(entry);
  response().set_next_page_token(page.next_page_token);
  return absl::OkStatus();
}

absl::Status DeleteArtifactHandler::Run() {
  GWQ_ASSIGN_OR_RETURN(const std::string id, IdOf("name", "artifacts", request().name()));
  return jobs().catalogue.Delete(principal(), kArtifact, id);
}

absl::Status ResolveHandler::Run() {
  absl::StatusOr<CatalogueEntry> entry;
  if (request().name().find('/') != std::string::npos) {
    entry = FindNamed(jobs(), principal(), request().name());
  } else {
    GWQ_RETURN_IF_ERROR(CheckResourceId("name", request().name()));
    entry = jobs().catalogue.Find(principal(), kArtifact, request().name());
    if (entry.status().code() == absl::StatusCode::kNotFound)
      entry = jobs().catalogue.Find(principal(), kModel, request().name());
  }
  GWQ_RETURN_IF_ERROR(entry.status());
  if (!request().holder().empty()) {
    if (request().hold_millis() < 1 || request().hold_millis() > kMaxHoldMillis) {
      return InvalidField("hold_millis",
                          fmt::format("{} is not between 1 and {}", request().hold_millis(), kMaxHoldMillis));
    }
    GWQ_RETURN_IF_ERROR(
        jobs().catalogue.Hold(principal(), entry->manifest, request().holder(), request().hold_millis()));
  }
  response().set_name(fmt::format("{}s/{}", entry->kind, entry->name));
  response().set_digest(entry->manifest.Hex());
  response().set_kind(entry->kind);
  response().set_blob_root(jobs().blob_root);
  return absl::OkStatus();
}

absl::Status ReleaseHoldHandler::Run() {
  const auto digest = Digest::Parse(request().digest());
  if (!digest.ok()) return InvalidField("digest", MessageOf(digest.status()));
  return jobs().catalogue.ReleaseHold(principal(), *digest, request().holder());
}

template <class Request>
void BlobStreamHandler<Request>::Open() {
  absl::StatusOr<Range> range = Find();
  if (!range.ok()) return this->End(range.status());
  range_ = *range;
  Drained();
}

template <class Request>
void BlobStreamHandler<Request>::Drained() {
  v1::ReadBlobResponse part;
  if (first_) part.set_total_bytes(range_.total);
  const uint64_t size = std::min(kPartBytes, range_.end - range_.offset);
  if (size > 0) {
    part.mutable_data()->resize(size);
    const absl::Status read = state_.context.blobs.Read(range_.digest, range_.offset,
                                                        std::as_writable_bytes(std::span(*part.mutable_data())));
    if (!read.ok()) return this->End(read);
    range_.offset += size;
  }
  if (size > 0 || first_) this->Send(std::move(part));
  first_ = false;
  if (range_.offset == range_.end) this->End(absl::OkStatus());
}

absl::StatusOr<ReadBlobHandler::Range> ReadBlobHandler::Find() {
  const auto digest = Digest::Parse(request().sha256());
  if (!digest.ok()) return InvalidField("sha256", MessageOf(digest.status()));
  GWQ_ASSIGN_OR_RETURN(const CatalogueEntry entry, FindNamed(state_.context, principal(), request().name()));
  // Only what the caller's own manifest names: a digest alone gives no right to the bytes.
  GWQ_ASSIGN_OR_RETURN(const std::string json, ReadBlob(state_.context.blobs, entry.manifest, kMaxManifestBytes));
  if (json.find(request().sha256()) == std::string::npos) {
    return absl::NotFoundError(fmt::format("{} names no blob {}", request().name(), request().sha256()));
  }
  GWQ_ASSIGN_OR_RETURN(const BlobInfo info, state_.context.blobs.Stat(*digest));
  if (request().offset() > info.size) {
    return InvalidField("offset", fmt::format("{} lies past the blob's {} bytes", request().offset(), info.size));
  }
  const uint64_t rest = info.size - request().offset();
  const uint64_t size = request().limit() == 0 ? rest : std::min(rest, request().limit());
  return Range{*digest, request().offset(), request().offset() + size, info.size};
}

absl::StatusOr<ReadManifestHandler::Range> ReadManifestHandler::Find() {
  GWQ_ASSIGN_OR_RETURN(const CatalogueEntry entry, FindNamed(state_.context, principal(), request().name()));
  GWQ_ASSIGN_OR_RETURN(const BlobInfo info, state_.context.blobs.Stat(entry.manifest));
  return Range{entry.manifest, 0, info.size, info.size};
}

template class BlobStreamHandler<v1::ReadBlobRequest>;
template class BlobStreamHandler<v1::ReadManifestRequest>;

}  // namespace gwq
