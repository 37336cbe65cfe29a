#include "client/library/download.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <vector>

#include "client/library/folder_lock.h"
#include "core/base/status.h"
#include "core/io/file_system.h"
#include "core/manifest/limits.h"
#include "core/manifest/manifest.h"
#include "core/spec/quality_gate.h"
#include "gwq/v1/artifacts.grpc.pb.h"
#include "gwq/v1/evaluations.grpc.pb.h"
#include "gwq/v1/models.grpc.pb.h"

namespace gwq::client {
namespace {

constexpr size_t kPartBytes = 1 << 20;
constexpr char kManifestName[] = "gwq-manifest.json";
// The same of a pull that has not ended: what it leaves when it is cut belongs to that manifest.
constexpr char kBegunName[] = "gwq-manifest.json.partial";

// A blob at its place in a file of the folder.
struct Piece {
  Digest digest;
  uint64_t offset = 0;
  uint64_t size = 0;
};

struct TargetFile {
  std::string path;
  uint64_t size = 0;
  std::vector<Piece> pieces;  // by offset; gaps are zero padding
};

std::vector<TargetFile> TargetFiles(const Manifest& manifest) {
  std::vector<TargetFile> out;
  for (const ManifestFile& file : manifest.files) out.push_back({file.path, file.size, {{file.digest, 0, file.size}}});
  for (const ManifestShard& shard : manifest.shards) {
    TargetFile target{shard.path, shard.size, {{shard.header, 0, shard.header_size}}};
    for (const ManifestTensor& tensor : shard.tensors) {
      target.pieces.push_back({tensor.digest, shard.header_size + tensor.offset, tensor.size});
    }
    out.push_back(std::move(target));
  }
  return out;
}

// The digest of bytes [offset, offset + size) of a local file.
absl::StatusOr<Digest> HashRange(const std::string& path, uint64_t offset, uint64_t size) {
  std::vector<std::byte> buffer(kPartBytes);
  Sha256 hash;
  for (uint64_t done = 0; done < size;) {
    const std::span<std::byte> part(buffer.data(), static_cast<size_t>(std::min<uint64_t>(kPartBytes, size - done)));
    GWQ_RETURN_IF_ERROR(LocalFileSystem().Read(path, offset + done, part));
    hash.Update(part);
    done += part.size();
  }
  return hash.Finish();
}

absl::Status CheckPiece(const std::string& path, const Piece& piece) {
  GWQ_ASSIGN_OR_RETURN(const Digest found, HashRange(path, piece.offset, piece.size));
  if (found == piece.digest) return absl::OkStatus();
  return absl::DataLossError(fmt::format("{}: bytes [{}, {}) have SHA-256 {}, the manifest says {}", path, piece.offset,
                                         piece.offset + piece.size, found.Hex(), piece.digest.Hex()));
}

absl::Status CheckSize(const std::string& path, const TargetFile& file) {
  GWQ_ASSIGN_OR_RETURN(const uint64_t size, LocalFileSystem().Size(path));
  if (size == file.size) return absl::OkStatus();
  return absl::DataLossError(fmt::format("{} has {} bytes, the manifest says {}", path, size, file.size));
}

class Puller {
 public:
  Puller(const Connection& jobs, std::string name, std::string folder, ProgressSink& progress,
         const RetryOptions& retry)
      : jobs_(jobs),
        stub_(v1::ArtifactService::NewStub(jobs.channel())),
        name_(std::move(name)),
        folder_(std::move(folder)),
        progress_(progress),
        retry_(retry) {}

  absl::StatusOr<PullSummary> Run(const Manifest& manifest) {
    const std::vector<TargetFile> files = TargetFiles(manifest);
    for (const TargetFile& file : files) summary_.total_bytes += file.size;
    for (const TargetFile& file : files) {
      GWQ_RETURN_IF_ERROR(CheckRelativePath("path", file.path));
      GWQ_RETURN_IF_ERROR(PullFile(file));
      ++summary_.files;
    }
    // With the padding, which does not travel.
    progress_.Update("download", summary_.total_bytes, summary_.total_bytes, "B");
    progress_.Done();
    return summary_;
  }

 private:
  absl::Status PullFile(const TargetFile& file) {
    FileSystem& files = LocalFileSystem();
    const std::string path = folder_ + "/" + file.path;
    if (files.Exists(path)) {
      if (Complete(path, file).ok()) return Advance(file.size);
      GWQ_RETURN_IF_ERROR(files.Remove(path));
    }
    const std::string parent = std::filesystem::path(path).parent_path().string();
    GWQ_RETURN_IF_ERROR(files.CreateFolders(parent));
    const std::string partial = path + ".partial";
    GWQ_RETURN_IF_ERROR(Fill(partial, file));
    GWQ_RETURN_IF_ERROR(CheckSize(partial, file));
    GWQ_RETURN_IF_ERROR(files.Rename(partial, path));
    return files.SyncFolder(parent);
  }

  // A file that is there already counts only when every piece of it is right.
  static absl::Status Complete(const std::string& path, const TargetFile& file) {
    GWQ_RETURN_IF_ERROR(CheckSize(path, file));
    for (const Piece& piece : file.pieces) GWQ_RETURN_IF_ERROR(CheckPiece(path, piece));
    return absl::OkStatus();
  }

  absl::Status Fill(const std::string& partial, const TargetFile& file) {
    FileSystem& files = LocalFileSystem();
    uint64_t have = 0;
    if (files.Exists(partial)) {
      GWQ_ASSIGN_OR_RETURN(have, files.Size(partial));
    }
    const bool usable = have <= file.size;
    GWQ_ASSIGN_OR_RETURN(const auto out, files.OpenForAppend(partial, !usable));
    if (!usable) have = 0;
    GWQ_RETURN_IF_ERROR(Advance(have));
    for (const Piece& piece : file.pieces) {
      GWQ_RETURN_IF_ERROR(PadTo(*out, piece.offset, have));
      if (have < piece.offset + piece.size) {
        GWQ_RETURN_IF_ERROR(Persist(jobs_, retry_, have, [&] { return Stream(*out, piece, have); }));
      }
      if (absl::Status right = CheckPiece(partial, piece); !right.ok()) {
        (void)files.Remove(partial);
        return right;
      }
    }
    GWQ_RETURN_IF_ERROR(PadTo(*out, file.size, have));
    GWQ_RETURN_IF_ERROR(out->Sync());
    return out->Close();
  }

  static absl::Status PadTo(WritableFile& out, uint64_t offset, uint64_t& have) {
    if (have >= offset) return absl::OkStatus();
    const std::vector<std::byte> zeros(static_cast<size_t>(offset - have));
    have = offset;
    return out.Append(zeros);
  }

  // The rest of the piece, behind the `have` bytes that the file has.
  absl::Status Stream(WritableFile& out, const Piece& piece, uint64_t& have) {
    grpc::ClientContext context;
    GWQ_RETURN_IF_ERROR(jobs_.PrepareStream(context));
    const Canceller::Attachment attachment(jobs_.canceller(), context);
    v1::ReadBlobRequest request;
    request.set_name(name_);
    request.set_sha256(piece.digest.Hex());
    request.set_offset(have - piece.offset);
    auto reader = stub_->ReadBlob(&context, request);
    v1::ReadBlobResponse part;
    const uint64_t end = piece.offset + piece.size;
    while (reader->Read(&part)) {
      if (part.data().size() > end - have) {
        context.TryCancel();
        (void)reader->Finish();
        return absl::DataLossError(fmt::format("blob {} is longer than the manifest says", piece.digest.Hex()));
      }
      GWQ_RETURN_IF_ERROR(out.Append(std::as_bytes(std::span(part.data()))));
      have += part.data().size();
      summary_.received_bytes += part.data().size();
      GWQ_RETURN_IF_ERROR(Advance(part.data().size()));
    }
    const grpc::Status status = reader->Finish();
    if (!status.ok()) return FromGrpc(status, context, jobs_);
    if (have != end) {
      return absl::DataLossError(fmt::format("blob {} ended {} bytes early", piece.digest.Hex(), end - have));
    }
    return absl::OkStatus();
  }

  absl::Status Advance(uint64_t bytes) {
    done_ += bytes;
    progress_.Update("download", std::min(done_, summary_.total_bytes), summary_.total_bytes, "B");
    return absl::OkStatus();
  }

  const Connection& jobs_;
  const std::unique_ptr<v1::ArtifactService::Stub> stub_;
  const std::string name_;
  const std::string folder_;
  ProgressSink& progress_;
  const RetryOptions& retry_;
  PullSummary summary_;
  uint64_t done_ = 0;
};

template <class Service, class Request, class Response>
absl::StatusOr<Digest> AskDigest(const Connection& jobs, const std::string& name,
                                 grpc::Status (Service::Stub::*get)(grpc::ClientContext*, const Request&, Response*)) {
  const auto stub = Service::NewStub(jobs.channel());
  Request request;
  request.set_name(name);
  GWQ_ASSIGN_OR_RETURN(const Response entry, Call(jobs, *stub, get, request));
  const auto digest = Digest::Parse(entry.digest());
  if (digest.ok()) return *digest;
  return absl::DataLossError(fmt::format("the service tells no digest of {}: {}", name, MessageOf(digest.status())));
}

// Of the manifest, as the service tells it.
absl::StatusOr<Digest> DigestOf(const Connection& jobs, const std::string& name) {
  if (name.starts_with("models/")) {
    return AskDigest<v1::ModelService>(jobs, name, &v1::ModelService::Stub::GetModel);
  }
  if (name.starts_with("datasets/")) {
    return AskDigest<v1::EvaluationService>(jobs, name, &v1::EvaluationService::Stub::GetDataset);
  }
  if (name.starts_with("evaluations/")) {
    return AskDigest<v1::EvaluationService>(jobs, name, &v1::EvaluationService::Stub::GetEvaluation);
  }
  return AskDigest<v1::ArtifactService>(jobs, name, &v1::ArtifactService::Stub::GetArtifact);
}

absl::Status ReadManifest(const Connection& jobs, const std::string& name, std::string& text) {
  const auto stub = v1::ArtifactService::NewStub(jobs.channel());
  grpc::ClientContext context;
  GWQ_RETURN_IF_ERROR(jobs.PrepareStream(context));
  const Canceller::Attachment attachment(jobs.canceller(), context);
  v1::ReadManifestRequest request;
  request.set_name(name);
  auto reader = stub->ReadManifest(&context, request);
  text.clear();
  v1::ReadBlobResponse part;
  while (reader->Read(&part)) {
    if (text.size() + part.data().size() > kMaxManifestBytes) {
      context.TryCancel();
      (void)reader->Finish();
      return absl::ResourceExhaustedError(
          fmt::format("the manifest of {} is larger than {} bytes", name, kMaxManifestBytes));
    }
    text += part.data();
  }
  const grpc::Status status = reader->Finish();
  return status.ok() ? absl::OkStatus() : FromGrpc(status, context, jobs);
}

// FAILED_PRECONDITION if the folder was used for another manifest: files of it would stay beside those of this one.
absl::Status CheckFolderIsFor(const std::string& folder, const std::string& name, const Digest& digest) {
  for (const char* const used : {kManifestName, kBegunName}) {
    const std::string path = folder + "/" + used;
    if (!LocalFileSystem().Exists(path)) continue;
    GWQ_ASSIGN_OR_RETURN(const std::string json, ReadSmallFile(LocalFileSystem(), path, kMaxManifestBytes));
    const Digest found = Sha256Of(json);
    if (found == digest) continue;
    return absl::FailedPreconditionError(
        fmt::format("'{}' is of another pull: {} has SHA-256 {}, and {} is {}; give another folder, or remove this one",
                    folder, used, found.Hex(), name, digest.Hex()));
  }
  return absl::OkStatus();
}

// Pulls into a folder that is locked and of this manifest or of none.
absl::StatusOr<PullSummary> PullInto(const std::string& folder, const std::string& json, const Manifest& manifest,
                                     Puller& puller) {
  FileSystem& files = LocalFileSystem();
  const std::string begun = folder + "/" + kBegunName, ended = folder + "/" + kManifestName;
  if (!files.Exists(ended)) GWQ_RETURN_IF_ERROR(WriteFileAtomically(files, begun, std::as_bytes(std::span(json))));
  GWQ_ASSIGN_OR_RETURN(PullSummary summary, puller.Run(manifest));
  if (files.Exists(begun)) GWQ_RETURN_IF_ERROR(files.Rename(begun, ended));
  GWQ_RETURN_IF_ERROR(files.SyncFolder(folder));
  return summary;
}

}  // namespace

absl::StatusOr<PullSummary> Pull(const Connection& jobs, const std::string& name, const std::string& folder,
                                 ProgressSink& progress, const RetryOptions& retry) {
  GWQ_ASSIGN_OR_RETURN(const Digest digest, DigestOf(jobs, name));
  std::string json;
  // It comes whole or not at all: an attempt brings nothing forward.
  const uint64_t forward = 0;
  GWQ_RETURN_IF_ERROR(Persist(jobs, retry, forward, [&] { return ReadManifest(jobs, name, json); }));
  if (const Digest found = Sha256Of(json); found != digest) {
    return absl::DataLossError(
        fmt::format("the manifest of {} has SHA-256 {}, the service says {}; if it was replaced meanwhile, pull again",
                    name, found.Hex(), digest.Hex()));
  }
  GWQ_ASSIGN_OR_RETURN(const Manifest manifest, ParseManifest(json));
  GWQ_RETURN_IF_ERROR(LocalFileSystem().CreateFolders(folder));
  GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<FolderLock> lock, FolderLock::Take(folder));
  GWQ_RETURN_IF_ERROR(CheckFolderIsFor(folder, name, digest));
  Puller puller(jobs, name, folder, progress, retry);
  GWQ_ASSIGN_OR_RETURN(PullSummary summary, PullInto(folder, json, manifest, puller));
  summary.digest = digest;
  return summary;
}

absl::StatusOr<Digest> VerifyFolder(const std::string& folder, const std::optional<Digest>& digest,
                                    ProgressSink& progress) {
  const std::string manifest_path = folder + "/" + kManifestName;
  GWQ_ASSIGN_OR_RETURN(const std::string json, ReadSmallFile(LocalFileSystem(), manifest_path, kMaxManifestBytes));
  const Digest found = Sha256Of(json);
  if (digest.has_value() && found != *digest) {
    return absl::DataLossError(fmt::format("{} has SHA-256 {}, not {}; pull it again, or compare with another version",
                                           manifest_path, found.Hex(), digest->Hex()));
  }
  GWQ_ASSIGN_OR_RETURN(const Manifest manifest, ParseManifest(json));
  GWQ_RETURN_IF_ERROR(CheckStoredGate(manifest.quality_json));
  const std::vector<TargetFile> files = TargetFiles(manifest);
  uint64_t total = 0, done = 0;
  for (const TargetFile& file : files) total += file.size;
  for (const TargetFile& file : files) {
    const std::string path = folder + "/" + file.path;
    GWQ_RETURN_IF_ERROR(CheckSize(path, file));
    for (const Piece& piece : file.pieces) {
      GWQ_RETURN_IF_ERROR(CheckPiece(path, piece));
      progress.Update("verify", done += piece.size, total, "B");
    }
  }
  progress.Update("verify", total, total, "B");
  progress.Done();
  return found;
}

}  // namespace gwq::client
