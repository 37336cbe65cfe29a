#include "server/jobs/recipe_proto.h"

#include <fmt/format.h>

#include <iterator>
#include <optional>

#include "core/base/status.h"
#include "core/models/model.h"
#include "core/spec/recipe_names.h"
#include "server/jobs/wire_enums.h"

namespace gwq {
namespace {

constexpr int kMethods = std::size(kMethodNames), kSelects = std::size(kSelectNames), kLosses = std::size(kLossNames),
              kSources = std::size(kCalibrationSourceNames), kEfforts = std::size(kEffortNames);

absl::Status CalibrationFromProto(const v1::Calibration& proto, Calibration& out) {
  GWQ_RETURN_IF_ERROR(FromWire("recipe.calibration.source", proto.source(), kSources, out.source));
  out.text = proto.text();
  for (const v1::ChatTurn& turn : proto.messages()) out.messages.push_back({turn.role(), turn.content()});
  out.token_ids.assign(proto.token_ids().begin(), proto.token_ids().end());
  out.blob = proto.blob();
  out.question = proto.question();
  out.answer = proto.answer();
  if (proto.has_max_tokens()) out.max_tokens = proto.max_tokens();
  if (proto.has_samples()) out.samples = proto.samples();
  out.dataset = proto.dataset();
  for (const v1::CalibrationPart& part : proto.parts()) {
    const std::string field = fmt::format("recipe.calibration.parts[{}].source", out.parts.size());
    CalibrationPart& to = out.parts.emplace_back();
    GWQ_RETURN_IF_ERROR(FromWire(field, part.source(), kSources, to.source));
    to.text = part.text();
    to.blob = part.blob();
    to.dataset = part.dataset();
    if (part.has_weight()) to.weight = part.weight();
  }
  return absl::OkStatus();
}

// The fields as they stood one version ago.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
absl::Status OldFieldsFromProto(const v1::Recipe& proto, GwqOptions& out) {
  GWQ_RETURN_IF_ERROR(FromWire("recipe.select", proto.select(), kSelects, out.select));
  GWQ_RETURN_IF_ERROR(FromWire("recipe.loss", proto.loss(), kLosses, out.loss));
  if (proto.has_outlier_ratio()) out.outlier_ratio = proto.outlier_ratio();
  return absl::OkStatus();
}
#pragma GCC diagnostic pop

absl::Status GwqFromProto(const v1::GwqOptions& proto, GwqOptions& out) {
  GWQ_RETURN_IF_ERROR(FromWire("recipe.gwq.select", proto.select(), kSelects, out.select));
  GWQ_RETURN_IF_ERROR(FromWire("recipe.gwq.loss", proto.loss(), kLosses, out.loss));
  if (proto.has_outlier_ratio()) out.outlier_ratio = proto.outlier_ratio();
  return absl::OkStatus();
}

void GptqFromProto(const v1::GptqOptions& proto, GptqOptions& out) {
  if (proto.has_damping()) out.damping = proto.damping();
  if (proto.has_range_search()) out.range_search = proto.range_search();
  if (proto.has_act_order()) out.act_order = proto.act_order();
}

void SpqrFromProto(const v1::SpqrOptions& proto, SpqrOptions& out) {
  if (proto.has_outlier_ratio()) out.outlier_ratio = proto.outlier_ratio();
  if (proto.has_damping()) out.damping = proto.damping();
  if (proto.has_range_search()) out.range_search = proto.range_search();
}

void TunedFromProto(const v1::TunedOptions& proto, TunedOptions& out) {
  if (proto.has_outlier_ratio()) out.outlier_ratio = proto.outlier_ratio();
  if (proto.has_metric_samples()) out.metric_samples = proto.metric_samples();
  if (proto.has_block_steps()) out.block_steps = proto.block_steps();
  if (proto.has_model_steps()) out.model_steps = proto.model_steps();
  if (proto.has_text_share()) out.text_share = proto.text_share();
}

void TargetFromProto(const v1::Target& proto, Target& out) {
  if (proto.has_bits()) out.bits = proto.bits();
  if (proto.has_bytes()) out.bytes = proto.bytes();
  if (proto.has_samples()) out.samples = proto.samples();
  if (proto.has_tie_fused()) out.tie_fused = proto.tie_fused();
  if (proto.has_outliers()) out.outliers = proto.outliers();
}

void OptionsToProto(const Recipe& recipe, v1::Recipe& out) {
  out.mutable_target()->set_bits(recipe.target.bits);
  out.mutable_target()->set_bytes(recipe.target.bytes);
  out.mutable_target()->set_samples(recipe.target.samples);
  out.mutable_target()->set_tie_fused(recipe.target.tie_fused);
  out.mutable_target()->set_outliers(recipe.target.outliers);
  out.mutable_gwq()->set_outlier_ratio(recipe.gwq.outlier_ratio);
  out.mutable_gwq()->set_select(ToWire<v1::Select>(recipe.gwq.select));
  out.mutable_gwq()->set_loss(ToWire<v1::Loss>(recipe.gwq.loss));
  out.mutable_gptq()->set_damping(recipe.gptq.damping);
  out.mutable_gptq()->set_range_search(recipe.gptq.range_search);
  out.mutable_gptq()->set_act_order(recipe.gptq.act_order);
  out.mutable_spqr()->set_outlier_ratio(recipe.spqr.outlier_ratio);
  out.mutable_spqr()->set_damping(recipe.spqr.damping);
  out.mutable_spqr()->set_range_search(recipe.spqr.range_search);
  out.mutable_tuned()->set_outlier_ratio(recipe.tuned.outlier_ratio);
  out.mutable_tuned()->set_metric_samples(recipe.tuned.metric_samples);
  out.mutable_tuned()->set_block_steps(recipe.tuned.block_steps);
  out.mutable_tuned()->set_model_steps(recipe.tuned.model_steps);
  out.mutable_tuned()->set_text_share(recipe.tuned.text_share);
}

void CalibrationToProto(const Calibration& from, v1::Calibration& out) {
  out.set_source(ToWire<v1::Calibration::Source>(from.source));
  out.set_text(from.text);
  for (const ChatTurn& turn : from.messages) {
    v1::ChatTurn& to = *out.add_messages();
    to.set_role(turn.role);
    to.set_content(turn.content);
  }
  out.mutable_token_ids()->Add(from.token_ids.begin(), from.token_ids.end());
  out.set_blob(from.blob);
  out.set_question(from.question);
  out.set_answer(from.answer);
  out.set_max_tokens(from.max_tokens);
  out.set_samples(from.samples);
  out.set_dataset(from.dataset);
  for (const CalibrationPart& part : from.parts) {
    v1::CalibrationPart& to = *out.add_parts();
    to.set_source(ToWire<v1::Calibration::Source>(part.source));
    to.set_text(part.text);
    to.set_blob(part.blob);
    to.set_dataset(part.dataset);
    to.set_weight(part.weight);
  }
}

absl::StatusOr<RecipeRule> RuleFromProto(const v1::RecipeRule& proto, int index) {
  RecipeRule rule{.pattern = proto.pattern(), .part = proto.part(), .kind = proto.kind()};
  if (proto.method() != 0) {
    GWQ_RETURN_IF_ERROR(
        FromWire(fmt::format("recipe.rules[{}].method", index), proto.method(), kMethods, rule.method.emplace()));
  }
  if (proto.has_bits()) rule.bits = proto.bits();
  if (proto.has_group_size()) rule.group_size = proto.group_size();
  if (proto.has_outlier_ratio()) rule.outlier_ratio = proto.outlier_ratio();
  return rule;
}

}  // namespace

absl::StatusOr<Recipe> RecipeFromProto(const v1::Recipe& proto) {
  Effort effort = Effort::kNormal;
  GWQ_RETURN_IF_ERROR(FromWire("recipe.effort", proto.effort(), kEfforts, effort));
  Method method = Method::kGwq;
  GWQ_RETURN_IF_ERROR(FromWire("recipe.method", proto.method(), kMethods, method));
  Recipe out =
      RecipeOf(method, effort, proto.has_format_version() ? std::optional(proto.format_version()) : std::nullopt);
  GWQ_RETURN_IF_ERROR(OldFieldsFromProto(proto, out.gwq));
  GWQ_RETURN_IF_ERROR(GwqFromProto(proto.gwq(), out.gwq));
  GptqFromProto(proto.gptq(), out.gptq);
  SpqrFromProto(proto.spqr(), out.spqr);
  TunedFromProto(proto.tuned(), out.tuned);
  TargetFromProto(proto.target(), out.target);
  if (proto.has_bits()) out.bits = proto.bits();
  if (proto.has_group_size()) out.group_size = proto.group_size();
  if (proto.has_scale_bits()) out.scale_bits = proto.scale_bits();
  if (proto.has_head_bits()) out.head_bits = proto.head_bits();
  if (proto.has_embedding_bits()) out.embedding_bits = proto.embedding_bits();
  if (proto.has_threads()) out.threads = proto.threads();
  if (proto.has_seed()) out.seed = proto.seed();
  GWQ_RETURN_IF_ERROR(CalibrationFromProto(proto.calibration(), out.calibration));
  for (const v1::RecipeRule& rule : proto.rules()) {
    GWQ_ASSIGN_OR_RETURN(RecipeRule one, RuleFromProto(rule, static_cast<int>(out.rules.size())));
    out.rules.push_back(std::move(one));
  }
  GWQ_RETURN_IF_ERROR(CheckRecipe(out));
  return out;
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
OldTextEvaluation OldTextEvaluationFromProto(const v1::Recipe& proto) {
  OldTextEvaluation old{.text = proto.evaluation_text()};
  if (proto.has_evaluation_tokens()) old.tokens = proto.evaluation_tokens();
  if (proto.has_evaluation_window()) old.window = proto.evaluation_window();
  return old;
}
#pragma GCC diagnostic pop

v1::Recipe RecipeToProto(const Recipe& recipe) {
  v1::Recipe out;
  out.set_method(ToWire<v1::Method>(recipe.method));
  out.set_effort(ToWire<v1::Effort>(recipe.effort));
  out.set_bits(recipe.bits);
  out.set_group_size(recipe.group_size);
  out.set_format_version(recipe.format_version);
  out.set_scale_bits(recipe.scale_bits);
  out.set_head_bits(recipe.head_bits);
  out.set_embedding_bits(recipe.embedding_bits);
  OptionsToProto(recipe, out);
  out.set_threads(recipe.threads);
  out.set_seed(recipe.seed);
  CalibrationToProto(recipe.calibration, *out.mutable_calibration());
  for (const RecipeRule& rule : recipe.rules) {
    v1::RecipeRule& to = *out.add_rules();
    to.set_pattern(rule.pattern);
    to.set_part(rule.part);
    to.set_kind(rule.kind);
    if (rule.method) to.set_method(ToWire<v1::Method>(*rule.method));
    if (rule.bits) to.set_bits(*rule.bits);
    if (rule.group_size) to.set_group_size(*rule.group_size);
    if (rule.outlier_ratio) to.set_outlier_ratio(*rule.outlier_ratio);
  }
  return out;
}

v1::Plan PlanToProto(const Plan& plan) {
  v1::Plan out;
  for (const PlannedModule& module : plan.modules) {
    v1::PlannedModule& to = *out.add_modules();
    to.set_tensor(module.tensor);
    to.set_kind(std::string(TensorKindName(module.kind)));
    to.set_part(std::string(ModelPartName(module.part)));
    to.set_method(ToWire<v1::Method>(module.method));
    if (module.is_open()) {
      to.set_least_stored_bytes(module.choices.front().stored_bytes);
    } else if (module.method != Method::kKeep) {
      to.set_bits(module.packed.bits);
      to.set_group_size(module.packed.group_size);
    }
    if (module.method != Method::kKeep) to.set_outliers(module.packed.outliers);
    to.set_weights(module.weights);
    to.set_stored_bytes(module.stored_bytes);
  }
  out.set_quantized_weights(plan.quantized_weights);
  out.set_quantized_bytes(plan.quantized_bytes);
  out.set_total_weights(plan.total_weights);
  out.set_total_bytes(plan.total_bytes);
  out.set_matrix_bits_per_weight(plan.matrix_bits_per_weight);
  out.set_model_bits_per_weight(plan.model_bits_per_weight);
  out.set_peak_memory_bytes(plan.peak_memory_bytes);
  out.set_scratch_disk_bytes(plan.scratch_disk_bytes);
  out.set_bounds(HasOpenModules(plan));
  return out;
}

}  // namespace gwq
