#include "core/quant/job_checkpoint.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/base/status.h"
#include "core/io/json.h"

namespace gwq {
namespace {

using Json = nlohmann::json;

constexpr char kBlocksStep[] = "blocks";
constexpr char kGradientsStep[] = "gradients";
// A checkpoint's state lists packed matrices and a walk's record: far below this.
constexpr JsonLimits kStateLimits{.max_bytes = size_t{64} << 20};

bool IsStateJson(const Json& state) {
  const auto is = [&](const char* key, bool (Json::*test)() const noexcept) {
    return state.contains(key) && (state[key].*test)();
  };
  return state.is_object() && is("producer", &Json::is_string) && is("step", &Json::is_string) &&
         is("packed", &Json::is_object) && (!state.contains("samples") || state["samples"].is_string()) &&
         (!state.contains("loss") || state["loss"].is_number());
}

}  // namespace

absl::StatusOr<JobPosition> JobCheckpoint::Restore(const Plan& plan, SampleSet& samples, Progress& progress) {
  GWQ_ASSIGN_OR_RETURN(const std::optional<Checkpoint> checkpoint, slot_.Load());
  if (!checkpoint.has_value()) return JobPosition{};
  GWQ_ASSIGN_OR_RETURN(const Json state, ParseJson("checkpoint", checkpoint->state, kStateLimits));
  if (!IsStateJson(state)) return absl::DataLossError("the job's checkpoint is malformed");
  if (state["producer"] != producer_) {
    progress.Log("the last attempt ran on a worker that may make other bytes: starting again");
    return JobPosition{};
  }
  GWQ_RETURN_IF_ERROR(packer_.Restore(state["packed"], plan));
  if (state.contains("samples")) {
    GWQ_ASSIGN_OR_RETURN(samples_, Digest::Parse(state["samples"].get<std::string>()));
    GWQ_ASSIGN_OR_RETURN(samples, LoadTokens(store_, *samples_));
  }
  JobPosition position;
  position.step = state["step"] == kBlocksStep ? JobStep::kBlocks : JobStep::kGradients;
  if (state.contains("loss")) position.loss = state["loss"].get<double>();
  if (state.contains("walk")) {
    GWQ_ASSIGN_OR_RETURN(position.walk, ParseWalkRecord(state["walk"]));
  }
  progress.Log("going on from the checkpoint of the last attempt");
  return position;
}

// Where any has an image all are made again: patches are large, and making them is quick.
absl::Status JobCheckpoint::StoreSamples(const SampleSet& samples) {
  const bool images = std::ranges::any_of(samples, [](const CalibrationSample& one) { return !one.tiles.empty(); });
  if (samples_.has_value() || images) return absl::OkStatus();
  GWQ_ASSIGN_OR_RETURN(samples_, StoreTokens(store_, samples));
  return absl::OkStatus();
}

absl::Status JobCheckpoint::Save(const JobPosition& position, const SampleSet& samples) {
  if (!slot_.keeps()) return absl::OkStatus();
  Json state = {{"producer", producer_}, {"step", position.step == JobStep::kBlocks ? kBlocksStep : kGradientsStep}};
  GWQ_RETURN_IF_ERROR(StoreSamples(samples));
  if (samples_) state["samples"] = samples_->Hex();
  if (position.loss) state["loss"] = *position.loss;
  if (position.walk) state["walk"] = WalkRecordJson(*position.walk);
  GWQ_ASSIGN_OR_RETURN(state["packed"], packer_.State());
  Checkpoint checkpoint;
  checkpoint.state = CanonicalJson(state);
  checkpoint.blobs = packer_.Blobs();
  if (samples_) checkpoint.blobs.push_back(*samples_);
  if (position.walk) {
    for (const Digest& blob : BlobsOf(*position.walk)) checkpoint.blobs.push_back(blob);
  }
  return slot_.Save(checkpoint);
}

}  // namespace gwq
