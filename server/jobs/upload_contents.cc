#include "server/jobs/upload_contents.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/base/status.h"
#include "core/io/json.h"

namespace gwq {
namespace {

using Json = nlohmann::json;

absl::Status CheckDigest(const std::string& field, const std::string& hex) {
  const auto digest = Digest::Parse(hex);
  return digest.ok() ? absl::OkStatus() : InvalidField(field, MessageOf(digest.status()));
}

absl::Status CheckCuts(const std::string& field, const v1::FileEntry& file) {
  uint64_t end = file.header_size();
  for (int i = 0; i < file.cuts_size(); ++i) {
    const v1::TensorCut& cut = file.cuts(i);
    const std::string place = fmt::format("{}.cuts[{}]", field, i);
    GWQ_RETURN_IF_ERROR(CheckDigest(place + ".sha256", cut.sha256()));
    if (cut.tensor().empty()) return InvalidField(place + ".tensor", "is empty");
    if (cut.offset() < end) {
      return InvalidField(
          place + ".offset",
          fmt::format("{} lies before {}, where the header or the cut before it ends", cut.offset(), end));
    }
    if (cut.offset() > file.size() || cut.size() > file.size() - cut.offset()) {
      return InvalidField(place + ".size", fmt::format("{} bytes at {} reach past the file's {}", cut.size(),
                                                       cut.offset(), file.size()));
    }
    end = cut.offset() + cut.size();
  }
  return absl::OkStatus();
}

absl::Status CheckFile(const std::string& field, const v1::FileEntry& file) {
  GWQ_RETURN_IF_ERROR(CheckRelativePath(field + ".path", file.path()));
  GWQ_RETURN_IF_ERROR(CheckDigest(field + ".sha256", file.sha256()));
  if (file.header_size() > file.size()) {
    return InvalidField(field + ".header_size",
                        fmt::format("{} is more than the file's {} bytes", file.header_size(), file.size()));
  }
  if (file.header_size() == 0 && file.cuts_size() > 0)
    return InvalidField(field + ".header_size", "is 0, but the file has cuts");
  return CheckCuts(field, file);
}

Json FileJson(const v1::FileEntry& file) {
  Json cuts = Json::array();
  for (const v1::TensorCut& cut : file.cuts()) cuts.push_back({cut.tensor(), cut.offset(), cut.size(), cut.sha256()});
  return {{"path", file.path()},
          {"size", file.size()},
          {"sha256", file.sha256()},
          {"header_size", file.header_size()},
          {"cuts", cuts}};
}

// Stored pages are our own writing: a digest in them parses.
Digest StoredDigest(const Json& hex) { return Digest::Parse(hex.get<std::string>()).value_or(Digest()); }

class Assembler {
 public:
  absl::Status Add(const Json& file) {
    const std::string path = file["path"];
    if (file["header_size"].get<uint64_t>() == 0) {
      contents_.manifest.files.push_back({path, file["size"], StoredDigest(file["sha256"])});
      return absl::OkStatus();
    }
    ManifestShard& shard = shards_[path];
    const Digest header = StoredDigest(file["sha256"]);
    if (shard.path.empty()) {
      shard = {path, file["size"], header, file["header_size"], {}};
    } else if (shard.size != file["size"] || shard.header != header || shard.header_size != file["header_size"]) {
      return InvalidField("files.path", fmt::format("'{}' stands on two pages with different sizes or digests", path));
    }
    for (const Json& cut : file["cuts"]) {
      ManifestTensor tensor;
      tensor.name = cut[0];
      tensor.offset = cut[1].get<uint64_t>() - shard.header_size;
      tensor.size = cut[2];
      tensor.digest = StoredDigest(cut[3]);
      shard.tensors.push_back(std::move(tensor));
    }
    return absl::OkStatus();
  }

  absl::StatusOr<UploadContents> Finish() {
    Manifest& manifest = contents_.manifest;
    manifest.kind = "model";
    std::ranges::sort(manifest.files, {}, &ManifestFile::path);
    for (auto& [path, shard] : shards_) manifest.shards.push_back(std::move(shard));
    GWQ_RETURN_IF_ERROR(CheckManifest(manifest));
    for (const ManifestFile& file : manifest.files) contents_.blobs.emplace(file.digest, file.size);
    for (const ManifestShard& shard : manifest.shards) {
      contents_.blobs.emplace(shard.header, shard.header_size);
      for (const ManifestTensor& tensor : shard.tensors) contents_.blobs.emplace(tensor.digest, tensor.size);
    }
    return std::move(contents_);
  }

 private:
  UploadContents contents_;
  std::map<std::string, ManifestShard> shards_;
};

}  // namespace

absl::StatusOr<std::string> UploadPageJson(const v1::AddUploadFilesRequest& page) {
  Json files = Json::array();
  for (int i = 0; i < page.files_size(); ++i) {
    GWQ_RETURN_IF_ERROR(CheckFile(fmt::format("files[{}]", i), page.files(i)));
    files.push_back(FileJson(page.files(i)));
  }
  return CanonicalJson({{"files", files}, {"last", page.last()}});
}

absl::StatusOr<UploadContents> AssembleUpload(const std::vector<std::string>& pages) {
  Assembler assembler;
  bool complete = false;
  for (const std::string& text : pages) {
    const Json page = Json::parse(text);
    for (const Json& file : page["files"]) GWQ_RETURN_IF_ERROR(assembler.Add(file));
    complete = page["last"];
  }
  if (!complete)
    return absl::FailedPreconditionError("the upload's manifest is not complete: send the page with last set");
  return assembler.Finish();
}

}  // namespace gwq
