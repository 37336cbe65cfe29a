#include "core/artifact/stored_dataset.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <map>
#include <span>

#include "core/base/status.h"
#include "core/io/json.h"
#include "core/manifest/limits.h"
#include "core/vision/image.h"

namespace gwq {
namespace {

constexpr std::string_view kLines = ".jsonl";
constexpr std::string_view kPlain = ".txt";
constexpr char kPhase[] = "import";

// The one file in the top folder that ends so; null if there is none or several.
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

absl::Status NoImage(const DatasetItem& item, std::string_view path) {
  return InvalidField(fmt::format("line {}.image", item.line),
                      fmt::format("the dataset has no file '{}'; upload it with the questions", path));
}

struct Size {
  int width = 0;
  int height = 0;
};

// INVALID_ARGUMENT at `field` for a file that is no whole image within the limits. One image is in memory.
absl::StatusOr<Size> CheckImage(BlobStore& store, const ManifestFile& file, const std::string& field) {
  const auto fault = [&](std::string_view why) {
    return InvalidField(field, fmt::format("'{}' cannot be used: {}", file.path, why));
  };
  constexpr ImageLimits kLimits;
  if (file.size > kLimits.max_bytes) {
    return fault(fmt::format("it has {} bytes, the limit is {}; make it smaller", file.size, kLimits.max_bytes));
  }
  GWQ_ASSIGN_OR_RETURN(const std::string bytes, ReadBlob(store, file.digest, kLimits.max_bytes));
  const absl::StatusOr<Image> image = DecodeImage(std::as_bytes(std::span(bytes)), kLimits);
  if (absl::IsInvalidArgument(image.status())) return fault(MessageOf(image.status()));
  GWQ_RETURN_IF_ERROR(image.status());
  return Size{image->width, image->height};
}

// What an evaluation would find out item by item, so that it need not.
class ItemChecker {
 public:
  ItemChecker(BlobStore& store, const Manifest& upload, Progress& progress)
      : store_(store), upload_(upload), progress_(progress) {}

  absl::Status Check(std::span<const DatasetItem> items) {
    for (size_t i = 0; i < items.size(); ++i) {
      progress_.Step(kPhase, static_cast<int64_t>(i), std::ssize(items));
      GWQ_RETURN_IF_ERROR(CheckOne(items[i]));
    }
    progress_.Step(kPhase, std::ssize(items), std::ssize(items));
    return absl::OkStatus();
  }

 private:
  absl::Status CheckOne(const DatasetItem& item) {
    GWQ_RETURN_IF_ERROR(CheckComplete(item));
    for (const std::string& path : item.images) {
      GWQ_RETURN_IF_ERROR(progress_.Check());
      GWQ_ASSIGN_OR_RETURN(const Size size, SizeOf(item, path));
      if (item.box) GWQ_RETURN_IF_ERROR(CheckInside(item, size));
    }
    return progress_.Check();
  }

  // An image that several lines name is decoded once.
  absl::StatusOr<Size> SizeOf(const DatasetItem& item, const std::string& path) {
    const ManifestFile* const file = upload_.FindFile(path);
    if (file == nullptr) return NoImage(item, path);
    const auto known = sizes_.find(file);
    if (known != sizes_.end()) return known->second;
    GWQ_ASSIGN_OR_RETURN(const Size size, CheckImage(store_, *file, fmt::format("line {}.image", item.line)));
    sizes_.emplace(file, size);
    return size;
  }

  static absl::Status CheckInside(const DatasetItem& item, const Size& size) {
    if (item.box->right <= size.width && item.box->bottom <= size.height) return absl::OkStatus();
    return InvalidField(fmt::format("line {}.box", item.line),
                        fmt::format("reaches to ({}, {}), the image has {} x {} pixels; give left, top, right and "
                                    "bottom in pixels of the upright image",
                                    item.box->right, item.box->bottom, size.width, size.height));
  }

  BlobStore& store_;
  const Manifest& upload_;
  Progress& progress_;
  std::map<const ManifestFile*, Size> sizes_;
};

absl::Status CheckImages(BlobStore& store, const Manifest& upload, Progress& progress) {
  for (size_t i = 0; i < upload.files.size(); ++i) {
    progress.Step(kPhase, static_cast<int64_t>(i), std::ssize(upload.files));
    GWQ_RETURN_IF_ERROR(progress.Check());
    GWQ_RETURN_IF_ERROR(CheckImage(store, upload.files[i], fmt::format("files[{}]", i)).status());
  }
  progress.Step(kPhase, std::ssize(upload.files), std::ssize(upload.files));
  return absl::OkStatus();
}

// In any letters, as CheckManifest takes them.
bool IsImage(const ManifestFile& file) {
  constexpr std::array<std::string_view, 4> kImages = {".png", ".jpg", ".jpeg", ".webp"};
  std::string path = file.path;
  std::ranges::transform(path, path.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return std::ranges::any_of(kImages, [&](std::string_view suffix) { return path.ends_with(suffix); });
}

bool HoldsOtherThanImages(const Manifest& manifest) {
  return manifest.files.empty() || !std::ranges::all_of(manifest.files, IsImage);
}

}  // namespace

const ManifestFile* LinesFile(const Manifest& dataset) { return OnlyFile(dataset, kLines); }

bool HoldsImages(const Manifest& dataset) { return std::ranges::any_of(dataset.files, IsImage); }

absl::StatusOr<Digest> ImportDataset(BlobStore& store, const Manifest& upload, Progress& progress) {
  if (upload.kind != "dataset") return InvalidField("kind", fmt::format("'{}' is not a dataset", upload.kind));
  GWQ_RETURN_IF_ERROR(CheckManifest(upload));
  GWQ_RETURN_IF_ERROR(progress.Check());
  if (OnlyFile(upload, kLines) != nullptr) {
    GWQ_ASSIGN_OR_RETURN(const std::vector<DatasetItem> items, ReadItems(store, upload));
    GWQ_RETURN_IF_ERROR(ItemChecker(store, upload, progress).Check(items));
    progress.Log(fmt::format("{} items, {} files", items.size(), upload.files.size()));
  } else if (HoldsOtherThanImages(upload)) {
    if (OnlyFile(upload, kPlain) == nullptr) {
      return InvalidField("files",
                          fmt::format("{} files: give one .jsonl or one .txt file in the top folder, or images "
                                      "alone",
                                      upload.files.size()));
    }
    GWQ_RETURN_IF_ERROR(ReadOnly(store, upload, kPlain).status());
  } else {
    GWQ_RETURN_IF_ERROR(CheckImages(store, upload, progress));
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

absl::StatusOr<std::string> StoredDataset::Lines() const { return ReadOnly(*store_, manifest_, kLines); }

absl::StatusOr<std::string> StoredDataset::Text() const { return ReadOnly(*store_, manifest_, kPlain); }

absl::StatusOr<std::string> StoredDataset::Image(const DatasetItem& item, std::string_view path) const {
  const ManifestFile* const file = manifest_.FindFile(path);
  if (file == nullptr) return NoImage(item, path);
  return ReadBlob(*store_, file->digest, kMaxSmallFileBytes);
}

}  // namespace gwq
