#include "core/spec/recipe.h"

#include <algorithm>

#include "core/base/sha256.h"
#include "core/format/packed_matrix.h"
#include "core/io/json.h"
#include "core/spec/recipe_table.h"

namespace gwq {
namespace {

using recipe_table::Json;
using recipe_table::Limits;
using recipe_table::Table;

constexpr size_t kMaxNameBytes = 256;
constexpr size_t kMaxRules = 1000;
constexpr size_t kMaxTurns = 1000;
constexpr size_t kMaxParts = 32;
constexpr int kMaxTokens = 8192;
constexpr int kMaxSamples = 4096;
// Longer groups than any row make one group a row; the limit keeps arithmetic on sizes safe.
constexpr double kMaxGroup = 1 << 20;
// A part's weight beside another's.
constexpr double kMinWeight = 0.0001;
constexpr double kMaxUnsigned = 18446744073709551615.0;

Limits Bits() { return {.low = kLeastBits, .high = kMostBits}; }
Limits KeptOrEight() { return {.allowed = {8, 16}}; }
Limits GroupSize() { return {.low = 8, .high = kMaxGroup, .step = 8}; }
Limits Ratio() { return {.low = 0, .high = 0.5}; }

// The names are joined once and live as long as the program.
std::string_view MethodChoices() {
  static const std::string choices = EnumChoices<Method>();
  return choices;
}

const Table<RecipeRule>& RuleTable() {
  using namespace recipe_table;
  static const Table<RecipeRule> table = {
      Text("pattern", &RecipeRule::pattern, kMaxNameBytes, {},
           "glob on the module's name without .weight; * stands for any text, ? for one character"),
      Text("part", &RecipeRule::part, kMaxNameBytes, {"", "language", "vision", "projector"},
           "only modules of this part; empty for all"),
      Text("kind", &RecipeRule::kind, kMaxNameBytes, {"", "linear", "head", "embedding"},
           "only modules of this kind; empty for all"),
      Choice("method", &RecipeRule::method, MethodChoices()),
      Number("bits", &RecipeRule::bits, Bits(), "bits of a code: 2 to 8"),
      Number("group_size", &RecipeRule::group_size, GroupSize(), "columns that share a scale, a multiple of 8"),
      Number("outlier_ratio", &RecipeRule::outlier_ratio, Ratio(),
             "share of the weights kept in FP16 by gwq, spqr or tuned, 0 to 0.5"),
  };
  return table;
}

const Table<ChatTurn>& TurnTable() {
  using namespace recipe_table;
  static const Table<ChatTurn> table = {
      Text("role", &ChatTurn::role, kMaxNameBytes, {}, "role of the speaker, as in the model's chat template"),
      Text("content", &ChatTurn::content, kMaxRecipeTextBytes, {}, "text of the message"),
  };
  return table;
}

const Table<CalibrationPart>& PartTable() {
  using namespace recipe_table;
  static const Table<CalibrationPart> table = {
      Choice("source", &CalibrationPart::source, "default, generated, text, file or dataset"),
      Text("text", &CalibrationPart::text, kMaxRecipeTextBytes, {}, "as calibration.text"),
      Text("blob", &CalibrationPart::blob, kMaxNameBytes, {}, "as calibration.blob, of a text"),
      Text("dataset", &CalibrationPart::dataset, kMaxNameBytes, {}, "as calibration.dataset"),
      Number("weight", &CalibrationPart::weight, Limits{.low = kMinWeight, .high = 1 / kMinWeight},
             "share of the samples, relative to the other parts' weights"),
  };
  return table;
}

const Table<Calibration>& CalibrationTable() {
  using namespace recipe_table;
  static const Table<Calibration> table = {
      Choice(
          "source", &Calibration::source,
          "generated (by the model itself, greedily; of a vision-language model: image), text, chat, token_ids, file, "
          "image, dataset, default (the set that ships with the service) or mix (calibration.parts)"),
      Text("text", &Calibration::text, kMaxRecipeTextBytes, {}, "the sample, with source text"),
      Records("messages", &Calibration::messages, TurnTable(), kMaxTurns),
      Integers("token_ids", &Calibration::token_ids, kMaxTokens, Limits{.low = 0, .high = 2147483647},
               "the sample, with source token_ids"),
      Text("blob", &Calibration::blob, kMaxNameBytes, {},
           "digest of an uploaded text (source file) or image (source image)"),
      Text("question", &Calibration::question, kMaxRecipeTextBytes, {}, "question about the image, with source image"),
      Text("answer", &Calibration::answer, kMaxRecipeTextBytes, {}, "answer to the question, with source image"),
      Number("max_tokens", &Calibration::max_tokens, Limits{.low = 2, .high = kMaxTokens},
             "tokens of each sample at most; a text is cut there, 2 to 8192"),
      Number("samples", &Calibration::samples, Limits{.low = 0, .high = kMaxSamples},
             "samples taken from a text, file, dataset, the default set, a mix or the model's own text; 0: one for "
             "gwq, as many as they need "
             "for gptq, spqr and tuned"),
      Text("dataset", &Calibration::dataset, kMaxNameBytes, {},
           "datasets/NAME or NAME, pushed before, with source dataset: its lines are the samples"),
      Records("parts", &Calibration::parts, PartTable(), kMaxParts),
  };
  return table;
}

Limits Damping() { return {.low = 0.0001, .high = 1}; }

const Table<GwqOptions>& GwqTable() {
  using namespace recipe_table;
  static const Table<GwqOptions> table = {
      Number("outlier_ratio", &GwqOptions::outlier_ratio, Ratio(),
             "share of each matrix's weights kept in FP16 by gwq, 0 to 0.5"),
      Choice("select", &GwqOptions::select, "what picks the outliers: gradient; magnitude and random are controls"),
      Choice("loss", &GwqOptions::loss,
             "last (cross-entropy at the last position) or all (its mean over all positions)"),
  };
  return table;
}

const Table<GptqOptions>& GptqTable() {
  using namespace recipe_table;
  static const Table<GptqOptions> table = {
      Number("damping", &GptqOptions::damping, Damping(),
             "share of the mean diagonal added to the Gram matrix's diagonal, 0.0001 to 1"),
      Flag("range_search", &GptqOptions::range_search,
           "true: search each group's range for the least output error; false: take its minimum and maximum"),
      Flag("act_order", &GptqOptions::act_order, "true: quantize columns by falling diagonal of the Gram matrix"),
  };
  return table;
}

const Table<SpqrOptions>& SpqrTable() {
  using namespace recipe_table;
  static const Table<SpqrOptions> table = {
      Number("outlier_ratio", &SpqrOptions::outlier_ratio, Ratio(),
             "share of each matrix's weights kept in FP16 by spqr, 0 to 0.5"),
      Number("damping", &SpqrOptions::damping, Damping(),
             "share of the mean diagonal added to the Gram matrix's diagonal, 0.0001 to 1"),
      Flag("range_search", &SpqrOptions::range_search,
           "true: search each group's range for the least output error; false: take its minimum and maximum"),
  };
  return table;
}

Limits Steps() { return {.low = 0, .high = 100'000}; }

const Table<TunedOptions>& TunedTable() {
  using namespace recipe_table;
  static const Table<TunedOptions> table = {
      Number("outlier_ratio", &TunedOptions::outlier_ratio, Ratio(),
             "share of each matrix's weights kept in FP16 by tuned, 0 to 0.5"),
      Number("metric_samples", &TunedOptions::metric_samples, Limits{.low = 0, .high = kMaxSamples},
             "samples of the gradient pass that weighs the errors of each block's output; 0: all count the same"),
      Number("block_steps", &TunedOptions::block_steps, Steps(), "steps of learned rounding of each block"),
      Number("model_steps", &TunedOptions::model_steps, Steps(),
             "steps that tune the scales of all blocks together, after the last block"),
      Number("text_share", &TunedOptions::text_share, Limits{.low = 0, .high = 0.5},
             "share of the sample's own next token in what these steps aim at, 0 to 0.5; the rest is what the "
             "full-precision model predicts"),
  };
  return table;
}

constexpr double kMaxBytes = 1e15;

const Table<Target>& TargetTable() {
  using namespace recipe_table;
  static const Table<Target> table = {
      Number("bits", &Target::bits, Limits{.low = 0, .high = 16},
             "stored bits per weight of all quantized matrices together, at most; bits and group sizes are then chosen "
             "for each matrix; 0: no target"),
      Number("bytes", &Target::bytes, Limits{.low = 0, .high = kMaxBytes},
             "bytes of all stored tensors together, at most, in the place of target.bits; 0: no target"),
      Number("samples", &Target::samples, Limits{.low = 1, .high = kMaxSamples},
             "samples of the gradient pass that measures what rounding costs, at most"),
      Flag("tie_fused", &Target::tie_fused,
           "true: one choice for query, key and value, and one for gate and up, as programs with fused kernels need"),
      Flag("outliers", &Target::outliers,
           "true: a matrix may also keep 0.5 or 1 % of its weights in FP16, with a method that takes outliers and no "
           "outlier_ratio given"),
  };
  return table;
}

const Table<Recipe>& RecipeTable() {
  using namespace recipe_table;
  static const std::string methods = fmt::format(
      "method of every Linear that is not the head: {}; rtn rounds to nearest, keep leaves the weights as they are",
      MethodChoices());
  static const Table<Recipe> table = {
      Choice("method", &Recipe::method, methods),
      Choice("effort", &Recipe::effort,
             "how much time tuned takes: fast, normal or thorough; sets samples and steps that the recipe leaves open"),
      Number("bits", &Recipe::bits, Bits(), "bits of a code: 2 to 8"),
      Number("group_size", &Recipe::group_size, GroupSize(), "columns that share a scale, a multiple of 8"),
      Number("format_version", &Recipe::format_version, Limits{.allowed = {1, 2}},
             "version of the stored format: 1, or 2, which is smaller and which releases before it do not read; by "
             "default 2 for tuned, else 1"),
      Number("scale_bits", &Recipe::scale_bits, Limits{.allowed = {8, 16}},
             "bits of a group's scale: 16, or 8 with format_version 2; by default 8 for tuned, else 16"),
      Record("target", &Recipe::target, TargetTable()),
      Record("gwq", &Recipe::gwq, GwqTable()),
      Record("gptq", &Recipe::gptq, GptqTable()),
      Record("spqr", &Recipe::spqr, SpqrTable()),
      Record("tuned", &Recipe::tuned, TunedTable()),
      Number("head_bits", &Recipe::head_bits, KeptOrEight(),
             "bits of an untied head: 8 (round to nearest) or 16 (kept)"),
      Number("embedding_bits", &Recipe::embedding_bits, KeptOrEight(),
             "bits of the embedding and a tied head: 8 (round to nearest) or 16 (kept)"),
      Number("threads", &Recipe::threads, Limits{.low = 1, .high = 256},
             "threads of the calibration; another number may make another artifact"),
      Number("seed", &Recipe::seed, Limits{.low = 0, .high = kMaxUnsigned},
             "seed of which samples are taken from a text or dataset (0: evenly), and of random outliers"),
      Record("calibration", &Recipe::calibration, CalibrationTable()),
      Records("rules", &Recipe::rules, RuleTable(), kMaxRules),
  };
  return table;
}

// A source's own field must be there, another source's must not: it would silently be ignored.
absl::Status CheckSourceFields(const Calibration& calibration) {
  const CalibrationSource source = calibration.source;
  const auto one = [&](std::string_view field, bool given, CalibrationSource owner, std::string_view needs) {
    const std::string path = fmt::format("recipe.calibration.{}", field);
    if (given && source != owner) {
      return InvalidField(path, fmt::format("is given, but calibration.source is '{}'; use source '{}' or leave it out",
                                            EnumText(source), EnumText(owner)));
    }
    if (!given && source == owner) return InvalidField(path, needs);
    return absl::OkStatus();
  };
  GWQ_RETURN_IF_ERROR(
      one("text", !calibration.text.empty(), CalibrationSource::kText, "is empty; give the calibration text"));
  GWQ_RETURN_IF_ERROR(one("messages", !calibration.messages.empty(), CalibrationSource::kChat,
                          "is empty; give at least one chat turn"));
  GWQ_RETURN_IF_ERROR(one("token_ids", !calibration.token_ids.empty(), CalibrationSource::kTokenIds,
                          "is empty; give at least two token ids"));
  GWQ_RETURN_IF_ERROR(one("dataset", !calibration.dataset.empty(), CalibrationSource::kDataset,
                          "is empty; give the name of a dataset"));
  GWQ_RETURN_IF_ERROR(
      one("parts", !calibration.parts.empty(), CalibrationSource::kMix, "is empty; give at least one part"));
  // An image is a blob, and may have a question and an answer.
  if (source == CalibrationSource::kImage) return absl::OkStatus();
  GWQ_RETURN_IF_ERROR(
      one("blob", !calibration.blob.empty(), CalibrationSource::kFile, "is empty; give the digest of a text"));
  GWQ_RETURN_IF_ERROR(one("question", !calibration.question.empty(), CalibrationSource::kImage, ""));
  return one("answer", !calibration.answer.empty(), CalibrationSource::kImage, "");
}

absl::Status CheckSampleCount(const Calibration& calibration) {
  if (calibration.samples <= 1 || DefaultSamples(calibration.source, /*needs_gram=*/true) != 1) return absl::OkStatus();
  return InvalidField("recipe.calibration.samples",
                      fmt::format("is {}, but a calibration from '{}' is one sample; use 1, or source text, file, "
                                  "dataset, default, mix or generated",
                                  calibration.samples, EnumText(calibration.source)));
}

absl::Status CheckMessagesAndTokens(const Calibration& calibration) {
  if (calibration.source == CalibrationSource::kTokenIds && calibration.token_ids.size() < 2) {
    return InvalidField("recipe.calibration.token_ids", "has 1 entry; give at least two token ids");
  }
  for (size_t i = 0; i < calibration.messages.size(); ++i) {
    if (calibration.messages[i].role.empty()) {
      return InvalidField(fmt::format("recipe.calibration.messages[{}].role", i), "is empty");
    }
  }
  return absl::OkStatus();
}

// Of a calibration or of a part of it.
template <class T>
absl::Status CheckDigests(const T& from, std::string_view path) {
  for (const auto& [field, text] : {std::pair("blob", &from.blob), {"dataset", &from.dataset}}) {
    const auto digest = Digest::Parse(*text);
    if (text->empty() || digest.ok()) continue;
    return InvalidField(fmt::format("{}.{}", path, field), MessageOf(digest.status()));
  }
  return absl::OkStatus();
}

absl::Status CheckPart(const CalibrationPart& part, std::string_view path) {
  const auto one = [&](std::string_view field, bool given, CalibrationSource owner) {
    if (given == (part.source == owner)) return absl::OkStatus();
    return InvalidField(
        fmt::format("{}.{}", path, field),
        fmt::format("is {}, but the part's source is '{}'", given ? "given" : "empty", EnumText(part.source)));
  };
  switch (part.source) {
    case CalibrationSource::kDefault:
    case CalibrationSource::kGenerated:
    case CalibrationSource::kText:
    case CalibrationSource::kFile:
    case CalibrationSource::kDataset:
      break;
    default:
      return InvalidField(fmt::format("{}.source", path),
                          fmt::format("'{}' cannot be a part of a mix; use default, generated, text, file or dataset",
                                      EnumText(part.source)));
  }
  GWQ_RETURN_IF_ERROR(one("text", !part.text.empty(), CalibrationSource::kText));
  GWQ_RETURN_IF_ERROR(one("blob", !part.blob.empty(), CalibrationSource::kFile));
  GWQ_RETURN_IF_ERROR(one("dataset", !part.dataset.empty(), CalibrationSource::kDataset));
  return CheckDigests(part, path);
}

absl::Status CheckCalibration(const Calibration& calibration) {
  GWQ_RETURN_IF_ERROR(CheckSourceFields(calibration));
  GWQ_RETURN_IF_ERROR(CheckSampleCount(calibration));
  GWQ_RETURN_IF_ERROR(CheckMessagesAndTokens(calibration));
  for (size_t i = 0; i < calibration.parts.size(); ++i) {
    GWQ_RETURN_IF_ERROR(CheckPart(calibration.parts[i], fmt::format("recipe.calibration.parts[{}]", i)));
  }
  return CheckDigests(calibration, "recipe.calibration");
}

// `name` is that of the field, which a calibration and its parts have both.
std::vector<NamedDigest> Named(const Calibration& calibration, std::string_view name, std::string Calibration::* whole,
                               std::string CalibrationPart::* of_part) {
  std::vector<NamedDigest> out;
  if (!(calibration.*whole).empty()) out.push_back({fmt::format("recipe.calibration.{}", name), calibration.*whole});
  for (size_t i = 0; i < calibration.parts.size(); ++i) {
    const std::string& digest = calibration.parts[i].*of_part;
    if (!digest.empty()) out.push_back({fmt::format("recipe.calibration.parts[{}].{}", i, name), digest});
  }
  return out;
}

bool Uses(const Recipe& recipe, Method method) {
  return recipe.method == method ||
         std::ranges::any_of(recipe.rules, [&](const RecipeRule& rule) { return rule.method == method; });
}

absl::Status CheckRules(const std::vector<RecipeRule>& rules) {
  for (size_t i = 0; i < rules.size(); ++i) {
    const RecipeRule& rule = rules[i];
    if (rule.pattern.empty()) {
      return InvalidField(fmt::format("recipe.rules[{}].pattern", i), "is empty; '*' stands for every module");
    }
    if (!rule.method && !rule.bits && !rule.group_size && !rule.outlier_ratio) {
      return InvalidField(fmt::format("recipe.rules[{}]", i),
                          "sets nothing; give method, bits, group_size or outlier_ratio");
    }
  }
  return absl::OkStatus();
}

// What the fields that are missing in a recipe's object are. A format_version of another type is told by ParseRecord.
absl::StatusOr<Recipe> DefaultsFor(const Json& recipe) {
  Recipe given;
  std::optional<int> format_version;
  if (recipe.is_object()) {
    if (const auto method = recipe.find("method"); method != recipe.end()) {
      GWQ_RETURN_IF_ERROR(recipe_table::ParseEnum(*method, "recipe.method", given.method));
    }
    if (const auto effort = recipe.find("effort"); effort != recipe.end()) {
      GWQ_RETURN_IF_ERROR(recipe_table::ParseEnum(*effort, "recipe.effort", given.effort));
    }
    if (const auto version = recipe.find("format_version"); version != recipe.end() && version->is_number_integer()) {
      format_version = version->get<int>();
    }
  }
  return RecipeOf(given.method, given.effort, format_version);
}

}  // namespace

absl::Status CheckRecipe(const Recipe& recipe) {
  GWQ_RETURN_IF_ERROR(recipe_table::CheckRecord(RecipeTable(), recipe, "recipe"));
  if (recipe.scale_bits == 8 && recipe.format_version == 1) {
    return InvalidField("recipe.scale_bits", "is 8, which format_version 1 cannot store; use format_version 2");
  }
  if (recipe.target.bits > 0 && recipe.target.bytes > 0) {
    return InvalidField("recipe.target.bytes", "is given, and target.bits too; give one of them");
  }
  GWQ_RETURN_IF_ERROR(CheckCalibration(recipe.calibration));
  return CheckRules(recipe.rules);
}

std::string RecipeJson(const Recipe& recipe) { return CanonicalJson(recipe_table::PrintRecord(RecipeTable(), recipe)); }

std::string BytesRecipeJson(const Recipe& recipe) {
  Json out = recipe_table::PrintRecord(RecipeTable(), recipe);
  // Fields as they stood in the first version, which artifacts are named by.
  for (const auto& [key, value] : out["gwq"].items()) out[key] = value;
  out.erase("gwq");
  if (!Uses(recipe, Method::kGptq)) out.erase("gptq");
  if (!Uses(recipe, Method::kSpqr)) out.erase("spqr");
  if (!Uses(recipe, Method::kTuned)) out.erase("tuned");
  out.erase("effort");  // what it set is there
  if (recipe.format_version == 1) out.erase("format_version");
  if (recipe.scale_bits == 16) out.erase("scale_bits");
  if (!recipe.target.given())
    out.erase("target");
  else if (!recipe.target.outliers)
    out["target"].erase("outliers");
  if (recipe.calibration.samples == 0) out["calibration"].erase("samples");
  if (recipe.calibration.source != CalibrationSource::kDataset) out["calibration"].erase("dataset");
  if (recipe.calibration.source != CalibrationSource::kMix) out["calibration"].erase("parts");
  return CanonicalJson(out);
}

std::vector<std::string> MoveOldFields(Json& recipe) {
  std::vector<std::string> notes;
  if (!recipe.is_object()) return notes;
  for (const char* const name : {"outlier_ratio", "select", "loss"}) {
    const auto old = recipe.find(name);
    if (old == recipe.end()) continue;
    Json value = *old;
    recipe.erase(old);
    Json& group = recipe["gwq"];
    if (!group.is_null() && !group.is_object()) continue;
    if (!group.contains(name)) group[name] = std::move(value);
    notes.push_back(fmt::format("recipe.{0} is now recipe.gwq.{0}; the next version will not read the old name", name));
  }
  return notes;
}

absl::StatusOr<Recipe> ParseRecipe(std::string_view json, std::vector<std::string>* notes) {
  GWQ_ASSIGN_OR_RETURN(Json parsed, ParseJson("recipe", json));
  std::vector<std::string> moved = MoveOldFields(parsed);
  if (notes != nullptr) *notes = std::move(moved);
  GWQ_ASSIGN_OR_RETURN(Recipe recipe, DefaultsFor(parsed));
  GWQ_RETURN_IF_ERROR(recipe_table::ParseRecord(RecipeTable(), parsed, "recipe", recipe));
  GWQ_RETURN_IF_ERROR(CheckRecipe(recipe));
  return recipe;
}

std::vector<NamedDigest> CalibrationDatasets(const Calibration& calibration) {
  return Named(calibration, "dataset", &Calibration::dataset, &CalibrationPart::dataset);
}

std::vector<NamedDigest> CalibrationBlobs(const Calibration& calibration) {
  return Named(calibration, "blob", &Calibration::blob, &CalibrationPart::blob);
}

std::vector<Calibration> CalibrationParts(const Calibration& calibration, int64_t samples) {
  if (calibration.source != CalibrationSource::kMix) {
    std::vector<Calibration> whole{calibration};
    whole.front().samples = samples;
    return whole;
  }
  double sum = 0;
  for (const CalibrationPart& part : calibration.parts) sum += part.weight;
  std::vector<Calibration> out;
  std::vector<std::pair<double, size_t>> rests;  // negative, so that they sort by the largest and then the first
  int64_t left = samples;
  for (const CalibrationPart& part : calibration.parts) {
    Calibration& one = out.emplace_back();
    one.source = part.source;
    one.text = part.text;
    one.blob = part.blob;
    one.dataset = part.dataset;
    one.max_tokens = calibration.max_tokens;
    const double share = static_cast<double>(samples) * part.weight / sum;
    one.samples = std::min(static_cast<int64_t>(share), left);
    rests.emplace_back(static_cast<double>(one.samples) - share, rests.size());
    left -= one.samples;
  }
  std::ranges::sort(rests);
  for (size_t i = 0; i < rests.size() && left > 0; ++i, --left) ++out[rests[i].second].samples;
  return out;
}

Recipe RecipeOf(Method method, Effort effort, std::optional<int> format_version) {
  Recipe recipe;
  recipe.method = method;
  recipe.effort = effort;
  if (method == Method::kTuned) recipe.format_version = 2;
  if (format_version) recipe.format_version = *format_version;
  if (method == Method::kTuned && recipe.format_version != 1) recipe.scale_bits = 8;
  if (effort == Effort::kFast) {
    recipe.tuned.block_steps = 20;
    recipe.tuned.model_steps = 24;
  } else if (effort == Effort::kThorough) {
    recipe.tuned.block_steps = 200;
    recipe.tuned.model_steps = 240;
    recipe.tuned.text_share = 0.15;
  }
  return recipe;
}

int64_t DefaultSamples(CalibrationSource source, bool needs_several, Effort effort) {
  if (!needs_several) return 1;
  switch (source) {
    case CalibrationSource::kText:
    case CalibrationSource::kFile:
    case CalibrationSource::kDataset:
    case CalibrationSource::kDefault:
    case CalibrationSource::kMix:
      return effort == Effort::kFast ? 16 : effort == Effort::kThorough ? 128 : 32;
    case CalibrationSource::kGenerated:
      return 8;  // each is made token by token
    case CalibrationSource::kChat:
    case CalibrationSource::kTokenIds:
    case CalibrationSource::kImage:
      return 1;  // they are one sample each
  }
  return 1;
}

const std::vector<RecipeField>& RecipeFields() {
  // The names are joined once and live as long as the program.
  static const auto leaves = recipe_table::Leaves(RecipeTable(), "");
  static const std::vector<RecipeField> fields = [] {
    std::vector<RecipeField> out;
    for (const auto& [name, about] : leaves) out.push_back({name, about.first, about.second});
    return out;
  }();
  return fields;
}

}  // namespace gwq
