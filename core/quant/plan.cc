#include "core/quant/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "core/artifact/stored_dataset.h"
#include "core/base/status.h"
#include "core/evaluation/memory.h"
#include "core/format/format.h"
#include "core/quant/bits_per_weight.h"
#include "core/quant/budget/choices.h"
#include "core/quant/budget/target.h"
#include "core/quant/peak_memory.h"
#include "core/quant/quantizers.h"
#include "core/quant/scratch_disk.h"
#include "core/spec/glob.h"
#include "core/spec/recipe_names.h"

namespace gwq {
namespace {

constexpr int64_t kPolicyGroup = 64;  // of head and embedding

bool IsMatrix(TensorKind kind) {
  return kind == TensorKind::kLinear || kind == TensorKind::kHead || kind == TensorKind::kEmbedding;
}

std::string_view ModuleName(std::string_view tensor) {
  constexpr std::string_view kSuffix = ".weight";
  return tensor.ends_with(kSuffix) ? tensor.substr(0, tensor.size() - kSuffix.size()) : tensor;
}

// How one matrix is to be stored, and which field of the recipe said so last.
struct Choice {
  Method method = Method::kKeep;
  int bits = 8;
  int64_t group_size = kPolicyGroup;
  std::optional<double> outlier_ratio = {};  // of a rule
  std::string method_field, group_field;
  bool open = false;  // for a target to choose bits and group size
};

// Where no sample reaches a tower, its matrices are rounded to nearest unless a rule says otherwise.
Choice DefaultFor(const TensorSpec& spec, const Recipe& recipe, bool reached) {
  const TensorKind kind = spec.kind;
  Choice choice;
  if (kind == TensorKind::kLinear) {
    choice = {recipe.method,
              recipe.bits,
              recipe.group_size,
              {},
              "recipe.method",
              "recipe.group_size",
              recipe.target.given() && reached};
    const Quantizer* const quantizer = FindQuantizer(recipe.method);
    const bool calibrated = quantizer != nullptr && quantizer->needs(recipe, /*outliers=*/1) != Needs::kNothing;
    if (!reached && calibrated) choice.method = Method::kRtn;
  } else {
    const bool head = kind == TensorKind::kHead;
    choice.method = (head ? recipe.head_bits : recipe.embedding_bits) == 16 ? Method::kKeep : Method::kRtn;
    choice.method_field = choice.group_field = head ? "recipe.head_bits" : "recipe.embedding_bits";
  }
  return choice;
}

bool Applies(const RecipeRule& rule, const TensorSpec& spec) {
  return (rule.kind.empty() || rule.kind == TensorKindName(spec.kind)) &&
         (rule.part.empty() || rule.part == ModelPartName(spec.part)) &&
         GlobMatches(rule.pattern, ModuleName(spec.name));
}

void Apply(const RecipeRule& rule, size_t index, Choice& choice) {
  const std::string path = fmt::format("recipe.rules[{}]", index);
  if (rule.method) {
    choice.method = *rule.method;
    choice.method_field = path + ".method";
  }
  if (rule.bits) {
    choice.bits = *rule.bits;
    choice.open = false;
  }
  if (rule.group_size) {
    choice.open = false;
    choice.group_size = *rule.group_size;
    choice.group_field = path + ".group_size";
  }
  if (rule.outlier_ratio) choice.outlier_ratio = *rule.outlier_ratio;
}

absl::Status Settle(const TensorSpec& spec, const Choice& choice, const Recipe& recipe, bool reached,
                    PlannedModule& module) {
  module.method = choice.method;
  const Quantizer* const quantizer = FindQuantizer(choice.method);
  if (quantizer == nullptr) return absl::OkStatus();
  const std::string_view name = EnumText(choice.method);
  if (!quantizer->Takes(spec.kind)) {
    return InvalidField(choice.method_field,
                        fmt::format("asks for {} on {}, but calibration reaches Linear weights only; set the rule's "
                                    "kind to 'linear', or method rtn or keep",
                                    name, spec.name));
  }
  // A convolution over patches is the matrix that it is.
  const Shape shape = MatrixShape(spec.shape);
  MatrixRequest request;
  request.shape.rows = shape[0];
  request.shape.cols = shape[1];
  request.shape.bits = choice.bits;
  // A group longer than the row is one group per row; cut here so that equal contents get equal bytes.
  request.shape.group_size = std::min(choice.group_size, (shape[1] + 7) / 8 * 8);
  GWQ_ASSIGN_OR_RETURN(request.shape.format, FindFormat(kAffine1.tag, recipe.format_version));
  request.shape.scale_bits = recipe.scale_bits;
  request.outlier_ratio = choice.outlier_ratio.value_or(quantizer->DefaultOutlierRatio(recipe));
  module.packed = quantizer->Plan(request);
  module.needs = quantizer->needs(recipe, module.packed.outliers);
  if (quantizer->needs(recipe, /*outliers=*/1) != Needs::kNothing && !reached) {
    return InvalidField(choice.method_field,
                        fmt::format("asks for {} on {}, which the calibration does not reach because no sample has "
                                    "an image; use calibration.source image or a dataset with images, or method rtn or "
                                    "keep",
                                    name, spec.name));
  }
  if (choice.open) {
    // A matrix of gwq without outliers has no gradient to pick some by.
    const bool outliers = recipe.target.outliers && quantizer->needs(recipe, 0) == quantizer->needs(recipe, 1);
    GWQ_ASSIGN_OR_RETURN(module.choices, ChoicesFor(*quantizer, request, outliers));
    module.packed = module.choices.back().packed;
  }
  if (const absl::Status status = CheckPackedShape(module.packed); !status.ok()) {
    return InvalidField(choice.group_field,
                        fmt::format("gives {} a shape that cannot be stored: {}", spec.name, MessageOf(status)));
  }
  module.stored_bytes = LayoutOf(module.packed).total;
  return absl::OkStatus();
}

absl::StatusOr<PlannedModule> PlanTensor(const TensorSpec& spec, const TensorIndex& source, const Recipe& recipe,
                                         bool sees_image, std::vector<bool>& rule_used) {
  const ManifestTensor* stored = source.Find(spec.name);
  if (stored == nullptr) {
    return absl::NotFoundError(fmt::format("the model has no tensor {}, which its architecture needs", spec.name));
  }
  if (stored->shape != spec.shape) {
    return absl::InvalidArgumentError(fmt::format("{} is {}, but config.json makes it {}", spec.name,
                                                  ShapeString(stored->shape), ShapeString(spec.shape)));
  }
  PlannedModule module;
  module.tensor = spec.name;
  module.kind = spec.kind;
  module.part = spec.part;
  module.stage = spec.stage;
  GWQ_ASSIGN_OR_RETURN(const int64_t weights, ElementCount(spec.shape));
  module.weights = static_cast<uint64_t>(weights);
  module.stored_bytes = stored->size;
  if (!IsMatrix(spec.kind) || spec.shape.size() < 2) return module;
  const bool reached = sees_image || spec.part == ModelPart::kLanguage;
  Choice choice = DefaultFor(spec, recipe, reached);
  for (size_t i = 0; i < recipe.rules.size(); ++i) {
    if (!Applies(recipe.rules[i], spec)) continue;
    rule_used[i] = true;
    Apply(recipe.rules[i], i, choice);
  }
  GWQ_RETURN_IF_ERROR(Settle(spec, choice, recipe, reached, module));
  return module;
}

PlannedShapes ShapesOf(const Plan& plan) {
  PlannedShapes planned;
  for (const PlannedModule& module : plan.modules) {
    if (module.method != Method::kKeep) planned.emplace(module.tensor, module.packed);
  }
  return planned;
}

}  // namespace

bool AnyNeeds(const Plan& plan, Needs needs) {
  return std::ranges::any_of(plan.modules, [&](const PlannedModule& module) { return module.needs == needs; });
}

bool HasOpenModules(const Plan& plan) { return std::ranges::any_of(plan.modules, &PlannedModule::is_open); }

int64_t FisherSamples(const Plan& plan, const Recipe& recipe) {
  const int64_t metric = AnyNeeds(plan, Needs::kBlock) ? recipe.tuned.metric_samples : 0;
  return std::max(metric, HasOpenModules(plan) ? recipe.target.samples : 0);
}

absl::StatusOr<bool> SamplesHaveImages(const Model& model, const Recipe& recipe, const DatasetManifests& datasets) {
  const std::vector<NamedDigest> named = CalibrationDatasets(recipe.calibration);
  if (named.size() != datasets.size()) return absl::InternalError("a calibration's datasets are needed for its plan");
  bool images = false;
  for (size_t i = 0; i < datasets.size(); ++i) {
    if (!HoldsImages(*datasets[i])) continue;
    images = true;
    if (model.vision() != nullptr) continue;
    return InvalidField(named[i].field, fmt::format("has images, but {} sees none; use a dataset of texts",
                                                    model.config().architecture));
  }
  const CalibrationSource from = recipe.calibration.source;
  if (from == CalibrationSource::kImage && model.vision() == nullptr) {
    return InvalidField("recipe.calibration.source",
                        fmt::format("is 'image', but {} sees none; use another", model.config().architecture));
  }
  return images ||
         (model.vision() != nullptr && (from == CalibrationSource::kImage || from == CalibrationSource::kGenerated));
}

namespace {

absl::Status CheckDatasets(const Recipe& recipe, const DatasetManifests& datasets) {
  const std::vector<NamedDigest> named = CalibrationDatasets(recipe.calibration);
  for (size_t i = 0; i < std::min(named.size(), datasets.size()); ++i) {
    if (LinesFile(*datasets[i]) != nullptr) continue;
    return InvalidField(named[i].field,
                        "has no .jsonl file in its top folder, or several; name the digest of a text or an image as "
                        "blob");
  }
  return absl::OkStatus();
}

// A vision-language model's own text is an image's, of which a mix has no share.
absl::Status CheckParts(const Model& model, const Recipe& recipe) {
  for (size_t i = 0; i < recipe.calibration.parts.size(); ++i) {
    if (model.vision() == nullptr || recipe.calibration.parts[i].source != CalibrationSource::kGenerated) continue;
    return InvalidField(fmt::format("recipe.calibration.parts[{}].source", i),
                        "is 'generated', which no part can be with a model that sees images; use another source");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Plan> PlanQuantization(const Model& model, const Manifest& source, const Recipe& recipe,
                                      const DatasetManifests& datasets) {
  GWQ_RETURN_IF_ERROR(CheckRecipe(recipe));
  GWQ_RETURN_IF_ERROR(CheckDatasets(recipe, datasets));
  GWQ_RETURN_IF_ERROR(CheckParts(model, recipe));
  Plan plan;
  GWQ_ASSIGN_OR_RETURN(plan.sees_image, SamplesHaveImages(model, recipe, datasets));
  std::vector<bool> rule_used(recipe.rules.size(), false);
  const TensorIndex tensors(source);
  for (const TensorSpec& spec : model.tensors()) {
    GWQ_ASSIGN_OR_RETURN(PlannedModule module, PlanTensor(spec, tensors, recipe, plan.sees_image, rule_used));
    plan.total_weights += module.weights;
    plan.total_bytes += module.stored_bytes;
    if (module.kind == TensorKind::kLinear && module.method != Method::kKeep) {
      plan.quantized_weights += module.weights;
      plan.quantized_bytes += module.stored_bytes;
    }
    plan.modules.push_back(std::move(module));
  }
  for (size_t i = 0; i < rule_used.size(); ++i) {
    if (rule_used[i]) continue;
    return InvalidField(fmt::format("recipe.rules[{}].pattern", i),
                        fmt::format("'{}'{}{} matches no matrix of this model; norms and biases are always kept",
                                    recipe.rules[i].pattern, recipe.rules[i].kind.empty() ? "" : " with its kind",
                                    recipe.rules[i].part.empty() ? "" : " with its part"));
  }
  plan.samples =
      recipe.calibration.samples > 0
          ? recipe.calibration.samples
          : DefaultSamples(recipe.calibration.source,
                           AnyNeeds(plan, Needs::kGram) || AnyNeeds(plan, Needs::kBlock) || HasOpenModules(plan),
                           recipe.effort);
  if (plan.sees_image && datasets.empty()) {
    if (recipe.calibration.samples > 1) {
      return InvalidField("recipe.calibration.samples",
                          fmt::format("is {}, but the built-in sample with an image is one; use calibration.source "
                                      "dataset for several, or text",
                                      recipe.calibration.samples));
    }
    plan.samples = 1;
  }
  plan.matrix_bits_per_weight = BitsPerWeight(plan.quantized_bytes, plan.quantized_weights);
  plan.model_bits_per_weight = BitsPerWeight(plan.total_bytes, plan.total_weights);
  if (recipe.target.given()) GWQ_RETURN_IF_ERROR(TakeTarget(recipe, plan));
  plan.peak_memory_bytes = PeakMemory(model, source, plan, recipe, datasets);
  plan.scratch_disk_bytes = ScratchDisk(model, plan, recipe);
  return plan;
}

absl::Status PlanEvaluations(BlobStore& store, const Digest& source, const std::vector<EvaluationTask>& evaluations,
                             std::string_view path, Plan& plan) {
  const PlannedShapes planned = ShapesOf(plan);
  for (size_t i = 0; i < evaluations.size(); ++i) {
    // First the model, then the artifact, which is not made yet; each with the model as reference.
    for (const PlannedShapes* const shapes : {static_cast<const PlannedShapes*>(nullptr), &planned}) {
      GWQ_ASSIGN_OR_RETURN(const uint64_t measured, EvaluationMemory(store, source, source, evaluations[i],
                                                                     fmt::format("{}[{}]", path, i), shapes));
      plan.peak_memory_bytes = std::max(plan.peak_memory_bytes, measured);
    }
  }
  return absl::OkStatus();
}

absl::Status PlanDecodeSpeed(BlobStore& store, const Digest& source, Plan& plan) {
  const PlannedShapes planned = ShapesOf(plan);
  GWQ_ASSIGN_OR_RETURN(const uint64_t measured, DecodeSpeedMemory(store, source, &planned));
  plan.peak_memory_bytes = std::max(plan.peak_memory_bytes, measured);
  return absl::OkStatus();
}

}  // namespace gwq
