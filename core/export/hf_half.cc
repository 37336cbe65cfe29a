// "hf-fp16": a Hugging Face directory of FP16 tensors, which this service loads as any other model.
#include "core/artifact/writer.h"
#include "core/base/status.h"
#include "core/export/formats.h"
#include "core/export/half_tensor.h"
#include "core/io/json.h"

namespace gwq {
namespace {

absl::Status WriteTensor(ExportRun& run, const std::string& name, ArtifactWriter& writer) {
  WeightLoss loss;
  GWQ_ASSIGN_OR_RETURN(const Digest digest, HalfBlob(run.store, run.source, name, loss, run.progress));
  if (run.source.Find(name)->packed) run.report.matrices.push_back({name, "FP16", loss});
  return writer.AddDenseBlob(name, DType::kF16, digest);
}

}  // namespace

absl::StatusOr<Digest> WriteHalfModel(ExportRun& run) {
  ArtifactWriter writer(run.store, run.source);
  int64_t done = 0;
  for (const TensorSpec& spec : run.source.model()->tensors()) {
    GWQ_RETURN_IF_ERROR(run.Step(done++));
    GWQ_RETURN_IF_ERROR(WriteTensor(run, spec.name, writer));
  }
  GWQ_ASSIGN_OR_RETURN(const nlohmann::json config, HalfConfig(run.source));
  GWQ_RETURN_IF_ERROR(writer.SetFile("config.json", CanonicalJson(config)));
  return writer.FinishModel();
}

}  // namespace gwq
