#include "core/quant/job/job_checkpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/numbers.h"
#include "core/base/status.h"
#include "core/io/json.h"
#include "core/spec/enum_names.h"

namespace gwq {

inline constexpr EnumEntry<JobStep> kStepNames[] = {{JobStep::kFisher, "fisher"},
                                                    {JobStep::kGradients, "gradients"},
                                                    {JobStep::kBlocks, "blocks"},
                                                    {JobStep::kModel, "model"}};
constexpr const auto& NamesOf(JobStep) { return kStepNames; }

namespace {

using Json = nlohmann::json;

// No checkpoint is larger (core/storage/checkpoint.cc).
constexpr JsonLimits kStateLimits{.max_bytes = size_t{32} << 20};
// Of the form of a state and of the blobs that it names. One of another version is not used.
constexpr int kVersion = 3;
constexpr uint64_t kMaxSteps = 1'000'000'000;
constexpr uint64_t kMaxPasses = 1'000;

bool IsCounts(const Json& passes) {
  return passes.is_array() && passes.size() == 2 && std::ranges::all_of(passes, [](const Json& one) {
           return one.is_number_unsigned() && one.get<uint64_t>() <= kMaxPasses;
         });
}

bool IsLosses(const Json& list) {
  return list.is_array() && list.size() <= static_cast<size_t>(kTuningPoints) &&
         std::ranges::all_of(list, [](const Json& one) { return one.is_number(); });
}

bool IsStateJson(const Json& state) {
  const auto is = [&](const char* key, bool (Json::*test)() const noexcept) {
    return state.contains(key) && (state[key].*test)();
  };
  return state.is_object() && state.contains("version") && state["version"] == kVersion &&
         is("producer", &Json::is_string) && is("step", &Json::is_string) && is("packed", &Json::is_object) &&
         (!state.contains("samples") || state["samples"].is_string()) &&
         (!state.contains("loss") || state["loss"].is_number()) &&
         (!state.contains("metrics") || state["metrics"].is_object()) &&
         (!state.contains("losses") || state["losses"].is_object()) &&
         (!state.contains("gradients") || state["gradients"].is_object()) &&
         (!state.contains("passes") || IsCounts(state["passes"])) &&
         (!state.contains("overlap") || ParseOverlap(state["overlap"]).has_value()) &&
         (!state.contains("model") || (state["model"].is_object() && is("model_steps", &Json::is_number_unsigned))) &&
         (!state.contains("model_losses") || IsLosses(state["model_losses"]));
}

absl::Status CheckScratch(const Digest& blob, const std::vector<Digest>& checked) {
  if (std::ranges::find(checked, blob) != checked.end()) return absl::OkStatus();
  return absl::DataLossError(fmt::format("the job's checkpoint names a state {} that it does not list", blob.Hex()));
}

// A blob that was checked.
absl::StatusOr<Digest> ParseScratch(const Json& json, const std::vector<Digest>& checked) {
  const auto digest = json.is_string() ? Digest::Parse(json.get<std::string>()) : absl::DataLossError("no digest");
  if (!digest.ok()) return absl::DataLossError("the job's checkpoint names states that are no blobs");
  GWQ_RETURN_IF_ERROR(CheckScratch(*digest, checked));
  return *digest;
}

absl::StatusOr<std::map<int, Digest>> ParseMetrics(const Json& json, const std::vector<Digest>& checked) {
  std::map<int, Digest> out;
  for (const auto& [stage, blob] : json.items()) {
    int number = 0;
    if (!absl::SimpleAtoi(stage, &number)) {
      return absl::DataLossError(fmt::format("the job's checkpoint has a metric of stage '{}'", stage));
    }
    GWQ_ASSIGN_OR_RETURN(out[number], ParseScratch(blob, checked));
  }
  return out;
}

// Of open modules of the plan.
absl::StatusOr<FormLosses> ParseLosses(const Json& json, const Plan& plan) {
  FormLosses out;
  for (const PlannedModule& module : plan.modules) {
    const auto found = json.find(module.tensor);
    if (!module.is_open() || found == json.end()) continue;
    const bool numbers = found->is_array() && found->size() == module.choices.size() &&
                         std::ranges::all_of(*found, [](const Json& one) { return one.is_number(); });
    if (!numbers) return absl::DataLossError("the job's checkpoint has losses of other forms");
    out[module.tensor] = found->get<std::vector<double>>();
  }
  return out;
}

// Those that are still there: a walk whose gradients are not all there is not kept, and else goes on as well.
std::map<std::string, Digest> ParseGradients(const Json& json, const Checkpoint& checkpoint, BlobStore& store) {
  std::map<std::string, Digest> out;
  for (const auto& [tensor, blob] : json.items()) {
    const auto digest = ParseScratch(blob, checkpoint.blobs);
    if (digest.ok() && CheckWhole(store, *digest).ok()) out[tensor] = *digest;
  }
  return out;
}

absl::Status ParseModel(const Json& state, const std::vector<Digest>& checked, JobPosition& out) {
  const auto steps = state["model_steps"].get<uint64_t>();
  if (steps > kMaxSteps) return absl::DataLossError(fmt::format("the job's checkpoint tells of {} steps", steps));
  out.model_steps = static_cast<int>(steps);
  if (state.contains("model_losses")) out.model_losses = state["model_losses"].get<std::vector<double>>();
  for (const auto& [name, blob] : state["model"].items()) {
    GWQ_ASSIGN_OR_RETURN(out.model[name], ParseScratch(blob, checked));
  }
  if (out.step == JobStep::kModel && !out.model.contains("targets")) {
    return absl::DataLossError("the job's checkpoint lacks the targets of its last step");
  }
  return absl::OkStatus();
}

// The record is one of the step's walk, and names blobs that were checked.
absl::Status CheckWalk(const WalkRecord& walk, JobStep step, const std::vector<Digest>& checked) {
  if ((walk.phase == "blocks") != (step == JobStep::kBlocks)) {
    return absl::DataLossError(
        fmt::format("the job's checkpoint has a walk in phase '{}' in another step", walk.phase));
  }
  for (const Digest& blob : BlobsOf(walk)) GWQ_RETURN_IF_ERROR(CheckScratch(blob, checked));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<JobPosition> JobCheckpoint::Restore(Plan& plan, SampleSet& samples, Progress& progress) {
  auto checkpoint = slot_.Load();
  if (checkpoint.ok() && !checkpoint->has_value()) return JobPosition{};
  auto restored = checkpoint.ok() ? Parse(**checkpoint, plan) : checkpoint.status();
  if (absl::IsDataLoss(restored.status())) {
    // Starting again costs time; a job that ended here would have to be created again, and cost the same.
    progress.Log(fmt::format("starting again: {}", MessageOf(restored.status())));
    return JobPosition{};
  }
  GWQ_RETURN_IF_ERROR(restored.status());
  // The packed matrices point to the modules of the plan they were checked against, which move with it.
  plan = std::move(restored->plan);
  GWQ_RETURN_IF_ERROR(packer_.Restore(restored->state["packed"], restored->packed));
  samples_ = restored->samples_blob;
  samples = std::move(restored->samples);
  progress.Log("going on from the checkpoint of the last attempt");
  return std::move(restored->position);
}

absl::StatusOr<JobCheckpoint::Restored> JobCheckpoint::Parse(const Checkpoint& checkpoint, const Plan& plan) {
  auto json = ParseJson("checkpoint", checkpoint.state, kStateLimits);
  if (!json.ok() || !IsStateJson(*json)) return absl::DataLossError("the job's checkpoint is malformed");
  Restored out{
      .state = *std::move(json), .plan = plan, .packed = {}, .position = {}, .samples_blob = {}, .samples = {}};
  const Json& state = out.state;
  if (state["producer"] != producer_) {
    return absl::DataLossError("the last attempt ran on a worker that may make other bytes");
  }
  // What a damaged disk made of a state or a matrix would go into the artifact unseen.
  for (const Digest& blob : checkpoint.scratch) GWQ_RETURN_IF_ERROR(CheckWhole(store_, blob));
  const auto step = EnumOf<JobStep>(state["step"].get<std::string>());
  if (!step) return absl::DataLossError("the job's checkpoint is in an unknown step");
  out.position.step = *step;
  if (state.contains("losses")) {
    GWQ_ASSIGN_OR_RETURN(out.position.losses, ParseLosses(state["losses"], plan));
  }
  if (*step > JobStep::kFisher && HasOpenModules(plan)) {
    for (const PlannedModule& module : plan.modules) {
      if (module.is_open() && !out.position.losses.contains(module.tensor)) {
        return absl::DataLossError(fmt::format("the job's checkpoint does not tell what {} loses", module.tensor));
      }
    }
    DivideTarget(recipe_, out.position.losses, out.plan);
  }
  GWQ_ASSIGN_OR_RETURN(out.packed, packer_.Check(state["packed"], out.plan));
  if (state.contains("samples")) {
    const auto blob = Digest::Parse(state["samples"].get<std::string>());
    if (!blob.ok()) return absl::DataLossError("the job's checkpoint names samples that are no blob");
    out.samples_blob = *blob;
    GWQ_ASSIGN_OR_RETURN(out.samples, LoadTokens(store_, *blob));
  }
  if (state.contains("metrics")) {
    GWQ_ASSIGN_OR_RETURN(out.position.metrics, ParseMetrics(state["metrics"], checkpoint.scratch));
  }
  if (state.contains("model")) GWQ_RETURN_IF_ERROR(ParseModel(state, checkpoint.scratch, out.position));
  if (state.contains("gradients")) {
    out.position.gradients = ParseGradients(state["gradients"], checkpoint, store_);
  }
  if (state.contains("overlap")) out.position.overlap = ParseOverlap(state["overlap"]).value_or(MaskOverlap{});
  if (state.contains("passes")) out.position.passes = {state["passes"][0].get<int>(), state["passes"][1].get<int>()};
  if (state.contains("loss")) out.position.loss = state["loss"].get<double>();
  if (state.contains("walk")) {
    GWQ_ASSIGN_OR_RETURN(out.position.walk, ParseWalkRecord(state["walk"]));
    GWQ_RETURN_IF_ERROR(CheckWalk(*out.position.walk, out.position.step, checkpoint.scratch));
  }
  return out;
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
  Json state = {{"version", kVersion}, {"producer", producer_}, {"step", std::string(EnumText(position.step))}};
  for (const auto& [stage, blob] : position.metrics) state["metrics"][fmt::format("{}", stage)] = blob.Hex();
  for (const auto& [tensor, losses] : position.losses) state["losses"][tensor] = losses;
  for (const auto& [name, blob] : position.model) state["model"][name] = blob.Hex();
  if (!position.model.empty()) state["model_steps"] = position.model_steps;
  if (!position.model_losses.empty()) state["model_losses"] = position.model_losses;
  for (const auto& [tensor, blob] : position.gradients) state["gradients"][tensor] = blob.Hex();
  state["passes"] = {position.passes.run, position.passes.reused};
  if (position.overlap.either > 0) state["overlap"] = OverlapJson(position.overlap);
  GWQ_RETURN_IF_ERROR(StoreSamples(samples));
  if (samples_) state["samples"] = samples_->Hex();
  if (position.loss) state["loss"] = *position.loss;
  if (position.walk) state["walk"] = WalkRecordJson(*position.walk);
  GWQ_ASSIGN_OR_RETURN(state["packed"], packer_.State());
  Checkpoint checkpoint;
  checkpoint.state = CanonicalJson(state);
  checkpoint.blobs = packer_.Blobs();
  // Not the checkpoint's scratch, because the record of the walk will own them.
  for (const auto& [tensor, blob] : position.gradients) checkpoint.blobs.push_back(blob);
  if (position.walk) checkpoint.scratch = BlobsOf(*position.walk);
  for (const auto& [stage, blob] : position.metrics) checkpoint.scratch.push_back(blob);
  for (const auto& [name, blob] : position.model) checkpoint.scratch.push_back(blob);
  if (samples_) checkpoint.scratch.push_back(*samples_);
  return slot_.Save(checkpoint);
}

}  // namespace gwq
