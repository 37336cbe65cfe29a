#include "core/spec/quantize_evaluations.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "core/base/status.h"

namespace gwq {
namespace {

absl::StatusOr<std::optional<int64_t>> TakeInteger(nlohmann::json& recipe, const char* name) {
  const auto found = recipe.find(name);
  if (found == recipe.end()) return std::nullopt;
  if (!found->is_number_integer()) {
    return InvalidField(fmt::format("recipe.{}", name), fmt::format("is a {}, not an integer", found->type_name()));
  }
  const auto value = found->get<int64_t>();
  recipe.erase(found);
  return value;
}

// A fault at "tokens" is one at "recipe.evaluation_tokens".
absl::Status CheckAsRecipe(const EvaluationTask& text) {
  constexpr std::string_view kPath = "task";
  const absl::Status status = CheckEvaluationTask(text, kPath);
  const std::vector<FieldViolation> faults = FieldViolations(status);
  if (faults.empty()) return status;
  return InvalidField("recipe.evaluation_" + faults[0].field.substr(kPath.size() + 1), faults[0].description);
}

}  // namespace

absl::StatusOr<OldTextEvaluation> TakeOldTextEvaluation(nlohmann::json& recipe) {
  OldTextEvaluation old;
  if (!recipe.is_object()) return old;
  if (const auto text = recipe.find("evaluation_text"); text != recipe.end()) {
    if (!text->is_string()) {
      return InvalidField("recipe.evaluation_text", fmt::format("is a {}, not a string", text->type_name()));
    }
    old.text = text->get<std::string>();
    recipe.erase(text);
  }
  GWQ_ASSIGN_OR_RETURN(old.tokens, TakeInteger(recipe, "evaluation_tokens"));
  GWQ_ASSIGN_OR_RETURN(old.window, TakeInteger(recipe, "evaluation_window"));
  return old;
}

absl::StatusOr<std::vector<EvaluationTask>> QuantizeEvaluations(std::vector<EvaluationTask> named,
                                                                const OldTextEvaluation& old, int threads) {
  if (!old.given() && !named.empty()) return named;
  if (old.tokens == 0) return named;
  EvaluationTask text;
  text.text = old.text;
  text.threads = threads;
  // One token was allowed, and failed when it was measured; stored jobs that ask for it are still to be read.
  if (old.tokens) text.tokens = *old.tokens == 1 ? 2 : *old.tokens;
  if (old.window) text.window = *old.window;
  GWQ_RETURN_IF_ERROR(CheckAsRecipe(text));
  named.insert(named.begin(), std::move(text));
  return named;
}

}  // namespace gwq
