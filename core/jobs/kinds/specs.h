// The specs of all kinds of jobs: what each is asked to do, as it is stored in Job::spec_json (canonical JSON). A spec
// names manifests by digest, so that a job's input cannot change between its creation and its last attempt.
// docs/how-to/add-a-job-kind.md says how a kind is added.
#pragma once

#include <concepts>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/sha256.h"
#include "core/jobs/records.h"
#include "core/quant/plan.h"
#include "core/spec/evaluation_task.h"
#include "core/spec/export_options.h"
#include "core/spec/quality_contract.h"
#include "core/spec/recipe.h"
#include "core/storage/blob_store.h"
#include "core/storage/pass_cache.h"

namespace gwq {

// What each kind says of itself; its file in this folder defines it.
template <class Spec>
concept JobSpec = requires(const Spec& spec, BlobStore& store, PassCache& passes, std::string_view json) {
  { Spec::kKind } -> std::convertible_to<std::string_view>;
  // Canonical JSON of every field, and its reading: INVALID_ARGUMENT names the missing or malformed field.
  { spec.Json() } -> std::same_as<std::string>;
  { Spec::Parse(json) } -> std::same_as<absl::StatusOr<Spec>>;
  // The entry that the job makes.
  { spec.Product() } -> std::same_as<JobProduct>;
  // Every digest in the spec: garbage collection takes all others.
  { spec.Inputs() } -> std::same_as<JobInputs>;
  // The worker's peak memory, and for a quantization what becomes of each module. INVALID_ARGUMENT and friends if the
  // spec cannot be run. `passes` of the principal tell what a target's forms cost, if an earlier job found that. May
  // read blobs: it runs on an executor.
  { spec.MakePlan(store, passes) } -> std::same_as<absl::StatusOr<Plan>>;
  // A spec with every field set that can name a digest, each by an ExampleManifest or ExampleBlob of its own: the tests
  // of all kinds run on it.
  { Spec::Example() } -> std::same_as<Spec>;
};

struct ImportJob {
  static constexpr std::string_view kKind = "import";
  std::string upload;    // id
  std::string model_id;  // of the model or dataset to be
  Digest manifest;       // the uploaded files as declared, a stored blob
  bool dataset = false;

  [[nodiscard]] std::string Json() const;
  [[nodiscard]] static absl::StatusOr<ImportJob> Parse(std::string_view json);
  [[nodiscard]] JobProduct Product() const;
  [[nodiscard]] JobInputs Inputs() const;
  [[nodiscard]] absl::StatusOr<Plan> MakePlan(BlobStore& store, PassCache& passes) const;
  [[nodiscard]] static ImportJob Example();
};

struct QuantizeJob {
  static constexpr std::string_view kKind = "quantize";
  std::string model;  // id
  std::string artifact_id;
  Digest source;  // the model's manifest when the job was created
  Recipe recipe;
  // Run on the model and on the artifact, for a table of the report.
  std::vector<EvaluationTask> evaluations = {};
  // What the artifact must reach to get its name.
  QualityContract contract = {};

  [[nodiscard]] std::string Json() const;
  [[nodiscard]] static absl::StatusOr<QuantizeJob> Parse(std::string_view json);
  [[nodiscard]] JobProduct Product() const;
  [[nodiscard]] JobInputs Inputs() const;
  [[nodiscard]] absl::StatusOr<Plan> MakePlan(BlobStore& store, PassCache& passes) const;
  [[nodiscard]] static QuantizeJob Example();
};

struct ExportJob {
  static constexpr std::string_view kKind = "export";
  std::string artifact;  // id
  std::string model_id;  // of the model to be
  ExportOptions options;
  Digest source;  // the artifact's manifest

  [[nodiscard]] std::string Json() const;
  [[nodiscard]] static absl::StatusOr<ExportJob> Parse(std::string_view json);
  [[nodiscard]] JobProduct Product() const;
  [[nodiscard]] JobInputs Inputs() const;
  [[nodiscard]] absl::StatusOr<Plan> MakePlan(BlobStore& store, PassCache& passes) const;
  [[nodiscard]] static ExportJob Example();
};

struct EvaluateJob {
  static constexpr std::string_view kKind = "evaluate";
  std::string target;  // "models/{id}" or "artifacts/{id}"
  std::string evaluation_id;
  Digest source;          // the target's manifest
  std::string reference;  // name of the reference; empty: none
  std::optional<Digest> reference_source;
  EvaluationTask task;

  [[nodiscard]] std::string Json() const;
  [[nodiscard]] static absl::StatusOr<EvaluateJob> Parse(std::string_view json);
  [[nodiscard]] JobProduct Product() const;
  [[nodiscard]] JobInputs Inputs() const;
  [[nodiscard]] absl::StatusOr<Plan> MakePlan(BlobStore& store, PassCache& passes) const;
  [[nodiscard]] static EvaluateJob Example();
};

// Several artifacts of one model, each of a recipe that differs from the others in a few fields, and their comparison.
struct SweepJob {
  static constexpr std::string_view kKind = "sweep";
  static constexpr size_t kMaxPoints = 32;
  // What all have in common; its artifact_id is the sweep's name.
  QuantizeJob base;
  // Of each the fields that its recipe sets otherwise: canonical JSON, {"target":{"bits":3.25}} or
  // {"bits":3,"group_size":64,"method":"gptq","target":null}. Points with a target come first.
  std::vector<std::string> points;

  // Of its point `index`: "3.25", "90000000b" or "gptq-3b-g64". INVALID_ARGUMENT if its recipe cannot be.
  [[nodiscard]] absl::StatusOr<std::string> Label(size_t index) const;
  // As a quantization of its own, whose artifact is "{name}-{label}".
  [[nodiscard]] absl::StatusOr<QuantizeJob> Point(size_t index) const;
  // "sweep.targets[1]" or "sweep.points[0]".
  [[nodiscard]] std::string Field(size_t index) const;
  // INVALID_ARGUMENT at "sweep" or the field of a point: none or too many, a recipe that cannot be, a name twice.
  [[nodiscard]] absl::Status Check() const;

  [[nodiscard]] std::string Json() const;
  [[nodiscard]] static absl::StatusOr<SweepJob> Parse(std::string_view json);
  [[nodiscard]] JobProduct Product() const;
  [[nodiscard]] std::vector<JobProduct> Parts() const;
  [[nodiscard]] JobInputs Inputs() const;
  // The peak memory of the largest point, and what all points together need of the disk.
  [[nodiscard]] absl::StatusOr<Plan> MakePlan(BlobStore& store, PassCache& passes) const;
  [[nodiscard]] static SweepJob Example();
};

template <JobSpec... Specs>
struct JobSpecList {};
// All kinds. The tables of core/jobs/kinds, core/jobs/runners and server/jobs/kinds have a row for each: a kind that
// one of them lacks does not link.
using JobSpecs = JobSpecList<ImportJob, QuantizeJob, ExportJob, EvaluateJob, SweepJob>;

// `row_of(std::type_identity<Spec>())` of each kind, in the list's order.
template <JobSpec... Specs, class RowOf>
[[nodiscard]] auto RowsOf(JobSpecList<Specs...>, const RowOf& row_of) {
  return std::vector{row_of(std::type_identity<Specs>())...};
}

// The digests that examples name.
[[nodiscard]] inline Digest ExampleManifest(int index) { return Sha256Of("manifest " + std::to_string(index)); }
[[nodiscard]] inline Digest ExampleBlob(int index) { return Sha256Of("blob " + std::to_string(index)); }

}  // namespace gwq
