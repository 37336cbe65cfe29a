#include "client/library/download.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <vector>

#include "core/base/status.h"
#include "core/io/file_system.h"
#include "gwq/v1/artifacts.grpc.pb.h"

namespace gwq::client {
namespace {

constexpr uint64_t kMaxManifestBytes = 512ULL << 20;
constexpr size_t kPartBytes = 1 << 20;
constexpr char kManifestName[] = "gwq-manifest.json";

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

class Puller {
 public:
  Puller(const Connection& jobs, std::string name, std::string folder, ProgressSink& progress)
      : jobs_(jobs),
        stub_(v1::ArtifactService::NewStub(jobs.channel())),
        name_(std::move(name)),
        folder_(std::move(folder)),
        progress_(progress) {}

  absl::StatusOr<PullSummary> Run(const Manifest& manifest) {
    const std::vector<TargetFile> files = TargetFiles(manifest);
    for (const TargetFile& file : files) summary_.total_bytes += file.size;
    for (const TargetFile& file : files) {
      GWQ_RETURN_IF_ERROR(CheckRelativePath("path", file.path));
      GWQ_RETURN_IF_ERROR(PullFile(file));
      ++summary_.files;
    }
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
    GWQ_RETURN_IF_ERROR(files.Rename(partial, path));
    return files.SyncFolder(parent);
  }

  // A file that is there already counts only when every piece of it is right.
  static absl::Status Complete(const std::string& path, const TargetFile& file) {
    GWQ_ASSIGN_OR_RETURN(const uint64_t size, LocalFileSystem().Size(path));
    if (size != file.size)
      return absl::DataLossError(fmt::format("{} has {} bytes, the manifest says {}", path, size, file.size));
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
        GWQ_RETURN_IF_ERROR(Stream(*out, piece, have - piece.offset));
        have = piece.offset + piece.size;
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

  absl::Status Stream(WritableFile& out, const Piece& piece, uint64_t from) {
    grpc::ClientContext context;
    jobs_.PrepareStream(context);
    const Canceller::Attachment attachment(jobs_.canceller(), context);
    v1::ReadBlobRequest request;
    request.set_name(name_);
    request.set_sha256(piece.digest.Hex());
    request.set_offset(from);
    auto reader = stub_->ReadBlob(&context, request);
    v1::ReadBlobResponse part;
    uint64_t left = piece.size - from;
    while (reader->Read(&part)) {
      if (part.data().size() > left) {
        context.TryCancel();
        (void)reader->Finish();
        return absl::DataLossError(fmt::format("blob {} is longer than the manifest says", piece.digest.Hex()));
      }
      GWQ_RETURN_IF_ERROR(out.Append(std::as_bytes(std::span(part.data()))));
      left -= part.data().size();
      summary_.received_bytes += part.data().size();
      GWQ_RETURN_IF_ERROR(Advance(part.data().size()));
    }
    const grpc::Status status = reader->Finish();
    if (!status.ok()) return FromGrpc(status, jobs_);
    if (left != 0) return absl::DataLossError(fmt::format("blob {} ended {} bytes early", piece.digest.Hex(), left));
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
  PullSummary summary_;
  uint64_t done_ = 0;
};

}  // namespace

absl::StatusOr<Manifest> ReadManifest(const Connection& jobs, const std::string& name, const std::string& digest) {
  const auto stub = v1::ArtifactService::NewStub(jobs.channel());
  grpc::ClientContext context;
  jobs.PrepareStream(context);
  const Canceller::Attachment attachment(jobs.canceller(), context);
  v1::ReadManifestRequest request;
  request.set_name(name);
  GWQ_RETURN_IF_ERROR(CheckUtf8(request));
  auto reader = stub->ReadManifest(&context, request);
  std::string text;
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
  if (!status.ok()) return FromGrpc(status, jobs);
  if (!digest.empty() && Sha256Of(text).Hex() != digest) {
    return absl::DataLossError(
        fmt::format("the manifest of {} has SHA-256 {}, its digest is {}", name, Sha256Of(text).Hex(), digest));
  }
  return ParseManifest(text);
}

absl::StatusOr<PullSummary> Pull(const Connection& jobs, const std::string& name, const std::string& folder,
                                 ProgressSink& progress) {
  GWQ_ASSIGN_OR_RETURN(const Manifest manifest, ReadManifest(jobs, name, ""));
  GWQ_RETURN_IF_ERROR(LocalFileSystem().CreateFolders(folder));
  GWQ_ASSIGN_OR_RETURN(const PullSummary summary, Puller(jobs, name, folder, progress).Run(manifest));
  const std::string json = ManifestJson(manifest);
  GWQ_RETURN_IF_ERROR(
      WriteFileAtomically(LocalFileSystem(), folder + "/" + kManifestName, std::as_bytes(std::span(json))));
  return summary;
}

absl::Status VerifyFolder(const std::string& folder, ProgressSink& progress) {
  GWQ_ASSIGN_OR_RETURN(const std::string json,
                       ReadSmallFile(LocalFileSystem(), folder + "/" + kManifestName, kMaxManifestBytes));
  GWQ_ASSIGN_OR_RETURN(const Manifest manifest, ParseManifest(json));
  const std::vector<TargetFile> files = TargetFiles(manifest);
  uint64_t total = 0, done = 0;
  for (const TargetFile& file : files) total += file.size;
  for (const TargetFile& file : files) {
    const std::string path = folder + "/" + file.path;
    GWQ_ASSIGN_OR_RETURN(const uint64_t size, LocalFileSystem().Size(path));
    if (size != file.size)
      return absl::DataLossError(fmt::format("{} has {} bytes, the manifest says {}", path, size, file.size));
    for (const Piece& piece : file.pieces) {
      GWQ_RETURN_IF_ERROR(CheckPiece(path, piece));
      progress.Update("verify", done += piece.size, total, "B");
    }
  }
  progress.Done();
  return absl::OkStatus();
}

}  // namespace gwq::client
