#include "client/library/local_dataset.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "client/library/input_file.h"
#include "core/base/status.h"
#include "core/manifest/limits.h"
#include "core/manifest/manifest.h"
#include "core/spec/dataset.h"

namespace gwq::client {
namespace {

EvaluationKind KindOf(const DatasetItem& item) {
  if (item.images.empty()) return EvaluationKind::kChoices;
  return item.answers.empty() && item.box ? EvaluationKind::kGrounding : EvaluationKind::kVqa;
}

absl::Status AddFile(const std::string& folder, const std::string& name, LocalModel& files) {
  const std::string path = (std::filesystem::path(folder) / name).string();
  const auto bytes = ReadInputFile(path, kMaxSmallFileBytes);
  if (!bytes.ok()) return bytes.status();
  LocalFile file;
  file.name = name;
  file.size = bytes->size();
  file.head = {path, 0, bytes->size(), Sha256Of(*bytes)};
  files.total_bytes += file.size;
  files.files.push_back(std::move(file));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<LocalImage> ScanImage(const std::string& path) {
  const std::filesystem::path file(path);
  LocalImage out;
  GWQ_RETURN_IF_ERROR(AddFile(file.parent_path().string(), file.filename().string(), out.files));
  out.digest = out.files.files.front().head.digest;
  out.files.fingerprint = Sha256Of(out.files.files.front().name + out.digest.Hex());
  return out;
}

absl::StatusOr<LocalDataset> ScanDataset(const std::string& path, ProgressSink& progress) {
  const std::filesystem::path file(path);
  const std::string folder = file.parent_path().string();
  LocalDataset out;
  std::set<std::string> names = {file.filename().string()};
  if (file.extension() == ".jsonl") {
    GWQ_ASSIGN_OR_RETURN(const std::string text, ReadInputFile(path, kMaxSmallFileBytes));
    GWQ_ASSIGN_OR_RETURN(const std::vector<DatasetItem> items, ParseDataset(text));
    out.kind = KindOf(items.front());
    for (const DatasetItem& item : items) {
      for (const std::string& image : item.images) {
        GWQ_RETURN_IF_ERROR(CheckRelativePath(fmt::format("line {}.image", item.line), image));
        names.insert(image);
      }
    }
  } else if (file.extension() != ".txt") {
    return absl::InvalidArgumentError(fmt::format("{}: give a .jsonl file of questions or a .txt file", path));
  }
  Sha256 fingerprint;
  uint64_t done = 0;
  for (const std::string& name : names) {
    GWQ_RETURN_IF_ERROR(AddFile(folder, name, out.files));
    const LocalFile& added = out.files.files.back();
    fingerprint.Update(fmt::format("{} {} {}\n", added.name, added.size, added.head.digest.Hex()));
    progress.Update("hash", ++done, names.size(), "files");
  }
  progress.Done();
  out.files.fingerprint = fingerprint.Finish();
  return out;
}

}  // namespace gwq::client
