// A sweep: its points one after the other, with the gradient passes of the first for all.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "core/base/status.h"
#include "core/evaluation/decode_speed.h"
#include "core/io/json.h"
#include "core/jobs/job_run.h"
#include "core/jobs/kinds/specs.h"
#include "core/manifest/manifest.h"
#include "core/quant/job/quantize.h"
#include "core/quant/sweep/sweep_report.h"

namespace gwq {
namespace {

using Json = nlohmann::json;

constexpr int kVersion = 1;
constexpr JsonLimits kStateLimits{.max_bytes = size_t{32} << 20};

// What a sweep has done so far, and the passes that only it keeps.
struct SweepState {
  std::vector<SweepRow> rows;
  PassCounts passes;
  // Records of passes that the service has no room for, by what they found and who did.
  std::map<std::pair<Digest, std::string>, Checkpoint> kept;
  std::string point;                // the label of the one that is under way; empty: none
  std::optional<Checkpoint> inner;  // its own checkpoint
};

Json DigestsJson(const std::vector<Digest>& digests) {
  Json out = Json::array();
  for (const Digest& digest : digests) out.push_back(digest.Hex());
  return out;
}

absl::StatusOr<std::vector<Digest>> ParseDigests(const Json& list) {
  std::vector<Digest> out;
  for (const Json& one : list) {
    if (!one.is_string()) return absl::DataLossError("the sweep's checkpoint names no blob");
    GWQ_ASSIGN_OR_RETURN(out.emplace_back(), Digest::Parse(one.get<std::string>()));
  }
  return out;
}

Checkpoint CheckpointOf(const SweepState& state) {
  Json json = {{"version", kVersion},
               {"rows", Json::array()},
               {"passes", {state.passes.run, state.passes.reused}},
               {"kept", Json::array()},
               {"point", state.point}};
  Checkpoint out;
  for (const SweepRow& row : state.rows) json["rows"].push_back(SweepRowJson(row));
  for (const auto& [key, record] : state.kept) {
    json["kept"].push_back({{"what", key.first.Hex()},
                            {"producer", key.second},
                            {"state", record.state},
                            {"scratch", DigestsJson(record.scratch)}});
    out.scratch.insert(out.scratch.end(), record.scratch.begin(), record.scratch.end());
  }
  if (state.inner) {
    json["inner"] = {{"state", state.inner->state},
                     {"blobs", DigestsJson(state.inner->blobs)},
                     {"scratch", DigestsJson(state.inner->scratch)}};
    out.blobs = state.inner->blobs;
    out.scratch.insert(out.scratch.end(), state.inner->scratch.begin(), state.inner->scratch.end());
  }
  out.state = CanonicalJson(json);
  return out;
}

bool Has(const Json& object, const char* key, bool (Json::*test)() const noexcept) {
  return object.is_object() && object.contains(key) && (object[key].*test)();
}

absl::StatusOr<Checkpoint> ParseRecord(const Json& json, bool with_blobs) {
  if (!Has(json, "state", &Json::is_string) || !Has(json, "scratch", &Json::is_array) ||
      (with_blobs && !Has(json, "blobs", &Json::is_array))) {
    return absl::DataLossError("the sweep's checkpoint has a malformed record");
  }
  Checkpoint out{json["state"], {}, {}};
  GWQ_ASSIGN_OR_RETURN(out.scratch, ParseDigests(json["scratch"]));
  if (with_blobs) {
    GWQ_ASSIGN_OR_RETURN(out.blobs, ParseDigests(json["blobs"]));
  }
  return out;
}

// DATA_LOSS if it is no checkpoint of a sweep.
absl::StatusOr<SweepState> ParseState(const Checkpoint& checkpoint) {
  const auto json = ParseJson("checkpoint", checkpoint.state, kStateLimits);
  if (!json.ok() || !Has(*json, "version", &Json::is_number_integer) || (*json)["version"] != kVersion ||
      !Has(*json, "rows", &Json::is_array) || !Has(*json, "kept", &Json::is_array) ||
      !Has(*json, "passes", &Json::is_array) || (*json)["passes"].size() != 2 ||
      !(*json)["passes"][0].is_number_integer() || !(*json)["passes"][1].is_number_integer() ||
      !Has(*json, "point", &Json::is_string)) {
    return absl::DataLossError("the sweep's checkpoint is malformed");
  }
  SweepState state;
  for (const Json& row : (*json)["rows"]) {
    GWQ_ASSIGN_OR_RETURN(state.rows.emplace_back(), ParseSweepRow(row));
  }
  state.passes = {(*json)["passes"][0].get<int>(), (*json)["passes"][1].get<int>()};
  for (const Json& kept : (*json)["kept"]) {
    GWQ_ASSIGN_OR_RETURN(const Checkpoint record, ParseRecord(kept, false));
    if (!Has(kept, "what", &Json::is_string) || !Has(kept, "producer", &Json::is_string)) {
      return absl::DataLossError("the sweep's checkpoint has a pass without a key");
    }
    GWQ_ASSIGN_OR_RETURN(const Digest what, Digest::Parse(kept["what"].get<std::string>()));
    state.kept[{what, kept["producer"].get<std::string>()}] = record;
  }
  state.point = (*json)["point"];
  if (json->contains("inner")) {
    GWQ_ASSIGN_OR_RETURN(state.inner, ParseRecord((*json)["inner"], true));
  }
  return state;
}

// The checkpoint of one point, within the sweep's.
class PointSlot final : public CheckpointSlot {
 public:
  PointSlot(CheckpointSlot& slot, SweepState& state) : slot_(slot), state_(state) {}
  [[nodiscard]] bool keeps() const override { return slot_.keeps(); }
  absl::StatusOr<std::optional<Checkpoint>> Load() override { return state_.inner; }
  absl::Status Save(const Checkpoint& checkpoint) override {
    state_.inner = checkpoint;
    return slot_.Save(CheckpointOf(state_));
  }

 private:
  CheckpointSlot& slot_;
  SweepState& state_;
};

// The service's passes, and those that it has no room for: these stay with the sweep and go with it.
class SweepPasses final : public PassCache {
 public:
  SweepPasses(BlobStore& store, PassCache& service, SweepState& state)
      : store_(store), service_(service), state_(state) {}
  // The sweep's plan has room on the disk for what a pass finds.
  [[nodiscard]] uint64_t room() const override { return UINT64_MAX; }
  absl::StatusOr<std::optional<Checkpoint>> Load(const PassKey& key) override {
    const auto own = state_.kept.find({key.what, key.producer});
    if (own != state_.kept.end()) return own->second;
    return service_.Load(key);
  }
  absl::Status Save(const PassKey& key, const Checkpoint& found) override {
    uint64_t bytes = found.state.size();
    for (const Digest& blob : found.scratch) {
      GWQ_ASSIGN_OR_RETURN(const BlobInfo info, store_.Stat(blob));
      bytes += info.size;
    }
    // A little more is stored than the blobs.
    if (bytes + (uint64_t{1} << 20) <= service_.room()) return service_.Save(key, found);
    state_.kept[{key.what, key.producer}] = found;
    return absl::OkStatus();
  }

 private:
  BlobStore& store_;
  PassCache& service_;
  SweepState& state_;
};

// Tells which point a phase belongs to.
class PointProgress final : public Progress {
 public:
  PointProgress(Progress& inner, std::string point) : inner_(inner), point_(std::move(point)) {}
  void Step(std::string_view phase, int64_t done, int64_t total) override {
    inner_.Step(fmt::format("{}: {}", point_, phase), done, total);
  }
  void Log(std::string_view line) override { inner_.Log(fmt::format("{}: {}", point_, line)); }
  absl::Status Check() override { return inner_.Check(); }

 private:
  Progress& inner_;
  const std::string point_;
};

class Sweep {
 public:
  Sweep(const SweepJob& job, const JobContext& context) : job_(job), context_(context) {}

  absl::StatusOr<JobOutput> Run() {
    GWQ_RETURN_IF_ERROR(job_.Check());
    GWQ_RETURN_IF_ERROR(Restore());
    for (size_t i = 0; i < job_.points.size(); ++i) {
      GWQ_RETURN_IF_ERROR(context_.progress.Check());
      GWQ_ASSIGN_OR_RETURN(const std::string label, job_.Label(i));
      if (std::ranges::find(state_.rows, label, &SweepRow::label) != state_.rows.end()) continue;
      GWQ_RETURN_IF_ERROR(Make(i, label));
    }
    return Finish();
  }

 private:
  absl::Status Restore() {
    const auto checkpoint = context_.checkpoints.Load();
    if (checkpoint.ok() && !checkpoint->has_value()) return absl::OkStatus();
    auto state = checkpoint.ok() ? ParseState(**checkpoint) : checkpoint.status();
    if (absl::IsDataLoss(state.status())) {
      context_.progress.Log(fmt::format("starting again: {}", MessageOf(state.status())));
      return absl::OkStatus();
    }
    GWQ_RETURN_IF_ERROR(state.status());
    state_ = *std::move(state);
    context_.progress.Log(fmt::format("{} of {} artifacts are made", state_.rows.size(), job_.points.size()));
    return absl::OkStatus();
  }

  // Published before the checkpoint tells so: a crash in between makes the artifact again, with the same digest.
  absl::Status Make(size_t index, const std::string& label) {
    GWQ_ASSIGN_OR_RETURN(const QuantizeJob point, job_.Point(index));
    if (state_.point != label) state_.inner.reset();
    state_.point = label;
    PointProgress progress(context_.progress, fmt::format("{} ({} of {})", label, index + 1, job_.points.size()));
    PointSlot slot(context_.checkpoints, state_);
    SweepPasses passes(context_.store, context_.passes, state_);
    GWQ_ASSIGN_OR_RETURN(QuantizeResult made, QuantizeModel(context_.store, point.source, point.recipe, progress,
                                                            point.evaluations, &slot, &passes));
    GWQ_ASSIGN_OR_RETURN(JobOutput part, OutputOf(context_.store, made.artifact));
    part.report_json = std::move(made.report_json);
    part.report_markdown = std::move(made.report_markdown);
    GWQ_RETURN_IF_ERROR(context_.publish(point.artifact_id, part));
    GWQ_ASSIGN_OR_RETURN(SweepRow row, SweepRowOf(label, point.artifact_id, part.report_json));
    GWQ_ASSIGN_OR_RETURN(row.tokens_per_second,
                         MeasureDecodeSpeed(context_.store, made.artifact, point.recipe.threads, progress));
    state_.rows.push_back(std::move(row));
    architecture_ = part.architecture;
    state_.passes.run += made.passes.run;
    state_.passes.reused += made.passes.reused;
    state_.point.clear();
    state_.inner.reset();
    return context_.checkpoints.Save(CheckpointOf(state_));
  }

  absl::StatusOr<JobOutput> Finish() {
    SweepReport report{job_.base.artifact_id, job_.base.model, job_.base.source, architecture_, state_.rows};
    if (architecture_.empty()) {
      GWQ_ASSIGN_OR_RETURN(const JobOutput model, OutputOf(context_.store, job_.base.source));
      report.architecture = model.architecture;
    }
    FinishSweep(report);
    const std::string json = SweepJson(report), markdown = SweepMarkdown(report);
    Manifest manifest;
    manifest.kind = "evaluation";
    manifest.source = report.source;
    const std::string html = SweepHtml(report);
    for (const auto& [path, text] : {std::pair<const char*, const std::string&>("sweep.html", html),
                                     {"sweep.json", json},
                                     {"sweep.md", markdown}}) {
      ManifestFile& file = manifest.files.emplace_back(ManifestFile{path, text.size(), {}});
      GWQ_ASSIGN_OR_RETURN(file.digest, PutBlob(context_.store, std::as_bytes(std::span(text))));
    }
    const std::string text = ManifestJson(manifest);
    GWQ_ASSIGN_OR_RETURN(const Digest digest, PutBlob(context_.store, std::as_bytes(std::span(text))));
    GWQ_ASSIGN_OR_RETURN(JobOutput out, OutputOf(context_.store, digest));
    out.architecture = report.architecture;
    out.report_json = json;
    out.report_markdown = markdown;
    out.passes = state_.passes;
    return out;
  }

  const SweepJob& job_;
  const JobContext& context_;
  SweepState state_;
  std::string architecture_;
};

}  // namespace

template <>
absl::StatusOr<JobOutput> RunJob(const SweepJob& job, const JobContext& context) {
  return Sweep(job, context).Run();
}

}  // namespace gwq
