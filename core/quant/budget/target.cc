#include "core/quant/budget/target.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string_view>

#include "core/base/status.h"
#include "core/quant/bits_per_weight.h"
#include "core/quant/budget/choose.h"
#include "core/spec/recipe_names.h"

namespace gwq {
namespace {

bool Counts(const PlannedModule& module) {
  return module.kind == TensorKind::kLinear && module.method != Method::kKeep;
}

// Modules that take one choice, in the plan's order.
using Tied = std::vector<PlannedModule*>;

// What fused kernels join: "model.layers.0.self_attn.q_proj.weight" and its like have one name here.
std::string FusedName(std::string_view tensor) {
  for (const auto& [names, fused] : {std::pair<std::vector<std::string_view>, std::string_view>{
                                         {"q_proj.weight", "k_proj.weight", "v_proj.weight"}, "qkv"},
                                     {{"gate_proj.weight", "up_proj.weight"}, "gate_up"}}) {
    for (const std::string_view name : names) {
      if (tensor.ends_with(name)) return std::string(tensor.substr(0, tensor.size() - name.size())).append(fused);
    }
  }
  return std::string(tensor);
}

std::vector<Tied> OpenModules(Plan& plan, bool tie) {
  std::vector<Tied> out;
  std::map<std::string, size_t> places;
  for (PlannedModule& module : plan.modules) {
    if (!module.is_open()) continue;
    const auto [place, added] = places.emplace(tie ? FusedName(module.tensor) : module.tensor, out.size());
    if (added) out.emplace_back();
    out[place->second].push_back(&module);
  }
  return out;
}

struct Sums {
  uint64_t fixed_matrices = 0;  // bytes of what counts for target.bits
  uint64_t fixed = 0;           // of all tensors that are not open
  uint64_t least = 0, most = 0;
};

Sums SumsOf(const Plan& plan) {
  Sums sums;
  for (const PlannedModule& module : plan.modules) {
    if (module.is_open()) {
      sums.least += module.choices.front().stored_bytes;
      sums.most += module.choices.back().stored_bytes;
      continue;
    }
    sums.fixed += module.stored_bytes;
    if (Counts(module)) sums.fixed_matrices += module.stored_bytes;
  }
  return sums;
}

bool HasOutlierChoices(const Plan& plan) {
  return std::ranges::any_of(plan.modules, [](const PlannedModule& module) {
    return std::ranges::any_of(module.choices, [](const ModuleChoice& choice) { return choice.packed.outliers > 0; });
  });
}

void SumUp(uint64_t open_bytes, Plan& plan) {
  const Sums sums = SumsOf(plan);
  plan.quantized_bytes = sums.fixed_matrices + open_bytes;
  plan.total_bytes = sums.fixed + open_bytes;
  plan.matrix_bits_per_weight = BitsPerWeight(plan.quantized_bytes, plan.quantized_weights);
  plan.model_bits_per_weight = BitsPerWeight(plan.total_bytes, plan.total_weights);
}

}  // namespace

absl::Status TakeTarget(const Recipe& recipe, Plan& plan) {
  const bool by_bits = recipe.target.bits > 0;
  const std::string field = by_bits ? "recipe.target.bits" : "recipe.target.bytes";
  const std::string given = by_bits ? fmt::format("{}", recipe.target.bits) : fmt::format("{}", recipe.target.bytes);
  if (!HasOpenModules(plan)) {
    return InvalidField(field, fmt::format("is {}, but there is no matrix to choose bits for: rules give them all, or "
                                           "the method keeps them; leave out the target or the rules",
                                           given));
  }
  if (recipe.target.outliers && !HasOutlierChoices(plan)) {
    return InvalidField("recipe.target.outliers",
                        fmt::format("is true, but {} chooses no share of outliers: use tuned or spqr with an "
                                    "outlier_ratio of 0, or leave this out",
                                    EnumText(recipe.method)));
  }
  const Sums sums = SumsOf(plan);
  const uint64_t fixed = by_bits ? sums.fixed_matrices : sums.fixed;
  const auto limit =
      by_bits ? static_cast<uint64_t>(std::floor(recipe.target.bits * static_cast<double>(plan.quantized_weights) / 8))
              : static_cast<uint64_t>(recipe.target.bytes);
  const auto text = [&](uint64_t open) {
    return by_bits ? fmt::format("{:.4f}", BitsPerWeight(fixed + open, plan.quantized_weights))
                   : fmt::format("{}", fixed + open);
  };
  if (limit < fixed + sums.least) {
    return InvalidField(
        field, fmt::format("is {}, but the smallest forms take {}; give that or more", given, text(sums.least)));
  }
  if (limit > fixed + sums.most) {
    return InvalidField(field, fmt::format("is {}, but the largest forms, 8 bits each, take {}; give that or less, or "
                                           "bits 8 in the place of a target",
                                           given, text(sums.most)));
  }
  plan.open_bytes = limit - fixed;
  SumUp(plan.open_bytes, plan);
  return absl::OkStatus();
}

double MostMatrixBits(const Plan& plan) {
  const Sums sums = SumsOf(plan);
  return BitsPerWeight(sums.fixed_matrices + sums.most, plan.quantized_weights);
}

void DivideTarget(const Recipe& recipe, const FormLosses& losses, Plan& plan) {
  const std::vector<Tied> open = OpenModules(plan, recipe.target.tie_fused);
  std::vector<std::vector<FormCost>> costs;
  for (const Tied& tied : open) {
    std::vector<FormCost>& forms = costs.emplace_back(tied.front()->choices.size());
    for (const PlannedModule* const module : tied) {
      const std::vector<double>& own = losses.at(module->tensor);
      for (size_t i = 0; i < forms.size(); ++i) {
        forms[i].bytes += module->choices[i].stored_bytes;
        forms[i].loss += own[i];
      }
    }
  }
  const std::vector<size_t> chosen = ChooseForms(costs, plan.open_bytes);
  for (size_t i = 0; i < open.size(); ++i) {
    for (PlannedModule* const module : open[i]) {
      const ModuleChoice choice = module->choices[chosen[i]];
      plan.rounding_loss += losses.at(module->tensor)[chosen[i]];
      module->packed = choice.packed;
      module->stored_bytes = choice.stored_bytes;
      module->choices.clear();
    }
  }
  plan.open_bytes = 0;
  SumUp(0, plan);
}

}  // namespace gwq
