// Sweeps: one model and several recipes become several artifacts and their comparison.
#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "core/base/status.h"
#include "core/io/json.h"
#include "core/jobs/kinds/spec_json.h"
#include "core/jobs/kinds/specs.h"
#include "core/spec/recipe_names.h"

namespace gwq {
namespace {

using Json = nlohmann::json;

absl::StatusOr<Recipe> RecipeOfPoint(const Recipe& base, const std::string& overrides) {
  GWQ_ASSIGN_OR_RETURN(const Json patch, ParseJson("overrides", overrides));
  if (!patch.is_object()) return InvalidField("overrides", "not an object");
  Json recipe = Json::parse(RecipeJson(base));
  recipe.merge_patch(patch);
  return ParseRecipe(recipe.dump());
}

bool HasTarget(const std::string& overrides) {
  const Json json = Json::parse(overrides, nullptr, false);
  return json.is_object() && json.contains("target") && json["target"].is_object();
}

// An error of a point's plan as one of the sweep: what a point sets is its own, the rest is the recipe's.
absl::Status PointError(const absl::Status& status, const std::string& point) {
  const std::vector<FieldViolation> violations = FieldViolations(status);
  if (violations.empty()) return Annotate(status, point);
  const std::string& field = violations.front().field;
  for (const char* const own : {"target", "bits", "group_size", "method"}) {
    const std::string path = fmt::format("recipe.{}", own);
    const size_t at = field.find(path);
    if (at != std::string::npos) return InvalidField(point, violations.front().description);
  }
  constexpr std::string_view kQuantize = "quantize.";
  const std::string rest = field.starts_with(kQuantize) ? field.substr(kQuantize.size()) : field;
  return InvalidField(fmt::format("sweep.{}", rest), violations.front().description);
}

uint64_t GradientBytes(const Plan& plan) {
  uint64_t bytes = 0;
  for (const PlannedModule& module : plan.modules) {
    if (module.needs == Needs::kGradient) bytes += module.weights * sizeof(float);
  }
  return bytes;
}

}  // namespace

absl::StatusOr<std::string> SweepJob::Label(size_t index) const {
  GWQ_ASSIGN_OR_RETURN(const Recipe recipe, RecipeOfPoint(base.recipe, points[index]));
  if (recipe.target.bits > 0) return fmt::format("{}", recipe.target.bits);
  if (recipe.target.bytes > 0) return fmt::format("{}b", recipe.target.bytes);
  return fmt::format("{}-{}b-g{}", EnumText(recipe.method), recipe.bits, recipe.group_size);
}

absl::StatusOr<QuantizeJob> SweepJob::Point(size_t index) const {
  QuantizeJob job = base;
  GWQ_ASSIGN_OR_RETURN(const std::string label, Label(index));
  GWQ_ASSIGN_OR_RETURN(job.recipe, RecipeOfPoint(base.recipe, points[index]));
  job.artifact_id = fmt::format("{}-{}", base.artifact_id, label);
  return job;
}

std::string SweepJob::Field(size_t index) const {
  const auto first = std::ranges::find_if_not(points, HasTarget);
  const auto targets = static_cast<size_t>(first - points.begin());
  return index < targets ? fmt::format("sweep.targets[{}]", index) : fmt::format("sweep.points[{}]", index - targets);
}

absl::Status SweepJob::Check() const {
  if (points.empty() || points.size() > kMaxPoints) {
    return InvalidField("sweep.targets",
                        fmt::format("{} targets and points are given, not 1 to {}", points.size(), kMaxPoints));
  }
  if (base.recipe.target.given()) {
    return InvalidField("sweep.recipe.target", "is given; each target of a sweep stands in sweep.targets");
  }
  std::set<std::string> names;
  for (size_t i = 0; i < points.size(); ++i) {
    const auto point = Point(i);
    if (!point.ok()) return PointError(point.status(), Field(i));
    const absl::Status name = CheckResourceId("artifact", point->artifact_id);
    if (!name.ok()) {
      return InvalidField("sweep.name", fmt::format("makes an artifact '{}', which is no name of at most 63 characters "
                                                    "[a-z0-9._-]; take a shorter one",
                                                    point->artifact_id));
    }
    if (!names.insert(point->artifact_id).second) {
      return InvalidField(Field(i), fmt::format("makes '{}' again; leave it out", point->artifact_id));
    }
  }
  return absl::OkStatus();
}

std::string SweepJob::Json() const {
  nlohmann::json out = {{"base", nlohmann::json::parse(base.Json())}, {"points", nlohmann::json::array()}};
  for (const std::string& point : points) out["points"].push_back(nlohmann::json::parse(point, nullptr, false));
  return CanonicalJson(out);
}

absl::StatusOr<SweepJob> SweepJob::Parse(std::string_view json) {
  GWQ_ASSIGN_OR_RETURN(const nlohmann::json spec, ParseSpecObject(json));
  SweepJob job;
  if (!spec.contains("base")) return InvalidField("spec.base", "missing");
  GWQ_ASSIGN_OR_RETURN(job.base, QuantizeJob::Parse(spec["base"].dump()));
  if (!spec.contains("points") || !spec["points"].is_array()) return InvalidField("spec.points", "not a list");
  for (const nlohmann::json& point : spec["points"]) job.points.push_back(CanonicalJson(point));
  return job;
}

JobProduct SweepJob::Product() const { return {"evaluation", base.artifact_id}; }

std::vector<JobProduct> SweepJob::Parts() const {
  std::vector<JobProduct> out;
  for (size_t i = 0; i < points.size(); ++i) {
    // One that cannot be was refused when the job was created.
    if (const auto point = Point(i); point.ok()) out.push_back(point->Product());
  }
  return out;
}

JobInputs SweepJob::Inputs() const { return base.Inputs(); }

absl::StatusOr<Plan> SweepJob::MakePlan(BlobStore& store, PassCache& passes) const {
  Plan out;
  uint64_t gradients = 0;
  for (size_t i = 0; i < points.size(); ++i) {
    const auto job = Point(i);
    if (!job.ok()) return PointError(job.status(), Field(i));
    auto plan = job->MakePlan(store, passes);
    if (!plan.ok()) return PointError(plan.status(), Field(i));
    GWQ_RETURN_IF_ERROR(PlanDecodeSpeed(store, base.source, *plan));
    out.peak_memory_bytes = std::max(out.peak_memory_bytes, plan->peak_memory_bytes);
    out.scratch_disk_bytes = std::max(out.scratch_disk_bytes, plan->scratch_disk_bytes);
    out.quantized_bytes += plan->quantized_bytes;
    out.total_bytes += plan->total_bytes;
    gradients = std::max(gradients, GradientBytes(*plan));
  }
  // A pass that the service does not keep stays with the job; its metrics are not larger than a point's states.
  out.scratch_disk_bytes = 2 * out.scratch_disk_bytes + gradients;
  return out;
}

SweepJob SweepJob::Example() {
  return {QuantizeJob::Example(),
          {R"({"target":{"bits":3.25}})", R"({"bits":3,"group_size":64,"method":"gptq","target":null})"}};
}

}  // namespace gwq
