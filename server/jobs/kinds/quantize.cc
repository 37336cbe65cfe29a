#include <fmt/format.h>

#include "core/jobs/kinds/specs.h"
#include "server/jobs/contract_proto.h"
#include "server/jobs/evaluation_proto.h"
#include "server/jobs/kinds/spec_proto.h"
#include "server/jobs/recipe_proto.h"
#include "server/jobs/resource_names.h"

namespace gwq {
namespace {

constexpr int kMaxEvaluations = 32;

absl::Status CheckCalibrationBlobs(const CallerNames& names, const Recipe& recipe) {
  for (const NamedDigest& named : CalibrationBlobs(recipe.calibration)) {
    const auto digest = Digest::Parse(named.digest);
    if (!digest.ok()) return AsField(digest.status(), named.field);
    GWQ_ASSIGN_OR_RETURN(const bool have, names.HaveBlob(*digest));
    if (have) continue;
    return InvalidField(named.field,
                        "none of your datasets and models holds it; push the text or the image as a dataset first");
  }
  return absl::OkStatus();
}

// `dataset` of the field, a name, becomes its manifest's digest.
absl::Status ResolveDataset(const CallerNames& names, const std::string& field, std::string& dataset) {
  if (dataset.empty()) return absl::OkStatus();
  GWQ_ASSIGN_OR_RETURN(const CatalogueEntry found, names.Find(field, "dataset", dataset));
  dataset = found.manifest.Hex();
  return absl::OkStatus();
}

// With the datasets' manifests in place of their names.
absl::StatusOr<Recipe> ReadRecipe(const CallerNames& names, v1::Recipe proto) {
  if (proto.has_calibration()) {
    v1::Calibration& calibration = *proto.mutable_calibration();
    const std::string field = "quantize.recipe.calibration";
    GWQ_RETURN_IF_ERROR(ResolveDataset(names, field + ".dataset", *calibration.mutable_dataset()));
    for (int i = 0; i < calibration.parts_size(); ++i) {
      GWQ_RETURN_IF_ERROR(ResolveDataset(names, fmt::format("{}.parts[{}].dataset", field, i),
                                         *calibration.mutable_parts(i)->mutable_dataset()));
    }
  }
  absl::StatusOr<Recipe> recipe = RecipeFromProto(proto);
  if (!recipe.ok()) return PrefixField(recipe.status(), "quantize");
  return recipe;
}

absl::StatusOr<std::vector<EvaluationTask>> Evaluations(const CallerNames& names, const v1::QuantizeSpec& proto,
                                                        const Recipe& recipe) {
  if (proto.evaluations_size() > kMaxEvaluations) {
    return InvalidField("quantize.evaluations",
                        fmt::format("has {} entries, the limit is {}; evaluate in jobs of their own",
                                    proto.evaluations_size(), kMaxEvaluations));
  }
  std::vector<EvaluationTask> named;
  for (int i = 0; i < proto.evaluations_size(); ++i) {
    const std::string field = fmt::format("quantize.evaluations[{}]", i);
    GWQ_ASSIGN_OR_RETURN(named.emplace_back(), names.Task(field, proto.evaluations(i)));
  }
  OldTextEvaluation old = OldTextEvaluationFromProto(proto.recipe());
  if (proto.no_evaluation()) {
    if (!named.empty() || (old.given() && old.tokens != 0)) {
      return InvalidField("quantize.no_evaluation", "is true, but evaluations are given; leave one of them out");
    }
    old.tokens = 0;
  }
  auto tasks = QuantizeEvaluations(std::move(named), old, recipe.threads);
  if (!tasks.ok()) return PrefixField(tasks.status(), "quantize");
  return tasks;
}

absl::StatusOr<QuantizeJob> FromProto(const CallerNames& names, const v1::CreateJobRequest& request) {
  const v1::QuantizeSpec& proto = request.quantize();
  QuantizeJob spec;
  GWQ_ASSIGN_OR_RETURN(spec.model, IdOf("quantize.model", "models", proto.model()));
  spec.artifact_id = proto.artifact_id();
  GWQ_RETURN_IF_ERROR(CheckResourceId("quantize.artifact_id", spec.artifact_id));
  GWQ_ASSIGN_OR_RETURN(spec.recipe, ReadRecipe(names, proto.recipe()));
  GWQ_RETURN_IF_ERROR(PrefixField(CheckCalibrationBlobs(names, spec.recipe), "quantize"));
  GWQ_ASSIGN_OR_RETURN(const CatalogueEntry model, names.Find("quantize.model", "model", proto.model()));
  spec.source = model.manifest;
  GWQ_ASSIGN_OR_RETURN(spec.evaluations, Evaluations(names, proto, spec.recipe));
  spec.contract = ContractFromProto(proto.contract());
  GWQ_RETURN_IF_ERROR(CheckQualityContract(spec.contract, "quantize.contract"));
  GWQ_RETURN_IF_ERROR(CheckMeasured(spec.contract, spec.evaluations, "quantize.contract"));
  return spec;
}

void ToProto(const QuantizeJob& spec, v1::Job& out) {
  v1::QuantizeSpec& to = *out.mutable_quantize();
  to.set_model("models/" + spec.model);
  to.set_artifact_id(spec.artifact_id);
  *to.mutable_recipe() = RecipeToProto(spec.recipe);
  for (const EvaluationTask& task : spec.evaluations) *to.add_evaluations() = TaskToProto(task);
  to.set_no_evaluation(spec.evaluations.empty());
  if (!spec.contract.empty()) *to.mutable_contract() = ContractToProto(spec.contract);
}

}  // namespace

template <>
SpecTranslation TranslationOf<QuantizeJob>() {
  return Translation<QuantizeJob>(v1::CreateJobRequest::kQuantize, FromProto, ToProto);
}

}  // namespace gwq
