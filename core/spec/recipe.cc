#include "core/spec/recipe.h"

#include "core/base/sha256.h"
#include "core/io/json.h"
#include "core/spec/recipe_table.h"

namespace gwq {
namespace {

using recipe_table::Json;
using recipe_table::Limits;
using recipe_table::Table;

constexpr size_t kMaxTextBytes = size_t{4} << 20;
constexpr size_t kMaxNameBytes = 256;
constexpr size_t kMaxRules = 1000;
constexpr size_t kMaxTurns = 1000;
constexpr int kMaxTokens = 8192;
// Longer groups than any row make one group a row; the limit keeps arithmetic on sizes safe.
constexpr double kMaxGroup = 1 << 20;
constexpr double kMaxUnsigned = 18446744073709551615.0;

Limits Bits() { return {.allowed = {2, 3, 4, 8}}; }
Limits KeptOrEight() { return {.allowed = {8, 16}}; }
Limits GroupSize() { return {.low = 8, .high = kMaxGroup, .step = 8}; }
Limits Ratio() { return {.low = 0, .high = 0.5}; }

const Table<RecipeRule>& RuleTable() {
  using namespace recipe_table;
  static const Table<RecipeRule> table = {
      Text("pattern", &RecipeRule::pattern, kMaxNameBytes, {},
           "glob on the module's name without .weight; * stands for any text, ? for one character"),
      Text("part", &RecipeRule::part, kMaxNameBytes, {"", "language", "vision", "projector"},
           "only modules of this part; empty for all"),
      Text("kind", &RecipeRule::kind, kMaxNameBytes, {"", "linear", "head", "embedding"},
           "only modules of this kind; empty for all"),
      Choice("method", &RecipeRule::method, "gwq, rtn or keep"),
      Number("bits", &RecipeRule::bits, Bits(), "bits of a code: 2, 3, 4 or 8"),
      Number("group_size", &RecipeRule::group_size, GroupSize(), "columns that share a scale, a multiple of 8"),
      Number("outlier_ratio", &RecipeRule::outlier_ratio, Ratio(), "share of the weights kept in FP16, 0 to 0.5"),
  };
  return table;
}

const Table<ChatTurn>& TurnTable() {
  using namespace recipe_table;
  static const Table<ChatTurn> table = {
      Text("role", &ChatTurn::role, kMaxNameBytes, {}, "role of the speaker, as in the model's chat template"),
      Text("content", &ChatTurn::content, kMaxTextBytes, {}, "text of the message"),
  };
  return table;
}

const Table<Calibration>& CalibrationTable() {
  using namespace recipe_table;
  static const Table<Calibration> table = {
      Choice(
          "source", &Calibration::source,
          "generated (by the model itself, greedily; of a vision-language model: image), text, chat, token_ids, file "
          "or image"),
      Text("text", &Calibration::text, kMaxTextBytes, {}, "the sample, with source text"),
      Records("messages", &Calibration::messages, TurnTable(), kMaxTurns),
      Integers("token_ids", &Calibration::token_ids, kMaxTokens, Limits{.low = 0, .high = 2147483647},
               "the sample, with source token_ids"),
      Text("blob", &Calibration::blob, kMaxNameBytes, {},
           "digest of an uploaded text (source file) or image (source image)"),
      Text("question", &Calibration::question, kMaxTextBytes, {}, "question about the picture, with source image"),
      Text("answer", &Calibration::answer, kMaxTextBytes, {}, "answer to the question, with source image"),
      Number("max_tokens", &Calibration::max_tokens, Limits{.low = 2, .high = kMaxTokens},
             "a text is cut to its first tokens, 2 to 8192"),
  };
  return table;
}

const Table<Recipe>& BytesTable() {
  using namespace recipe_table;
  static const Table<Recipe> table = {
      Choice("method", &Recipe::method,
             "method of every Linear that is not the head: gwq, rtn (round to nearest) or keep (as it is)"),
      Number("bits", &Recipe::bits, Bits(), "bits of a code: 2, 3, 4 or 8"),
      Number("group_size", &Recipe::group_size, GroupSize(), "columns that share a scale, a multiple of 8"),
      Number("outlier_ratio", &Recipe::outlier_ratio, Ratio(),
             "share of each matrix's weights kept in FP16 by gwq, 0 to 0.5"),
      Choice("select", &Recipe::select, "what picks the outliers: gradient; magnitude and random are controls"),
      Number("head_bits", &Recipe::head_bits, KeptOrEight(),
             "bits of an untied head: 8 (round to nearest) or 16 (kept)"),
      Number("embedding_bits", &Recipe::embedding_bits, KeptOrEight(),
             "bits of the embedding and a tied head: 8 (round to nearest) or 16 (kept)"),
      Choice("loss", &Recipe::loss, "last (cross-entropy at the last position) or all (its mean over all positions)"),
      Number("threads", &Recipe::threads, Limits{.low = 1, .high = 256},
             "threads of the calibration; another number may make another artifact"),
      Number("seed", &Recipe::seed, Limits{.low = 0, .high = kMaxUnsigned}, "seed of the outliers, with select random"),
      Record("calibration", &Recipe::calibration, CalibrationTable()),
      Records("rules", &Recipe::rules, RuleTable(), kMaxRules),
  };
  return table;
}

const Table<Recipe>& RecipeTable() {
  using namespace recipe_table;
  static const Table<Recipe> table = [] {
    Table<Recipe> all = BytesTable();
    all.push_back(Text("evaluation_text", &Recipe::evaluation_text, kMaxTextBytes, {},
                       "text for the report's figures; empty: the text that ships with the service"));
    all.push_back(Number("evaluation_tokens", &Recipe::evaluation_tokens, Limits{.low = 0, .high = 1000000},
                         "tokens of that text to use; 0 skips the evaluation"));
    all.push_back(Number("evaluation_window", &Recipe::evaluation_window, Limits{.low = 2, .high = kMaxTokens},
                         "tokens in a window; windows do not overlap"));
    return all;
  }();
  return table;
}

// A source's own field must be there, another source's must not: it would silently be ignored.
absl::Status CheckCalibration(const Calibration& calibration) {
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
  const bool image = source == CalibrationSource::kImage;
  if (!image) {
    GWQ_RETURN_IF_ERROR(
        one("blob", !calibration.blob.empty(), CalibrationSource::kFile, "is empty; give the digest of a text"));
    GWQ_RETURN_IF_ERROR(one("question", !calibration.question.empty(), CalibrationSource::kImage, ""));
    GWQ_RETURN_IF_ERROR(one("answer", !calibration.answer.empty(), CalibrationSource::kImage, ""));
  }
  if (source == CalibrationSource::kTokenIds && calibration.token_ids.size() < 2) {
    return InvalidField("recipe.calibration.token_ids", "has 1 entry; give at least two token ids");
  }
  for (size_t i = 0; i < calibration.messages.size(); ++i) {
    if (calibration.messages[i].role.empty()) {
      return InvalidField(fmt::format("recipe.calibration.messages[{}].role", i), "is empty");
    }
  }
  if (!calibration.blob.empty()) {
    if (const auto digest = Digest::Parse(calibration.blob); !digest.ok()) {
      return InvalidField("recipe.calibration.blob", MessageOf(digest.status()));
    }
  }
  return absl::OkStatus();
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

}  // namespace

absl::Status CheckRecipe(const Recipe& recipe) {
  GWQ_RETURN_IF_ERROR(recipe_table::CheckRecord(RecipeTable(), recipe, "recipe"));
  GWQ_RETURN_IF_ERROR(CheckCalibration(recipe.calibration));
  return CheckRules(recipe.rules);
}

std::string RecipeJson(const Recipe& recipe) { return CanonicalJson(recipe_table::PrintRecord(RecipeTable(), recipe)); }

std::string BytesRecipeJson(const Recipe& recipe) {
  return CanonicalJson(recipe_table::PrintRecord(BytesTable(), recipe));
}

absl::StatusOr<Recipe> ParseRecipe(std::string_view json) {
  GWQ_ASSIGN_OR_RETURN(const Json parsed, ParseJson("recipe", json));
  Recipe recipe;
  GWQ_RETURN_IF_ERROR(recipe_table::ParseRecord(RecipeTable(), parsed, "recipe", recipe));
  GWQ_RETURN_IF_ERROR(CheckRecipe(recipe));
  return recipe;
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
