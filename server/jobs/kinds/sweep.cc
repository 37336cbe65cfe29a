#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "core/io/json.h"
#include "core/jobs/kinds/specs.h"
#include "core/spec/recipe_names.h"
#include "server/jobs/kinds/spec_proto.h"
#include "server/jobs/recipe_proto.h"
#include "server/jobs/wire_enums.h"

namespace gwq {
namespace {

// An error at "quantize.<field>" as one at "sweep.<field>".
absl::Status AsSweep(const absl::Status& status) {
  constexpr std::string_view kFrom = "quantize.";
  const auto violations = FieldViolations(status);
  if (!violations.empty() && violations.front().field.starts_with(kFrom)) {
    return InvalidField("sweep." + violations.front().field.substr(kFrom.size()), violations.front().description);
  }
  const std::string_view message = MessageOf(status);
  if (!message.starts_with(kFrom)) return status;
  return absl::Status(status.code(), fmt::format("sweep.{}", message.substr(kFrom.size())));
}

// What all points have in common is read as a quantization is.
absl::StatusOr<QuantizeJob> BaseOf(const CallerNames& names, const v1::SweepSpec& proto) {
  v1::CreateJobRequest request;
  v1::QuantizeSpec& base = *request.mutable_quantize();
  base.set_model(proto.model());
  base.set_artifact_id(proto.name());
  *base.mutable_recipe() = proto.recipe();
  *base.mutable_evaluations() = proto.evaluations();
  base.set_no_evaluation(proto.no_evaluation());
  const auto json = TranslationOf<QuantizeJob>().from_proto(names, request);
  if (!json.ok()) return AsSweep(json.status());
  return QuantizeJob::Parse(*json);
}

std::string OverridesOf(const v1::Target& target) {
  nlohmann::json set = nlohmann::json::object();
  if (target.has_bits()) set["bits"] = target.bits();
  if (target.has_bytes()) set["bytes"] = target.bytes();
  if (target.has_samples()) set["samples"] = target.samples();
  if (target.has_tie_fused()) set["tie_fused"] = target.tie_fused();
  if (target.has_outliers()) set["outliers"] = target.outliers();
  return CanonicalJson({{"target", set}});
}

absl::StatusOr<std::string> OverridesOf(const v1::RecipePoint& point, const std::string& field) {
  nlohmann::json out = {{"target", nullptr}};
  if (point.method() != v1::METHOD_UNSPECIFIED) {
    Method method = Method::kGwq;
    GWQ_RETURN_IF_ERROR(FromWire(field + ".method", point.method(), v1::Method_MAX, method));
    out["method"] = std::string(EnumText(method));
  }
  if (point.has_bits()) out["bits"] = point.bits();
  if (point.has_group_size()) out["group_size"] = point.group_size();
  return CanonicalJson(out);
}

absl::StatusOr<SweepJob> FromProto(const CallerNames& names, const v1::CreateJobRequest& request) {
  const v1::SweepSpec& proto = request.sweep();
  SweepJob spec;
  GWQ_ASSIGN_OR_RETURN(spec.base, BaseOf(names, proto));
  for (int i = 0; i < proto.targets_size(); ++i) {
    if (proto.targets(i).bits() == 0 && proto.targets(i).bytes() == 0) {
      return InvalidField(fmt::format("sweep.targets[{}]", i), "gives neither bits nor bytes; give one of them");
    }
    spec.points.push_back(OverridesOf(proto.targets(i)));
  }
  for (int i = 0; i < proto.points_size(); ++i) {
    GWQ_ASSIGN_OR_RETURN(spec.points.emplace_back(), OverridesOf(proto.points(i), fmt::format("sweep.points[{}]", i)));
  }
  GWQ_RETURN_IF_ERROR(spec.Check());
  return spec;
}

void ToProto(const SweepJob& spec, v1::Job& out) {
  v1::SweepSpec& to = *out.mutable_sweep();
  v1::Job base;
  if (!SpecToProto(QuantizeJob::kKind, spec.base.Json(), base).ok()) return;
  to.set_model(base.quantize().model());
  to.set_name(base.quantize().artifact_id());
  *to.mutable_recipe() = base.quantize().recipe();
  *to.mutable_evaluations() = base.quantize().evaluations();
  to.set_no_evaluation(base.quantize().no_evaluation());
  for (size_t i = 0; i < spec.points.size(); ++i) {
    const auto point = spec.Point(i);
    if (!point.ok()) continue;
    const v1::Recipe recipe = RecipeToProto(point->recipe);
    if (point->recipe.target.given()) {
      *to.add_targets() = recipe.target();
      continue;
    }
    v1::RecipePoint& one = *to.add_points();
    one.set_method(recipe.method());
    one.set_bits(recipe.bits());
    one.set_group_size(recipe.group_size());
  }
}

}  // namespace

template <>
SpecTranslation TranslationOf<SweepJob>() {
  return Translation<SweepJob>(v1::CreateJobRequest::kSweep, FromProto, ToProto);
}

}  // namespace gwq
