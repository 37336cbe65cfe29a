// gwq-worker whose quantizations have five parts with a checkpoint after each. The first attempt kills its process
// after the third; one that continues says where, and keeps every tensor of the model.
#include <signal.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "core/artifact/stored_model.h"
#include "core/artifact/writer.h"
#include "core/base/status.h"
#include "core/io/file_system.h"
#include "core/jobs/kinds/specs.h"
#include "server/worker/worker_program.h"

namespace gwq {
namespace {

constexpr size_t kParts = 5, kKilledAfter = 3;

absl::StatusOr<JobOutput> KeepEverything(const JobContext& context) {
  GWQ_ASSIGN_OR_RETURN(const QuantizeJob job, QuantizeJob::Parse(context.spec_json));
  GWQ_ASSIGN_OR_RETURN(const auto model, StoredModel::Open(context.store, job.source));
  ArtifactWriter writer(context.store, *model);
  for (const ManifestShard& shard : model->manifest().shards) {
    for (const ManifestTensor& tensor : shard.tensors) GWQ_RETURN_IF_ERROR(writer.Keep(tensor.name));
  }
  GWQ_ASSIGN_OR_RETURN(const Digest made, writer.FinishArtifact(BytesRecipeJson(job.recipe), "{}"));
  return OutputOf(context.store, made);
}

absl::StatusOr<JobOutput> RunInParts(const JobContext& context) {
  GWQ_ASSIGN_OR_RETURN(const std::optional<Checkpoint> found, context.checkpoints.Load());
  Checkpoint checkpoint = found.value_or(Checkpoint{});
  if (found.has_value()) {
    for (const Digest& blob : checkpoint.blobs) GWQ_RETURN_IF_ERROR(context.store.Stat(blob).status());
    context.progress.Log("continues at part " + nlohmann::json::parse(checkpoint.state)["next"].dump());
  }
  while (checkpoint.blobs.size() < kParts) {
    const std::string part = "part " + std::to_string(checkpoint.blobs.size());
    GWQ_ASSIGN_OR_RETURN(checkpoint.blobs.emplace_back(), PutBlob(context.store, std::as_bytes(std::span(part))));
    checkpoint.state = nlohmann::json{{"next", checkpoint.blobs.size()}}.dump();
    GWQ_RETURN_IF_ERROR(context.checkpoints.Save(checkpoint));
    if (!found.has_value() && checkpoint.blobs.size() == kKilledAfter) kill(getpid(), SIGKILL);
  }
  return KeepEverything(context);
}

}  // namespace
}  // namespace gwq

int main(int argc, char** argv) {
  return gwq::RunWorkerProgram(argc, argv, gwq::LocalFileSystem(), {{gwq::QuantizeJob::kKind, gwq::RunInParts}});
}
