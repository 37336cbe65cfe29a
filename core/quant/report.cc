#include "core/quant/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "core/io/json.h"
#include "core/io/json_number.h"
#include "core/quant/bits_per_weight.h"
#include "core/quant/report_blocks.h"
#include "core/spec/recipe_names.h"
#include "core/text/first_tokens.h"

namespace gwq {
namespace {

using Json = nlohmann::json;

// A text of a recipe or task may have megabytes; the job's spec has the whole.
constexpr size_t kMaxTextBytes = 1024;

Json WithTextsCut(Json value) {
  if (value.is_string() && value.get_ref<const std::string&>().size() > kMaxTextBytes) {
    return std::string(CutUtf8(value.get_ref<const std::string&>(), kMaxTextBytes)) + "…";
  }
  if (value.is_structured()) {
    for (Json& inner : value) inner = WithTextsCut(std::move(inner));
  }
  return value;
}

Json ModuleJson(const ReportModule& module) {
  Json out = {{"tensor", module.tensor},
              {"part", std::string(ModelPartName(module.part))},
              {"method", std::string(EnumText(module.method))},
              {"rows", module.packed.rows},
              {"cols", module.packed.cols},
              {"bits", module.packed.bits},
              {"group_size", module.packed.group_size},
              {"outliers", module.packed.outliers},
              {"weights", module.weights},
              {"stored_bytes", module.stored_bytes},
              {"bits_per_weight", BitsPerWeight(module.stored_bytes, module.weights)},
              {"relative_error", module.relative_error},
              {"saturated", module.saturated}};
  if (module.weighted_error) out["weighted_error"] = *module.weighted_error;
  return out;
}

// Every metric of the artifact beside the model's, where it has one of that name.
template <class Visit>
void ForEachMetric(const ReportEvaluation& evaluation, const Visit& visit) {
  for (const EvaluationMetric& after : evaluation.after.metrics) {
    const auto before = std::ranges::find(evaluation.before, after.name, &EvaluationMetric::name);
    visit(before == evaluation.before.end() ? nullptr : &*before, after);
  }
}

Json BeforeAndAfterJson(const ReportEvaluation& evaluation) {
  Json out = {{"name", std::string(evaluation.after.task.title())},
              {"kind", std::string(EvaluationKindName(evaluation.after.task.kind))},
              {"task", WithTextsCut(EvaluationTaskJson(evaluation.after.task))},
              {"items", evaluation.after.items},
              {"metrics", Json::array()}};
  ForEachMetric(evaluation, [&](const EvaluationMetric* before, const EvaluationMetric& after) {
    Json& one = out["metrics"].emplace_back();
    one = {{"name", after.name}, {"after", JsonNumber(after.value)}};
    if (before != nullptr) one["before"] = JsonNumber(before->value);
  });
  for (const KlAtPositions& part : evaluation.after.kl_by_position) {
    out["kl_by_position"].push_back(
        {{"first", part.first}, {"count", part.count}, {"mean_kl", JsonNumber(part.mean_kl)}});
  }
  for (const ChangedAnswer& one : evaluation.after.changed_answers) {
    out["changed_answers"].push_back(
        {{"line", one.line}, {"question", one.question}, {"before", one.reference_answer}, {"after", one.answer}});
  }
  return out;
}

Json BlockJson(const ReportBlock& block) {
  Json out = {{"name", block.name},
              {"part", std::string(ModelPartName(block.part))},
              {"stage", block.stage},
              {"weights", block.weights},
              {"stored_bytes", block.stored_bytes},
              {"bits_per_weight", BitsPerWeight(block.stored_bytes, block.weights)},
              {"relative_error", block.relative_error}};
  if (block.loss_before) out["loss_before"] = JsonNumber(*block.loss_before);
  if (block.loss_after) out["loss_after"] = JsonNumber(*block.loss_after);
  return out;
}

Json ContractJson(const Report& report) {
  Json out = {{"bounds", QualityContractJson(report.contract)}, {"misses", Json::array()}};
  for (const ContractMiss& miss : report.misses) {
    Json& one = out["misses"].emplace_back();
    one = {{"bound", miss.bound}, {"what", miss.what}, {miss.at_most ? "at_most" : "at_least", miss.limit}};
    if (miss.value) one["value"] = JsonNumber(*miss.value);
  }
  return out;
}

// What the artifact is bound to, and how it missed it.
std::string ContractText(const Report& report) {
  if (report.contract.empty()) return "";
  if (report.misses.empty()) return "The quality contract is met.\n\n";
  return fmt::format("The quality contract is not met: {}.\n\n", MissesText(report.misses));
}

Json PartJson(const ReportPart& part) {
  return {{"part", std::string(ModelPartName(part.part))},
          {"weights", part.weights},
          {"bytes", part.bytes},
          {"bits_per_weight", BitsPerWeight(part.bytes, part.weights)},
          {"quantized_weights", part.quantized_weights},
          {"quantized_bytes", part.quantized_bytes},
          {"matrix_bits_per_weight", BitsPerWeight(part.quantized_bytes, part.quantized_weights)},
          {"outliers", part.outliers},
          {"relative_error", part.norm > 0 ? std::sqrt(part.error / part.norm) : 0.0}};
}

std::string PartTable(const Report& report) {
  std::string out =
      "| part | weights | bytes | bits per weight | of its matrices | outliers | relative error |\n"
      "|---|---:|---:|---:|---:|---:|---:|\n";
  for (const ReportPart& part : report.parts) {
    out += fmt::format("| {} | {} | {} | {:.4f} | {:.4f} | {} | {:.5f} |\n", ModelPartName(part.part), part.weights,
                       part.bytes, BitsPerWeight(part.bytes, part.weights),
                       BitsPerWeight(part.quantized_bytes, part.quantized_weights), part.outliers,
                       part.norm > 0 ? std::sqrt(part.error / part.norm) : 0.0);
  }
  return out;
}

std::string BeforeAndAfterTable(const Report& report) {
  std::string out = "| evaluation | metric | model | artifact |\n|---|---|---:|---:|\n";
  for (const ReportEvaluation& evaluation : report.evaluations) {
    ForEachMetric(evaluation, [&](const EvaluationMetric* before, const EvaluationMetric& after) {
      out += fmt::format("| {} ({}) | {} | {} | {:.6g} |\n", evaluation.after.task.title(), evaluation.after.items,
                         after.name, before == nullptr ? "" : fmt::format("{:.6g}", before->value), after.value);
    });
  }
  return out;
}

std::string MiB(uint64_t bytes) { return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / (1 << 20)); }

std::string SizeTable(const Report& report) {
  std::string out = "| what | weights | bytes | bits per weight |\n|---|---:|---:|---:|\n";
  out += fmt::format("| quantized matrices | {} | {} | {:.4f} |\n", report.quantized_weights, report.quantized_bytes,
                     report.matrix_bits_per_weight());
  out += fmt::format("| whole model | {} | {} | {:.4f} |\n", report.total_weights, report.total_bytes,
                     report.model_bits_per_weight());
  out += fmt::format("| the model as it came | {} | {} | {:.4f} |\n", report.total_weights, report.source_bytes,
                     BitsPerWeight(report.source_bytes, report.total_weights));
  return out;
}

std::string ModuleTable(const Report& report, ModelPart part) {
  std::string out =
      "| tensor | method | bits | group | outliers | bits per weight | relative error | gradient-weighted error |\n"
      "|---|---|---:|---:|---:|---:|---:|---:|\n";
  for (const ReportModule& module : report.modules) {
    if (module.part != part) continue;
    out += fmt::format("| {} | {} | {} | {} | {} | {:.3f} | {:.5f} | {} |\n", module.tensor, EnumText(module.method),
                       module.packed.bits, module.packed.group_size, module.packed.outliers,
                       BitsPerWeight(module.stored_bytes, module.weights), module.relative_error,
                       module.weighted_error ? fmt::format("{:.5f}", *module.weighted_error) : "-");
  }
  return out;
}

// One table a part, under its name where there are several.
std::string ModuleTables(const Report& report) {
  std::string out;
  for (const ReportPart& part : report.parts) {
    const auto in_part = [&](const ReportModule& module) { return module.part == part.part; };
    if (std::ranges::none_of(report.modules, in_part)) continue;
    if (!out.empty()) out += "\n";
    if (report.parts.size() > 1) out += fmt::format("## {}\n\n", ModelPartName(part.part));
    out += ModuleTable(report, part.part);
  }
  return out;
}

}  // namespace

double Report::matrix_bits_per_weight() const { return BitsPerWeight(quantized_bytes, quantized_weights); }
double Report::model_bits_per_weight() const { return BitsPerWeight(total_bytes, total_weights); }

std::string ReportJson(const Report& report) {
  Json out = {{"source", report.source.Hex()},
              {"artifact", report.artifact.Hex()},
              {"architecture", report.architecture},
              {"recipe", WithTextsCut(Json::parse(RecipeJson(report.recipe), nullptr, false))},
              {"source_bytes", report.source_bytes},
              {"quantized_weights", report.quantized_weights},
              {"quantized_bytes", report.quantized_bytes},
              {"matrix_bits_per_weight", report.matrix_bits_per_weight()},
              {"total_weights", report.total_weights},
              {"total_bytes", report.total_bytes},
              {"model_bits_per_weight", report.model_bits_per_weight()},
              {"planned_memory_bytes", report.planned_memory_bytes},
              {"calibration_tokens", report.calibration_tokens},
              {"calibration_samples", report.calibration_samples},
              {"calibration_warnings", report.calibration_warnings},
              {"backward_passes", {{"run", report.passes.run}, {"reused", report.passes.reused}}},
              {"environment", {{"isa", report.isa}, {"threads", report.threads}}}};
  if (report.calibration_loss) out["calibration_loss"] = *report.calibration_loss;
  if (report.mask_jaccard) out["mask_jaccard"] = *report.mask_jaccard;
  if (!report.evaluations.empty()) {
    out["evaluations"] = Json::array();
    for (const ReportEvaluation& one : report.evaluations) out["evaluations"].push_back(BeforeAndAfterJson(one));
  }
  if (!report.contract.empty()) out["contract"] = ContractJson(report);
  if (!report.producer_json.empty()) out["producer"] = Json::parse(report.producer_json, nullptr, false);
  for (const ReportTuning& one : report.tuning) {
    out["tuning"].push_back(
        {{"first_step", one.first_step}, {"steps", one.steps}, {"divergence", JsonNumber(one.divergence)}});
  }
  out["parts"] = Json::array();
  for (const ReportPart& part : report.parts) out["parts"].push_back(PartJson(part));
  out["modules"] = Json::array();
  for (const ReportModule& module : report.modules) out["modules"].push_back(ModuleJson(module));
  out["blocks"] = Json::array();
  for (const ReportBlock& block : BlocksOf(report.modules)) out["blocks"].push_back(BlockJson(block));
  out["phases"] = Json::array();
  for (const ReportPhase& phase : report.phases) {
    out["phases"].push_back(
        {{"name", phase.name}, {"seconds", phase.seconds}, {"peak_memory_bytes", phase.peak_memory_bytes}});
  }
  return CanonicalJson(out);
}

namespace {

// What the recipe's own method was told, as part of a sentence: ", outlier_ratio 0.01, loss last".
std::string MethodOptions(const Recipe& recipe) {
  const Json options = Json::parse(RecipeJson(recipe)).value(std::string(EnumText(recipe.method)), Json::object());
  std::string out;
  for (const auto& [name, value] : options.items()) {
    out += fmt::format(", {} {}", name, value.is_string() ? value.get<std::string>() : value.dump());
  }
  return out;
}

}  // namespace

std::string PassesText(const PassCounts& passes) {
  const std::string_view reused = passes.reused == 0 ? "" : passes.run == 0 ? " (reused)" : " (another reused)";
  return fmt::format("backward passes: {}{}", passes.run, reused);
}

std::string ReportMarkdown(const Report& report) {
  std::string out = fmt::format("# Quantization report\n\nModel `{}` ({})\nArtifact `{}`\n\n", report.source.Hex(),
                                report.architecture, report.artifact.Hex());
  const Recipe& recipe = report.recipe;
  out += fmt::format("{}, {} bits, groups of {}{}, {} calibration tokens{}.\n\n", EnumText(recipe.method), recipe.bits,
                     recipe.group_size, MethodOptions(recipe), report.calibration_tokens,
                     report.passes.run + report.passes.reused > 0 ? ", " + PassesText(report.passes) : "");
  if (report.mask_jaccard) {
    out +=
        fmt::format("Jaccard index of what both halves of the samples would keep: {:.3f}.\n\n", *report.mask_jaccard);
  }
  for (const std::string& warning : report.calibration_warnings) {
    out += fmt::format("Warning: {}.\n\n", warning);
  }
  out += ContractText(report);
  out += SizeTable(report) + "\n";
  if (report.parts.size() > 1) out += PartTable(report) + "\n";
  if (!report.evaluations.empty()) out += BeforeAndAfterTable(report) + "\n";
  out += "| phase | seconds | peak memory |\n|---|---:|---:|\n";
  for (const ReportPhase& phase : report.phases) {
    out += fmt::format("| {} | {:.1f} | {} |\n", phase.name, phase.seconds, MiB(phase.peak_memory_bytes));
  }
  out += fmt::format("\nPlanned peak memory: {}. Kernels: {}, {} threads.\n\n", MiB(report.planned_memory_bytes),
                     report.isa, report.threads);
  return out + ModuleTables(report);
}

}  // namespace gwq
