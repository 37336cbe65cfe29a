#include "server/jobs/recipe_proto.h"

#include <fmt/format.h>

#include <array>

#include "core/base/status.h"

namespace gwq {
namespace {

template <class Proto, class Core>
struct EnumPair {
  Proto proto;
  Core core;
};

constexpr std::array<EnumPair<v1::Method, Method>, 3> kMethods = {
    {{v1::GWQ, Method::kGwq}, {v1::RTN, Method::kRtn}, {v1::KEEP, Method::kKeep}}};
constexpr std::array<EnumPair<v1::Select, Select>, 3> kSelects = {
    {{v1::GRADIENT, Select::kGradient}, {v1::MAGNITUDE, Select::kMagnitude}, {v1::RANDOM, Select::kRandom}}};
constexpr std::array<EnumPair<v1::Loss, Loss>, 2> kLosses = {{{v1::LAST, Loss::kLast}, {v1::ALL, Loss::kAll}}};
constexpr std::array<EnumPair<v1::Calibration::Source, CalibrationSource>, 5> kSources = {
    {{v1::Calibration::GENERATED, CalibrationSource::kGenerated},
     {v1::Calibration::TEXT, CalibrationSource::kText},
     {v1::Calibration::CHAT, CalibrationSource::kChat},
     {v1::Calibration::TOKEN_IDS, CalibrationSource::kTokenIds},
     {v1::Calibration::FILE, CalibrationSource::kFile}}};

// The unspecified value (0) leaves `to` as it is.
template <class Table, class Proto, class Core>
absl::Status FromEnum(const std::string& field, const Table& table, Proto from, Core& to) {
  if (static_cast<int>(from) == 0) return absl::OkStatus();
  for (const auto& pair : table) {
    if (pair.proto != from) continue;
    to = pair.core;
    return absl::OkStatus();
  }
  return InvalidField(field, fmt::format("{} is no known value", static_cast<int>(from)));
}

template <class Table, class Core>
auto ToEnum(const Table& table, Core from) {
  for (const auto& pair : table) {
    if (pair.core == from) return pair.proto;
  }
  return table.front().proto;
}

absl::Status FromCalibration(const v1::Calibration& from, Calibration& to) {
  GWQ_RETURN_IF_ERROR(FromEnum("recipe.calibration.source", kSources, from.source(), to.source));
  to.text = from.text();
  for (const v1::ChatTurn& turn : from.messages()) to.messages.push_back({turn.role(), turn.content()});
  to.token_ids.assign(from.token_ids().begin(), from.token_ids().end());
  to.blob = from.blob();
  if (from.has_max_tokens()) to.max_tokens = from.max_tokens();
  return absl::OkStatus();
}

absl::StatusOr<RecipeRule> FromRule(const std::string& field, const v1::RecipeRule& from) {
  RecipeRule to{.pattern = from.pattern(),
                .part = from.part(),
                .kind = from.kind(),
                .method = {},
                .bits = {},
                .group_size = {},
                .outlier_ratio = {}};
  if (from.method() != v1::METHOD_UNSPECIFIED) {
    Method method = Method::kKeep;
    GWQ_RETURN_IF_ERROR(FromEnum(field + ".method", kMethods, from.method(), method));
    to.method = method;
  }
  if (from.has_bits()) to.bits = from.bits();
  if (from.has_group_size()) to.group_size = from.group_size();
  if (from.has_outlier_ratio()) to.outlier_ratio = from.outlier_ratio();
  return to;
}

void ToCalibration(const Calibration& from, v1::Calibration& to) {
  to.set_source(ToEnum(kSources, from.source));
  to.set_text(from.text);
  for (const ChatTurn& turn : from.messages) {
    v1::ChatTurn* added = to.add_messages();
    added->set_role(turn.role);
    added->set_content(turn.content);
  }
  to.mutable_token_ids()->Assign(from.token_ids.begin(), from.token_ids.end());
  to.set_blob(from.blob);
  to.set_max_tokens(from.max_tokens);
}

void ToRule(const RecipeRule& from, v1::RecipeRule& to) {
  to.set_pattern(from.pattern);
  to.set_part(from.part);
  to.set_kind(from.kind);
  if (from.method) to.set_method(ToEnum(kMethods, *from.method));
  if (from.bits) to.set_bits(*from.bits);
  if (from.group_size) to.set_group_size(*from.group_size);
  if (from.outlier_ratio) to.set_outlier_ratio(*from.outlier_ratio);
}

}  // namespace

absl::StatusOr<Recipe> RecipeFromProto(const v1::Recipe& from) {
  Recipe to;
  GWQ_RETURN_IF_ERROR(FromEnum("recipe.method", kMethods, from.method(), to.method));
  if (from.has_bits()) to.bits = from.bits();
  if (from.has_group_size()) to.group_size = from.group_size();
  if (from.has_outlier_ratio()) to.outlier_ratio = from.outlier_ratio();
  GWQ_RETURN_IF_ERROR(FromEnum("recipe.select", kSelects, from.select(), to.select));
  if (from.has_head_bits()) to.head_bits = from.head_bits();
  if (from.has_embedding_bits()) to.embedding_bits = from.embedding_bits();
  GWQ_RETURN_IF_ERROR(FromEnum("recipe.loss", kLosses, from.loss(), to.loss));
  if (from.has_threads()) to.threads = from.threads();
  if (from.has_seed()) to.seed = from.seed();
  GWQ_RETURN_IF_ERROR(FromCalibration(from.calibration(), to.calibration));
  for (int i = 0; i < from.rules_size(); ++i) {
    GWQ_ASSIGN_OR_RETURN(RecipeRule rule, FromRule(fmt::format("recipe.rules[{}]", i), from.rules(i)));
    to.rules.push_back(std::move(rule));
  }
  to.evaluation_text = from.evaluation_text();
  if (from.has_evaluation_tokens()) to.evaluation_tokens = from.evaluation_tokens();
  if (from.has_evaluation_window()) to.evaluation_window = from.evaluation_window();
  GWQ_RETURN_IF_ERROR(CheckRecipe(to));
  return to;
}

v1::Recipe RecipeToProto(const Recipe& from) {
  v1::Recipe to;
  to.set_method(ToEnum(kMethods, from.method));
  to.set_bits(from.bits);
  to.set_group_size(from.group_size);
  to.set_outlier_ratio(from.outlier_ratio);
  to.set_select(ToEnum(kSelects, from.select));
  to.set_head_bits(from.head_bits);
  to.set_embedding_bits(from.embedding_bits);
  to.set_loss(ToEnum(kLosses, from.loss));
  to.set_threads(from.threads);
  to.set_seed(from.seed);
  ToCalibration(from.calibration, *to.mutable_calibration());
  for (const RecipeRule& rule : from.rules) ToRule(rule, *to.add_rules());
  to.set_evaluation_text(from.evaluation_text);
  to.set_evaluation_tokens(from.evaluation_tokens);
  to.set_evaluation_window(from.evaluation_window);
  return to;
}

v1::Plan PlanToProto(const Plan& from) {
  v1::Plan to;
  for (const PlannedModule& module : from.modules) {
    v1::PlannedModule* added = to.add_modules();
    added->set_tensor(module.tensor);
    added->set_kind(std::string(TensorKindName(module.kind)));
    added->set_part(std::string(ModelPartName(module.part)));
    added->set_method(ToEnum(kMethods, module.method));
    if (module.method != Method::kKeep) {
      added->set_bits(module.packed.bits);
      added->set_group_size(module.packed.group_size);
      added->set_outliers(module.packed.outliers);
    }
    added->set_weights(module.weights);
    added->set_stored_bytes(module.stored_bytes);
  }
  to.set_quantized_weights(from.quantized_weights);
  to.set_quantized_bytes(from.quantized_bytes);
  to.set_total_weights(from.total_weights);
  to.set_total_bytes(from.total_bytes);
  to.set_matrix_bits_per_weight(from.matrix_bits_per_weight);
  to.set_model_bits_per_weight(from.model_bits_per_weight);
  to.set_peak_memory_bytes(from.peak_memory_bytes);
  return to;
}

}  // namespace gwq
