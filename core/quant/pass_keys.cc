#include "core/quant/pass_keys.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/base/status.h"
#include "core/format/format.h"
#include "core/io/json.h"
#include "core/spec/recipe_names.h"

namespace gwq {
namespace {

using Json = nlohmann::json;

// Grows when a pass begins to find something else, or a record takes another form.
constexpr int kVersion = 1;
constexpr JsonLimits kLossesLimits{.max_bytes = size_t{32} << 20};

PassKey KeyOf(const char* pass, const Digest& model, const Recipe& recipe, const Plan& plan, std::string producer,
              const Json& details) {
  Json calibration = Json::parse(RecipeJson(recipe)).at("calibration");
  calibration["samples"] = plan.samples;
  const Json what = {{"pass", pass},        {"version", kVersion}, {"model", model.Hex()}, {"calibration", calibration},
                     {"seed", recipe.seed}, {"details", details}};
  return {Sha256Of(CanonicalJson(what)), std::move(producer), model};
}

Json FormsJson(const Plan& plan) {
  Json out = Json::object();
  for (const PlannedModule& module : plan.modules) {
    for (const ModuleChoice& choice : module.choices) {
      const PackedShape& form = choice.packed;
      out[module.tensor].push_back({form.rows, form.cols, form.bits, form.group_size, form.outliers, form.scale_bits,
                                    std::string(form.format->tag), form.format->version});
    }
  }
  return out;
}

absl::Status Unusable(std::string_view why) { return absl::DataLossError(fmt::format("kept losses: {}", why)); }

}  // namespace

PassKey LossesKey(const Digest& model, const Recipe& recipe, const Plan& plan, std::string producer) {
  return KeyOf("losses", model, recipe, plan, std::move(producer),
               {{"samples", FisherSamples(plan, recipe)}, {"forms", FormsJson(plan)}});
}

PassKey MetricsKey(const Digest& model, const Recipe& recipe, const Plan& plan, std::string producer) {
  return KeyOf("metrics", model, recipe, plan, std::move(producer), {{"samples", FisherSamples(plan, recipe)}});
}

PassKey GradientsKey(const Digest& model, const Recipe& recipe, const Plan& plan, std::string producer) {
  return KeyOf("gradients", model, recipe, plan, std::move(producer),
               {{"loss", std::string(EnumText(recipe.gwq.loss))}});
}

absl::StatusOr<Checkpoint> StoreLosses(BlobStore& store, const FormLosses& losses) {
  const std::string json = CanonicalJson(Json(losses));
  GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<BlobWriter> writer, BeginScratch(store));
  GWQ_RETURN_IF_ERROR(writer->Append(std::as_bytes(std::span(json))));
  GWQ_ASSIGN_OR_RETURN(const Digest blob, writer->Commit());
  return Checkpoint{CanonicalJson({{"losses", blob.Hex()}}), {}, {blob}};
}

absl::StatusOr<FormLosses> ReadLosses(BlobStore& store, const Checkpoint& record, const Plan& plan) {
  if (record.scratch.size() != 1) return Unusable("not one blob");
  const auto text = ReadBlob(store, record.scratch[0], kLossesLimits.max_bytes);
  if (!text.ok()) return Unusable(MessageOf(text.status()));
  if (Sha256Of(*text) != record.scratch[0] || text->size() < kScratchHeaderBytes) return Unusable("damaged");
  const auto json = ParseJson("losses", std::string_view(*text).substr(kScratchHeaderBytes), kLossesLimits);
  if (!json.ok() || !json->is_object()) return Unusable("no object");
  FormLosses out;
  for (const PlannedModule& module : plan.modules) {
    if (!module.is_open()) continue;
    const auto found = json->find(module.tensor);
    const bool numbers = found != json->end() && found->is_array() && found->size() == module.choices.size() &&
                         std::ranges::all_of(*found, [](const Json& one) { return one.is_number(); });
    if (!numbers) return Unusable(fmt::format("not those of {}", module.tensor));
    out[module.tensor] = found->get<std::vector<double>>();
  }
  return out;
}

absl::Status DivideIfKnown(BlobStore& store, const Digest& model, const Recipe& recipe, PassCache& passes, Plan& plan) {
  if (!HasOpenModules(plan) || plan.sees_image) return absl::OkStatus();
  const auto record = passes.Load(LossesKey(model, recipe, plan, ""));
  if (absl::IsCancelled(record.status())) return record.status();
  if (!record.ok() || !record->has_value()) return absl::OkStatus();
  const auto losses = ReadLosses(store, **record, plan);
  if (losses.ok()) DivideTarget(recipe, *losses, plan);
  return absl::OkStatus();
}

}  // namespace gwq
