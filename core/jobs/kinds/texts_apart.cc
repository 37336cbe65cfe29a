#include "core/jobs/kinds/texts_apart.h"

#include <fmt/format.h>

#include <string>
#include <utility>

#include "core/artifact/stored_dataset.h"
#include "core/base/sha256.h"
#include "core/base/status.h"
#include "core/evaluation/default_text.h"

namespace gwq {
namespace {

// Something that is read, and the field that names it.
struct Content {
  std::string field;
  Digest digest;
};

// The dataset itself, and its files of lines or text.
absl::Status AddDataset(BlobStore& store, const std::string& field, const std::string& hex, std::vector<Content>& out) {
  GWQ_ASSIGN_OR_RETURN(const Digest digest, Digest::Parse(hex));
  const absl::StatusOr<StoredDataset> dataset = StoredDataset::Open(store, digest);
  if (!dataset.ok()) return AsField(dataset.status(), field);
  out.push_back({field, digest});
  for (const ManifestFile& file : dataset->manifest().files) {
    if (file.path.ends_with(".jsonl") || file.path.ends_with(".txt")) out.push_back({field, file.digest});
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<Content>> OfCalibration(BlobStore& store, const Calibration& calibration) {
  std::vector<Content> out;
  if (!calibration.text.empty()) out.push_back({"recipe.calibration.text", Sha256Of(calibration.text)});
  for (size_t i = 0; i < calibration.parts.size(); ++i) {
    const std::string& text = calibration.parts[i].text;
    if (!text.empty()) out.push_back({fmt::format("recipe.calibration.parts[{}].text", i), Sha256Of(text)});
  }
  for (const NamedDigest& named : CalibrationBlobs(calibration)) {
    GWQ_ASSIGN_OR_RETURN(const Digest digest, Digest::Parse(named.digest));
    out.push_back({named.field, digest});
  }
  for (const NamedDigest& named : CalibrationDatasets(calibration)) {
    GWQ_RETURN_IF_ERROR(AddDataset(store, named.field, named.digest, out));
  }
  return out;
}

absl::StatusOr<std::vector<Content>> OfTask(BlobStore& store, const EvaluationTask& task, const std::string& path) {
  std::vector<Content> out;
  if (!task.text.empty()) out.push_back({path + ".text", Sha256Of(task.text)});
  if (!task.dataset.empty()) GWQ_RETURN_IF_ERROR(AddDataset(store, path + ".dataset", task.dataset, out));
  if (out.empty() && task.kind == EvaluationKind::kText) {
    out.push_back({path + ".text", Sha256Of(DefaultEvaluationText())});
  }
  return out;
}

}  // namespace

absl::Status CheckTextsApart(BlobStore& store, const Recipe& recipe, const std::vector<EvaluationTask>& evaluations) {
  GWQ_ASSIGN_OR_RETURN(const std::vector<Content> calibration, OfCalibration(store, recipe.calibration));
  if (calibration.empty()) return absl::OkStatus();
  for (size_t i = 0; i < evaluations.size(); ++i) {
    GWQ_ASSIGN_OR_RETURN(const std::vector<Content> measured,
                         OfTask(store, evaluations[i], fmt::format("evaluations[{}]", i)));
    for (const Content& read : measured) {
      for (const Content& given : calibration) {
        if (read.digest != given.digest) continue;
        return InvalidField(read.field,
                            fmt::format("is what {} names too: figures measured on the calibration's own text tell "
                                        "nothing; measure on another text or calibrate on another",
                                        given.field));
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace gwq
