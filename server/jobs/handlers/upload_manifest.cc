#include "server/jobs/handlers/upload_manifest.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <unordered_map>

#include "core/base/status.h"
#include "core/io/json.h"
#include "core/io/json_fields.h"
#include "core/manifest/limits.h"

namespace gwq {
namespace {

constexpr JsonLimits kPageLimits{.max_bytes = size_t{300} << 20};

absl::Status CheckDigest(const std::string& field, const std::string& hex) {
  return AsField(Digest::Parse(hex).status(), field);
}

// A whole small file is judged as the manifest would judge it; only the field's name is ours.
absl::Status CheckWholeFile(const std::string& field, std::string_view kind, const v1::FileEntry& file) {
  if (file.cuts_size() > 0) {
    return InvalidField(field + ".header_size", "0, but the file is cut; the header is the first piece of a cut file");
  }
  if (file.size() > kMaxSmallFileBytes) {
    return InvalidField(field + ".size", fmt::format("{} bytes in one blob, at most {} are taken; cut it by tensor",
                                                     file.size(), kMaxSmallFileBytes));
  }
  GWQ_ASSIGN_OR_RETURN(const Digest digest, Digest::Parse(file.sha256()));
  Manifest alone;
  alone.kind = kind;
  alone.files.push_back({file.path(), file.size(), digest});
  const absl::Status checked = CheckManifest(alone);
  if (checked.ok()) return checked;
  const auto violations = FieldViolations(checked);
  if (violations.empty()) return Annotate(checked, field);
  const std::string& inner = violations.front().field;
  constexpr std::string_view kPrefix = "files[0]";
  return InvalidField(inner.starts_with(kPrefix) ? field + inner.substr(kPrefix.size()) : field + ".path",
                      violations.front().description);
}

absl::Status CheckCuts(const std::string& field, const v1::FileEntry& file) {
  if (file.header_size() > file.size()) {
    return InvalidField(field + ".header_size",
                        fmt::format("{} exceeds the file's {} bytes", file.header_size(), file.size()));
  }
  uint64_t end = file.header_size();
  for (int i = 0; i < file.cuts_size(); ++i) {
    const v1::TensorCut& cut = file.cuts(i);
    const std::string at = fmt::format("{}.cuts[{}]", field, i);
    GWQ_RETURN_IF_ERROR(CheckDigest(at + ".sha256", cut.sha256()));
    if (cut.tensor().empty()) return InvalidField(at + ".tensor", "empty");
    if (cut.offset() < end) {
      return InvalidField(at + ".offset", fmt::format("{} lies before {}, where the piece before it ends; cuts are in "
                                                      "order and do not overlap",
                                                      cut.offset(), end));
    }
    if (cut.offset() > file.size() || cut.size() > file.size() - cut.offset()) {
      return InvalidField(at + ".size", fmt::format("{} bytes from {} reach past the file's end at {}", cut.size(),
                                                    cut.offset(), file.size()));
    }
    end = cut.offset() + cut.size();
  }
  return absl::OkStatus();
}

absl::Status CheckCutFileType(const std::string& field, const std::string& path) {
  if (path.ends_with(".safetensors") || path.ends_with(".gguf")) return absl::OkStatus();
  // Judged as a small file it is refused with the reason, pickle files by name.
  v1::FileEntry whole;
  whole.set_path(path);
  whole.set_sha256(Digest{}.Hex());
  GWQ_RETURN_IF_ERROR(CheckWholeFile(field, "model", whole));
  return InvalidField(field + ".header_size", fmt::format("'{}' is cut; only .safetensors and .gguf files are", path));
}

absl::Status DamagedPage() {
  return absl::DataLossError("a stored page of this upload's files is damaged: delete the upload and push again");
}

// A cut of a stored page, as PageJson writes it.
absl::StatusOr<ManifestTensor> ReadCut(const nlohmann::json& cut, uint64_t header_size) {
  if (!cut.is_array() || cut.size() != 4 || !cut[0].is_string() || !cut[1].is_number_unsigned() ||
      !cut[2].is_number_unsigned() || !cut[3].is_string()) {
    return DamagedPage();
  }
  ManifestTensor tensor;
  tensor.name = cut[0].get_ref<const std::string&>();
  tensor.offset = cut[1].get<uint64_t>() - header_size;  // CheckCuts saw that it lies behind the header
  tensor.size = cut[2].get<uint64_t>();
  GWQ_ASSIGN_OR_RETURN(tensor.digest, Digest::Parse(cut[3].get_ref<const std::string&>()));
  return tensor;
}

// Files of an upload in the order in which they were first named.
class Assembly {
 public:
  absl::Status Add(const nlohmann::json& file) {
    const std::string path = TextIn(file, "path");
    const std::optional<uint64_t> size = UintIn(file, "size"), header_size = UintIn(file, "header_size");
    const nlohmann::json* const cuts = FieldIn(file, "cuts");
    if (path.empty() || !size || !header_size || cuts == nullptr || !cuts->is_array()) return DamagedPage();
    GWQ_ASSIGN_OR_RETURN(const Digest digest, Digest::Parse(TextIn(file, "sha256")));
    const auto [found, added] = index_.emplace(path, shards_.size());
    const std::string field = fmt::format("files[{}]", found->second);
    if (added) {
      shards_.push_back({path, *size, digest, *header_size, {}});
    } else {
      const ManifestShard& first = shards_[found->second];
      if (first.header_size == 0) return InvalidField(field + ".path", fmt::format("'{}' appears twice", path));
      if (first.size != size || first.header != digest || first.header_size != header_size) {
        return InvalidField(field, fmt::format("'{}' was described differently on an earlier page", path));
      }
    }
    ManifestShard& shard = shards_[found->second];
    for (const nlohmann::json& cut : *cuts) {
      GWQ_ASSIGN_OR_RETURN(shard.tensors.emplace_back(), ReadCut(cut, *header_size));
    }
    return absl::OkStatus();
  }

  absl::StatusOr<UploadManifest> Finish(std::string_view kind, bool complete) {
    UploadManifest out;
    out.complete = complete;
    out.manifest.kind = kind;
    for (ManifestShard& shard : shards_) {
      GWQ_RETURN_IF_ERROR(
          AddBlob(shard.path, shard.header, shard.header_size == 0 ? shard.size : shard.header_size, out));
      for (const ManifestTensor& tensor : shard.tensors) {
        GWQ_RETURN_IF_ERROR(AddBlob(shard.path, tensor.digest, tensor.size, out));
      }
      out.total_bytes += shard.size;
      if (shard.header_size == 0) {
        out.manifest.files.push_back({shard.path, shard.size, shard.header});
      } else {
        out.manifest.shards.push_back(std::move(shard));
      }
    }
    std::ranges::sort(out.manifest.files, {}, &ManifestFile::path);
    std::ranges::sort(out.manifest.shards, {}, &ManifestShard::path);
    if (complete) GWQ_RETURN_IF_ERROR(WireFields(out.manifest, CheckManifest(out.manifest)));
    return out;
  }

 private:
  absl::Status AddBlob(const std::string& path, const Digest& digest, uint64_t size, UploadManifest& out) const {
    const auto [known, added] = out.blobs.emplace(digest, size);
    if (added || known->second == size) return absl::OkStatus();
    return InvalidField(fmt::format("files[{}].sha256", index_.at(path)),
                        fmt::format("{} is declared with {} and with {} bytes", digest.Hex(), known->second, size));
  }

  // The manifest is sorted and tells files from shards; the caller knows his own order alone.
  absl::Status WireFields(const Manifest& manifest, const absl::Status& status) const {
    const auto violations = FieldViolations(status);
    if (violations.empty()) return status;
    std::string field = violations.front().field;
    for (const auto& [collection, paths] :
         {std::pair{std::string("files["), Paths(manifest.files)}, {std::string("shards["), Paths(manifest.shards)}}) {
      if (!field.starts_with(collection)) continue;
      size_t index = 0;
      const char* const begin = field.data() + collection.size();
      const auto [end, error] = std::from_chars(begin, field.data() + field.size(), index);
      if (error != std::errc() || index >= paths.size()) break;
      field = fmt::format("files[{}{}", index_.at(paths[index]), std::string_view(end));
      break;
    }
    if (const size_t at = field.find(".tensors["); at != std::string::npos) field.replace(at, 9, ".cuts[");
    if (field.ends_with("].name") && field.find(".cuts[") != std::string::npos) {
      field.replace(field.size() - 4, 4, "tensor");
    }
    return InvalidField(field, violations.front().description);
  }
  template <class Entries>
  static std::vector<std::string> Paths(const Entries& entries) {
    std::vector<std::string> paths;
    for (const auto& entry : entries) paths.push_back(entry.path);
    return paths;
  }

  std::vector<ManifestShard> shards_;  // whole files too, with header_size 0
  std::unordered_map<std::string, size_t> index_;
};

}  // namespace

absl::Status CheckPage(const v1::AddUploadFilesRequest& page, std::string_view kind, uint64_t upload_bytes) {
  std::set<std::string> paths;
  for (int i = 0; i < page.files_size(); ++i) {
    const v1::FileEntry& file = page.files(i);
    const std::string field = fmt::format("files[{}]", i);
    GWQ_RETURN_IF_ERROR(CheckRelativePath(field + ".path", file.path()));
    if (!paths.insert(file.path()).second) {
      return InvalidField(field + ".path", fmt::format("'{}' appears twice on this page", file.path()));
    }
    GWQ_RETURN_IF_ERROR(CheckDigest(field + ".sha256", file.sha256()));
    if (file.size() > upload_bytes) {
      return InvalidField(field + ".size",
                          fmt::format("{} bytes; the upload was announced with {} in all", file.size(), upload_bytes));
    }
    if (file.header_size() == 0) {
      GWQ_RETURN_IF_ERROR(CheckWholeFile(field, kind, file));
    } else if (kind != "model") {
      return InvalidField(field + ".header_size", "given, but only the weights of a model come in pieces");
    } else {
      GWQ_RETURN_IF_ERROR(CheckCutFileType(field, file.path()));
      GWQ_RETURN_IF_ERROR(CheckCuts(field, file));
    }
  }
  return absl::OkStatus();
}

std::string PageJson(const v1::AddUploadFilesRequest& page) {
  nlohmann::json files = nlohmann::json::array();
  for (const v1::FileEntry& file : page.files()) {
    nlohmann::json cuts = nlohmann::json::array();
    for (const v1::TensorCut& cut : file.cuts()) {
      cuts.push_back({cut.tensor(), cut.offset(), cut.size(), cut.sha256()});
    }
    files.push_back({{"path", file.path()},
                     {"size", file.size()},
                     {"sha256", file.sha256()},
                     {"header_size", file.header_size()},
                     {"cuts", std::move(cuts)}});
  }
  return CanonicalJson({{"files", std::move(files)}, {"last", page.last()}});
}

absl::Status AfterLastPage(size_t page) {
  return InvalidField("last",
                      fmt::format("page {} was marked as the last, so no page {} can follow; start a new upload "
                                  "with all files",
                                  page - 1, page));
}

bool IsLastPage(std::string_view page_json) { return page_json.ends_with(R"("last":true})"); }

absl::StatusOr<UploadManifest> AssembleUpload(std::string_view kind, const std::vector<std::string>& pages) {
  Assembly assembly;
  bool last = false;
  for (size_t i = 0; i < pages.size(); ++i) {
    if (last) return AfterLastPage(i);
    const auto page = ParseJson("page", pages[i], kPageLimits);
    const nlohmann::json* const files = page.ok() ? FieldIn(*page, "files") : nullptr;
    const nlohmann::json* const is_last = page.ok() ? FieldIn(*page, "last") : nullptr;
    if (files == nullptr || !files->is_array() || is_last == nullptr || !is_last->is_boolean()) return DamagedPage();
    for (const nlohmann::json& file : *files) GWQ_RETURN_IF_ERROR(assembly.Add(file));
    last = is_last->get<bool>();
  }
  return assembly.Finish(kind, last);
}

absl::StatusOr<std::shared_ptr<const UploadManifest>> UploadManifests::Of(Catalogue& catalogue,
                                                                          const std::string& principal,
                                                                          const std::string& id) {
  // Asked first: the cache knows nothing of principals.
  GWQ_ASSIGN_OR_RETURN(const Upload upload, catalogue.GetUpload(principal, id));
  {
    MutexLock lock(mutex_);
    if (auto kept = Kept(id)) return kept;
  }
  GWQ_ASSIGN_OR_RETURN(const std::vector<std::string> pages, catalogue.UploadPages(principal, id));
  GWQ_ASSIGN_OR_RETURN(UploadManifest assembled, AssembleUpload(UploadProduct(upload).kind, pages));
  auto manifest = std::make_shared<const UploadManifest>(std::move(assembled));
  if (!manifest->complete) return manifest;  // more pages will come
  MutexLock lock(mutex_);
  // Another call may have made the same meanwhile.
  if (auto kept = Kept(id)) return kept;
  if (kept_.size() >= kKept) kept_.erase(kept_.begin());
  kept_.emplace_back(id, manifest);
  return manifest;
}

std::shared_ptr<const UploadManifest> UploadManifests::Kept(const std::string& id) {
  const auto found = std::ranges::find(kept_, id, [](const auto& entry) { return entry.first; });
  if (found == kept_.end()) return nullptr;
  std::rotate(found, found + 1, kept_.end());  // now the most recently used
  return kept_.back().second;
}

void UploadManifests::Forget(const std::string& id) {
  MutexLock lock(mutex_);
  std::erase_if(kept_, [&](const auto& entry) { return entry.first == id; });
}

std::string PartialKey(const std::string& upload, const Digest& blob) { return upload + "/" + blob.Hex(); }

}  // namespace gwq
