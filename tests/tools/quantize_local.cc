// Quantizes a model without services, in a blob store of its own: what tests/bench/accuracy.py measures.
//
// usage: quantize_local STORE MODEL RECIPE.json OUT [TASK.json]
//   TASK.json is an evaluation's task or a list of them.
//   STORE        folder of the blob store; made where it is missing
//   MODEL        Hugging Face directory or .gguf file
//   RECIPE.json  as core/spec/recipe.h describes it
//   OUT          gets report.json, report.md, artifact.digest, masks.safetensors (U8 per matrix: 1 if a weight is an
//                outlier) and hf/, the FP16 export
//   TASK.json    an evaluation for the report (core/spec/evaluation_task.h); none: nothing is measured
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "core/artifact/import.h"
#include "core/artifact/stored_model.h"
#include "core/base/clock.h"
#include "core/base/status.h"
#include "core/export/export.h"
#include "core/io/file_system.h"
#include "core/io/json.h"
#include "core/io/safetensors.h"
#include "core/quant/job/quantize.h"
#include "core/storage/local_blob_store.h"
#include "tests/support/upload_builder.h"
#include "tests/tools/model_folder.h"

namespace gwq {
namespace {

namespace fs = std::filesystem;

class Printer final : public Progress {
 public:
  void Step(std::string_view phase, int64_t done, int64_t total) override {
    const int64_t percent = total == 0 ? 100 : done * 100 / total;
    if (phase == phase_ && percent / 10 == percent_ / 10) return;
    phase_ = phase;
    percent_ = percent;
    std::fprintf(stderr, "%s %lld/%lld\n", phase_.c_str(), static_cast<long long>(done), static_cast<long long>(total));
  }
  void Log(std::string_view line) override { std::fprintf(stderr, "%s\n", std::string(line).c_str()); }
  absl::Status Check() override { return absl::OkStatus(); }

 private:
  std::string phase_;
  int64_t percent_ = -1;
};

std::string ReadText(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream out;
  out << file.rdbuf();
  return out.str();
}

absl::StatusOr<Digest> Import(BlobStore& store, const fs::path& path, Progress& progress) {
  testing::UploadBuilder upload(store);
  const auto add = [&](const fs::path& file) -> absl::Status {
    const std::string name = file.filename().string();
    if (name.ends_with(".json") || name.ends_with(".jinja")) {
      upload.File(name, ReadText(file));
      return absl::OkStatus();
    }
    GWQ_ASSIGN_OR_RETURN(const auto mapped, LocalFileSystem().Map(file.string()));
    const std::string_view bytes(reinterpret_cast<const char*>(mapped->bytes().data()), mapped->bytes().size());
    if (name.ends_with(".safetensors")) upload.Safetensors(name, bytes);
    if (name.ends_with(".gguf")) upload.Gguf(name, bytes);
    return absl::OkStatus();
  };
  if (fs::is_directory(path)) {
    for (const auto& entry : fs::directory_iterator(path)) GWQ_RETURN_IF_ERROR(add(entry.path()));
  } else {
    GWQ_RETURN_IF_ERROR(add(path));
  }
  return ImportModel(store, upload.Build(), progress);
}

// The outliers of every Linear matrix that has some, named as the reference script names them.
absl::Status WriteMasks(const StoredModel& artifact, const fs::path& path) {
  std::vector<SafetensorsTensor> tensors;
  for (const TensorSpec& spec : artifact.model()->tensors()) {
    const ManifestTensor* stored = artifact.Find(spec.name);
    if (spec.kind != TensorKind::kLinear || stored == nullptr || !stored->packed) continue;
    const Shape shape = MatrixShape(spec.shape);
    const auto size = static_cast<uint64_t>(shape[0] * shape[1]);
    const uint64_t offset = tensors.empty() ? 0 : tensors.back().offset + tensors.back().size;
    const std::string name = spec.name.substr(0, spec.name.size() - std::string_view(".weight").size());
    tensors.push_back({name, DType::kU8, shape, offset, size});
  }
  std::ofstream out(path, std::ios::binary);
  out << WriteSafetensorsHeader(tensors, {});
  for (const SafetensorsTensor& tensor : tensors) {
    GWQ_ASSIGN_OR_RETURN(const PackedTensor packed, artifact.Packed(tensor.name + ".weight"));
    std::string mask(tensor.size, '\0');
    packed.view.ForEachOutlier([&](const PackedView::Outlier& outlier) {
      mask[static_cast<size_t>(outlier.row * packed.view.shape().cols + outlier.col)] = '\1';
    });
    out << mask;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<EvaluationTask>> ReadTasks(const fs::path& path) {
  if (path.empty()) return std::vector<EvaluationTask>();
  GWQ_ASSIGN_OR_RETURN(const nlohmann::json json, ParseJson("task", ReadText(path)));
  std::vector<EvaluationTask> tasks;
  for (const nlohmann::json& one : json.is_array() ? json : nlohmann::json::array({json})) {
    GWQ_ASSIGN_OR_RETURN(tasks.emplace_back(), ParseEvaluationTask(one, "task"));
  }
  return tasks;
}

absl::Status Run(const std::string& store_path, const fs::path& model, const fs::path& recipe_path, const fs::path& out,
                 const fs::path& task_path) {
  Printer progress;
  fs::create_directories(out);
  GWQ_ASSIGN_OR_RETURN(const auto store, OpenLocalBlobStore(LocalFileSystem(), store_path, SystemClock()));
  GWQ_ASSIGN_OR_RETURN(const Recipe recipe, ParseRecipe(ReadText(recipe_path)));
  GWQ_ASSIGN_OR_RETURN(const std::vector<EvaluationTask> tasks, ReadTasks(task_path));
  GWQ_ASSIGN_OR_RETURN(const Digest source, Import(*store, model, progress));
  GWQ_ASSIGN_OR_RETURN(const QuantizeResult result, QuantizeModel(*store, source, recipe, progress, tasks));
  std::ofstream(out / "report.json") << result.report_json;
  std::ofstream(out / "report.md") << result.report_markdown;
  std::ofstream(out / "artifact.digest") << result.artifact.Hex() << "\n";
  GWQ_ASSIGN_OR_RETURN(const auto artifact, StoredModel::Open(*store, result.artifact));
  GWQ_RETURN_IF_ERROR(WriteMasks(*artifact, out / "masks.safetensors"));
  GWQ_ASSIGN_OR_RETURN(const ExportResult exported, ExportArtifact(*store, result.artifact, {}, progress));
  GWQ_ASSIGN_OR_RETURN(const auto dense, StoredModel::Open(*store, exported.model));
  return WriteModelFolder(*store, dense->manifest(), out / "hf");
}

}  // namespace
}  // namespace gwq

int main(int argc, char** argv) {
  if (argc != 5 && argc != 6) {
    std::cerr << "usage: quantize_local STORE MODEL RECIPE.json OUT [TASK.json]\n";
    return 2;
  }
  const absl::Status status = gwq::Run(argv[1], argv[2], argv[3], argv[4], argc == 6 ? argv[5] : "");
  if (!status.ok()) std::cerr << "quantize_local: " << gwq::MessageOf(status) << "\n";
  return status.ok() ? 0 : 1;
}
