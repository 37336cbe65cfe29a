#include "core/quant/stored_dataset.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "core/artifact/limits.h"
#include "core/base/status.h"
#include "core/io/json.h"

namespace gwq {
namespace {

constexpr std::string_view kLines = ".jsonl";
constexpr std::string_view kPlain = ".txt";

// The one file in the top folder that ends so; null where there is none or several.
const ManifestFile* OnlyFile(const Manifest& manifest, std::string_view suffix) {
  const ManifestFile* only = nullptr;
  for (const ManifestFile& file : manifest.files) {
    if (!file.path.ends_with(suffix) || file.path.find('/') != std::string::npos) continue;
    if (only != nullptr) return nullptr;
    only = &file;
  }
  return only;
}

absl::StatusOr<std::string> ReadOnly(BlobStore& store, const Manifest& manifest, std::string_view suffix) {
  const ManifestFile* const file = OnlyFile(manifest, suffix);
  if (file == nullptr) {
    return InvalidField("files", fmt::format("the dataset has no {} file in its top folder, or several", suffix));
  }
  GWQ_ASSIGN_OR_RETURN(std::string text, ReadBlob(store, file->digest, kMaxSmallFileBytes));
  if (!IsValidUtf8(text)) return InvalidField("files", fmt::format("'{}' is not valid UTF-8 text", file->path));
  return text;
}

absl::StatusOr<std::vector<DatasetItem>> ReadItems(BlobStore& store, const Manifest& manifest) {
  GWQ_ASSIGN_OR_RETURN(const std::string text, ReadOnly(store, manifest, kLines));
  return ParseDataset(text);
}

bool HoldsOtherThanImages(const Manifest& manifest) {
  constexpr std::array<std::string_view, 4> kImages = {".png", ".jpg", ".jpeg", ".webp"};
  return manifest.files.empty() || std::ranges::any_of(manifest.files, [&](const ManifestFile& file) {
           return std::ranges::none_of(kImages, [&](std::string_view suffix) { return file.path.ends_with(suffix); });
         });
}

absl::Status NoImage(const DatasetItem& item, std::string_view path) {
  return InvalidField(fmt::format("line {}.image", item.line),
                      fmt::format("the dataset has no file '{}'; upload it with the questions", path));
}

}  // namespace

absl::StatusOr<Digest> ImportDataset(BlobStore& store, const Manifest& upload, Progress& progress) {
  if (upload.kind != "dataset") return InvalidField("kind", fmt::format("'{}' is no dataset", upload.kind));
  GWQ_RETURN_IF_ERROR(CheckManifest(upload));
  GWQ_RETURN_IF_ERROR(progress.Check());
  if (OnlyFile(upload, kLines) != nullptr) {
    GWQ_ASSIGN_OR_RETURN(const std::vector<DatasetItem> items, ReadItems(store, upload));
    for (const DatasetItem& item : items) {
      for (const std::string& path : item.images) {
        if (upload.FindFile(path) == nullptr) return NoImage(item, path);
      }
    }
    progress.Log(fmt::format("{} items, {} files", items.size(), upload.files.size()));
  } else if (HoldsOtherThanImages(upload)) {
    GWQ_RETURN_IF_ERROR(ReadOnly(store, upload, kPlain).status());
  }
  const std::string json = ManifestJson(upload);
  return PutBlob(store, std::as_bytes(std::span(json)));
}

absl::StatusOr<StoredDataset> StoredDataset::Open(BlobStore& store, const Digest& manifest) {
  GWQ_ASSIGN_OR_RETURN(const std::string json, ReadBlob(store, manifest, kMaxManifestBytes));
  GWQ_ASSIGN_OR_RETURN(Manifest parsed, ParseManifest(json));
  if (parsed.kind != "dataset") {
    return absl::FailedPreconditionError(fmt::format("{} is a {} and no dataset", manifest.Hex(), parsed.kind));
  }
  return StoredDataset(store, std::move(parsed));
}

absl::StatusOr<std::vector<DatasetItem>> StoredDataset::Items(EvaluationKind kind, int64_t limit) const {
  GWQ_ASSIGN_OR_RETURN(std::vector<DatasetItem> items, ReadItems(*store_, manifest_));
  if (limit > 0 && items.size() > static_cast<size_t>(limit)) items.resize(static_cast<size_t>(limit));
  for (const DatasetItem& item : items) GWQ_RETURN_IF_ERROR(CheckItem(item, kind));
  return items;
}

absl::StatusOr<std::string> StoredDataset::Text() const { return ReadOnly(*store_, manifest_, kPlain); }

absl::StatusOr<std::string> StoredDataset::Image(const DatasetItem& item, std::string_view path) const {
  const ManifestFile* const file = manifest_.FindFile(path);
  if (file == nullptr) return NoImage(item, path);
  return ReadBlob(*store_, file->digest, kMaxSmallFileBytes);
}

}  // namespace gwq
