#include "core/quant/job/kept_passes.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "core/base/status.h"
#include "core/io/json.h"
#include "core/quant/job/fisher_pass.h"
#include "core/quant/pass_keys.h"

namespace gwq {
namespace {

using Json = nlohmann::json;

constexpr JsonLimits kStateLimits{.max_bytes = size_t{32} << 20};

uint64_t GradientBytes(const PlannedModule& module) { return kScratchHeaderBytes + module.weights * sizeof(float); }

// Scratch blobs by name, of a member of the state. DATA_LOSS if one is not among the record's.
absl::StatusOr<std::map<std::string, Digest>> BlobsIn(const Checkpoint& record, const char* member) {
  const auto state = ParseJson("record", record.state, kStateLimits);
  if (!state.ok() || !state->is_object() || !state->contains(member) || !(*state)[member].is_object()) {
    return absl::DataLossError(fmt::format("the record has no {}", member));
  }
  std::map<std::string, Digest> out;
  for (const auto& [name, hex] : (*state)[member].items()) {
    const auto digest = hex.is_string() ? Digest::Parse(hex.get<std::string>()) : absl::DataLossError("no digest");
    if (!digest.ok() || std::ranges::find(record.scratch, *digest) == record.scratch.end()) {
      return absl::DataLossError(fmt::format("the record names no blob of {}", name));
    }
    out[name] = *digest;
  }
  return out;
}

template <class Name>
Checkpoint RecordOf(Json state, const char* member, const std::map<Name, Digest>& blobs) {
  Checkpoint record;
  state[member] = Json::object();
  for (const auto& [name, blob] : blobs) {
    state[member][fmt::format("{}", name)] = blob.Hex();
    record.scratch.push_back(blob);
  }
  record.state = CanonicalJson(state);
  return record;
}

}  // namespace

KeptPasses::KeptPasses(const CalibratedPacking& job) : job_(job) {
  if (job.plan.sees_image) return;
  uint64_t bytes = 0;
  for (const PlannedModule& module : job.plan.modules) {
    if (module.needs == Needs::kGradient) bytes += GradientBytes(module);
  }
  gradients_fit_ = bytes > 0 && bytes <= job.kept.room();
}

absl::Status KeptPasses::Tell(std::string_view what, const absl::Status& status) const {
  if (status.ok() || absl::IsCancelled(status) || absl::IsAborted(status)) return status;
  job_.progress.Log(fmt::format("{}: {}", what, MessageOf(status)));
  return absl::OkStatus();
}

absl::StatusOr<std::optional<Checkpoint>> KeptPasses::Load(const PassKey& key) {
  auto record = job_.kept.Load(key);
  if (record.ok()) return record;
  GWQ_RETURN_IF_ERROR(Tell("a kept gradient pass cannot be read, it is run again", record.status()));
  return std::nullopt;
}

absl::Status KeptPasses::Save(const PassKey& key, const Checkpoint& record) {
  return Tell("the gradient pass was not kept", job_.kept.Save(key, record));
}

absl::Status KeptPasses::ReadMetrics(const Checkpoint& record, std::map<int, Digest>& blobs) const {
  GWQ_ASSIGN_OR_RETURN(const auto named, BlobsIn(record, "metrics"));
  for (const auto& [name, blob] : named) {
    int stage = 0;
    if (!absl::SimpleAtoi(name, &stage)) return absl::DataLossError(fmt::format("a metric of stage '{}'", name));
    blobs[stage] = blob;
  }
  const std::set<int> stages = MetricStages(job_.plan, job_.recipe);
  for (const int stage : stages) {
    if (!blobs.contains(stage)) return absl::DataLossError(fmt::format("no metric of stage {}", stage));
    GWQ_RETURN_IF_ERROR(job_.progress.Check());
    GWQ_RETURN_IF_ERROR(CheckWhole(job_.store, blobs[stage]));
  }
  std::erase_if(blobs, [&](const auto& one) { return !stages.contains(one.first); });
  return absl::OkStatus();
}

absl::StatusOr<bool> KeptPasses::TakeFisher(JobPosition& position, BlockMetrics& metrics, BlobStore* own) {
  if (job_.plan.sees_image) return false;
  constexpr std::string_view kUnusable = "a kept gradient pass cannot be used, it is run again";
  FormLosses losses;
  if (HasOpenModules(job_.plan)) {
    GWQ_ASSIGN_OR_RETURN(const auto record,
                         Load(LossesKey(job_.source.digest(), job_.recipe, job_.plan, job_.producer)));
    if (!record) return false;
    auto read = ReadLosses(job_.store, *record, job_.plan);
    GWQ_RETURN_IF_ERROR(Tell(kUnusable, read.status()));
    if (!read.ok()) return false;
    losses = *std::move(read);
  }
  if (!MetricStages(job_.plan, job_.recipe).empty()) {
    GWQ_ASSIGN_OR_RETURN(const auto record,
                         Load(MetricsKey(job_.source.digest(), job_.recipe, job_.plan, job_.producer)));
    if (!record) return false;
    std::map<int, Digest> blobs;
    absl::Status read = ReadMetrics(*record, blobs);
    if (read.ok()) read = metrics.Take(job_.store, blobs, own, job_.progress);
    GWQ_RETURN_IF_ERROR(Tell(kUnusable, read));
    if (!read.ok()) return false;
  }
  position.losses = std::move(losses);
  ++position.passes.reused;
  return true;
}

absl::Status KeptPasses::KeepMetrics(const BlockMetrics& metrics) {
  std::map<int, Digest> blobs;
  uint64_t bytes = 0;
  absl::Status kept;
  for (const int stage : MetricStages(job_.plan, job_.recipe)) {
    // A stage that no sample runs through has none, and such a pass is not kept.
    if (!metrics.Holds(stage)) kept = absl::NotFoundError(fmt::format("stage {} has no metric", stage));
    if (!kept.ok()) break;
    const auto blob = metrics.Copy(job_.store, stage, job_.progress);
    kept = blob.status();
    if (!kept.ok()) break;
    blobs[stage] = *blob;
    const auto info = job_.store.Stat(*blob);
    bytes += info.ok() ? info->size : 0;
    if (bytes <= job_.kept.room()) continue;
    kept = absl::ResourceExhaustedError(
        fmt::format("its metrics take more than the {} MiB that may be kept", job_.kept.room() >> 20));
    break;
  }
  if (kept.ok()) {
    return Save(MetricsKey(job_.source.digest(), job_.recipe, job_.plan, job_.producer),
                RecordOf(Json::object(), "metrics", blobs));
  }
  for (const auto& [stage, blob] : blobs) job_.store.Remove(blob).IgnoreError();
  return Tell("the gradient pass was not kept", kept);
}

absl::Status KeptPasses::KeepFisher(const FormLosses& losses, const BlockMetrics& metrics) {
  if (job_.plan.sees_image || job_.kept.room() == 0) return absl::OkStatus();
  if (HasOpenModules(job_.plan)) {
    const auto record = StoreLosses(job_.store, losses);
    GWQ_RETURN_IF_ERROR(Tell("the gradient pass was not kept", record.status()));
    if (record.ok()) {
      GWQ_RETURN_IF_ERROR(Save(LossesKey(job_.source.digest(), job_.recipe, job_.plan, job_.producer), *record));
    }
  }
  if (MetricStages(job_.plan, job_.recipe).empty()) return absl::OkStatus();
  return KeepMetrics(metrics);
}

absl::Status KeptPasses::ReadGradients(const Checkpoint& record, std::map<std::string, Digest>& blobs) const {
  GWQ_ASSIGN_OR_RETURN(blobs, BlobsIn(record, "gradients"));
  for (const PlannedModule& module : job_.plan.modules) {
    if (module.needs != Needs::kGradient || job_.packer.packed(module.tensor)) continue;
    const auto found = blobs.find(module.tensor);
    if (found == blobs.end()) return absl::DataLossError(fmt::format("no gradient of {}", module.tensor));
    GWQ_RETURN_IF_ERROR(job_.progress.Check());
    GWQ_ASSIGN_OR_RETURN(const BlobInfo info, job_.store.Stat(found->second));
    if (info.size != GradientBytes(module)) {
      return absl::DataLossError(fmt::format("the gradient of {} has {} bytes", module.tensor, info.size));
    }
    GWQ_RETURN_IF_ERROR(CheckWhole(job_.store, found->second));
  }
  return absl::OkStatus();
}

absl::Status KeptPasses::PackKept(const std::map<std::string, Digest>& blobs) {
  const auto total = static_cast<int64_t>(job_.plan.modules.size());
  for (int64_t i = 0; i < total; ++i) {
    const PlannedModule& module = job_.plan.modules[static_cast<size_t>(i)];
    job_.progress.Step("reuse", i, total);
    GWQ_RETURN_IF_ERROR(job_.progress.Check());
    if (module.needs != Needs::kGradient || job_.packer.packed(module.tensor)) continue;
    std::vector<float> gradient(module.weights);
    GWQ_RETURN_IF_ERROR(
        job_.store.Read(blobs.at(module.tensor), kScratchHeaderBytes, std::as_writable_bytes(std::span(gradient))));
    GWQ_RETURN_IF_ERROR(job_.packer.Pack(module, {gradient, {}}));
  }
  job_.progress.Step("reuse", total, total);
  return absl::OkStatus();
}

absl::StatusOr<bool> KeptPasses::TakeGradients(JobPosition& position) {
  if (job_.plan.sees_image) return false;
  const PassKey key = GradientsKey(job_.source.digest(), job_.recipe, job_.plan, job_.producer);
  GWQ_ASSIGN_OR_RETURN(const auto record, Load(key));
  if (!record) return false;
  std::map<std::string, Digest> blobs;
  absl::Status read = ReadGradients(*record, blobs);
  const auto state = ParseJson("record", record->state, kStateLimits);
  if (read.ok() && (!state->contains("loss") || !(*state)["loss"].is_number())) {
    read = absl::DataLossError("the record has no loss");
  }
  GWQ_RETURN_IF_ERROR(Tell("a kept gradient pass cannot be used, it is run again", read));
  if (!read.ok()) return false;
  const absl::Status packed = PackKept(blobs);
  // Evicted meanwhile: the pass is run for the matrices that are left.
  if (absl::IsNotFound(packed)) return false;
  GWQ_RETURN_IF_ERROR(packed);
  position.loss = (*state)["loss"].get<double>();
  // A record of an older version has none.
  position.overlap = ParseOverlap(state->value("overlap", Json())).value_or(MaskOverlap{});
  ++position.passes.reused;
  return true;
}

absl::Status KeptPasses::AddGradient(std::string_view tensor, std::span<const float> gradient,
                                     std::map<std::string, Digest>& blobs) {
  if (!gradients_fit_) return absl::OkStatus();
  const auto store = [&]() -> absl::StatusOr<Digest> {
    GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<BlobWriter> writer, BeginScratch(job_.store));
    GWQ_RETURN_IF_ERROR(writer->Append(std::as_bytes(gradient)));
    return writer->Commit();
  };
  const auto blob = store();
  if (blob.ok()) {
    blobs[std::string(tensor)] = *blob;
    return absl::OkStatus();
  }
  gradients_fit_ = false;
  return Tell("the gradient pass is not kept", blob.status());
}

absl::Status KeptPasses::KeepGradients(double loss, const MaskOverlap& overlap,
                                       const std::map<std::string, Digest>& blobs) {
  if (!gradients_fit_) return absl::OkStatus();
  const bool whole = std::ranges::all_of(job_.plan.modules, [&](const PlannedModule& module) {
    return module.needs != Needs::kGradient || blobs.contains(module.tensor);
  });
  if (whole) {
    return Save(GradientsKey(job_.source.digest(), job_.recipe, job_.plan, job_.producer),
                RecordOf({{"loss", loss}, {"overlap", OverlapJson(overlap)}}, "gradients", blobs));
  }
  // Of an attempt whose first part is gone, or a walk that took some from a record.
  for (const auto& [tensor, blob] : blobs) job_.store.Remove(blob).IgnoreError();
  return absl::OkStatus();
}

}  // namespace gwq
