#include "core/spec/evaluation_task.h"

#include "core/base/sha256.h"
#include "core/base/status.h"
#include "core/spec/enum_names.h"
#include "core/spec/recipe_table.h"

namespace gwq {

inline constexpr EnumEntry<EvaluationKind> kEvaluationKindNames[] = {{EvaluationKind::kText, "text"},
                                                                     {EvaluationKind::kChoices, "choices"},
                                                                     {EvaluationKind::kVqa, "vqa"},
                                                                     {EvaluationKind::kGrounding, "grounding"}};
constexpr const auto& NamesOf(EvaluationKind) { return kEvaluationKindNames; }

namespace {

using recipe_table::Limits;
using recipe_table::Table;

constexpr size_t kMaxTextBytes = size_t{4} << 20;
constexpr size_t kMaxNameBytes = 63;

const Table<EvaluationTask>& TaskTable() {
  using namespace recipe_table;
  static const Table<EvaluationTask> table = {
      Text("name", &EvaluationTask::name, kMaxNameBytes, {}, "what a table calls it"),
      Choice("kind", &EvaluationTask::kind, "text, choices, vqa or grounding"),
      Text("dataset", &EvaluationTask::dataset, 64, {}, "digest of a dataset's manifest"),
      Text("text", &EvaluationTask::text, kMaxTextBytes, {}, "the text, with kind text"),
      Number("tokens", &EvaluationTask::tokens, Limits{.low = 2, .high = 1000000}, "tokens of the text to use"),
      Number("window", &EvaluationTask::window, Limits{.low = 2, .high = 8192}, "tokens in a window"),
      Number("limit", &EvaluationTask::limit, Limits{.low = 0, .high = 100000}, "items to use, the first ones; 0: all"),
      Text("delimiter", &EvaluationTask::delimiter, 16, {}, "between context and choice"),
      Number("max_tokens", &EvaluationTask::max_tokens, Limits{.low = 1, .high = 1024}, "of an answer"),
      Number("threads", &EvaluationTask::threads, Limits{.low = 1, .high = 256}, "of the computation"),
  };
  return table;
}

bool IsNameCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

absl::Status CheckName(const EvaluationTask& task, std::string_view path) {
  for (const char c : task.name) {
    if (IsNameCharacter(c)) continue;
    return InvalidField(fmt::format("{}.name", path),
                        fmt::format("'{}' has more than a-z, 0-9, '.', '_' and '-'", task.name));
  }
  return absl::OkStatus();
}

absl::Status CheckDataset(const EvaluationTask& task, std::string_view path) {
  const std::string field = fmt::format("{}.dataset", path);
  if (!task.dataset.empty()) {
    const auto digest = Digest::Parse(task.dataset);
    return digest.ok() ? absl::OkStatus() : InvalidField(field, MessageOf(digest.status()));
  }
  if (task.kind == EvaluationKind::kText) return absl::OkStatus();
  return InvalidField(field, fmt::format("is missing: kind '{}' asks questions of a dataset; upload one",
                                         EvaluationKindName(task.kind)));
}

}  // namespace

std::string_view EvaluationKindName(EvaluationKind kind) { return EnumText(kind); }

std::string_view EvaluationTask::title() const { return name.empty() ? EvaluationKindName(kind) : name; }

absl::Status CheckEvaluationTask(const EvaluationTask& task, std::string_view path) {
  GWQ_RETURN_IF_ERROR(recipe_table::CheckRecord(TaskTable(), task, path));
  GWQ_RETURN_IF_ERROR(CheckName(task, path));
  GWQ_RETURN_IF_ERROR(CheckDataset(task, path));
  const EvaluationTask plain;
  const bool text = task.kind == EvaluationKind::kText;
  const bool choices = task.kind == EvaluationKind::kChoices;
  const auto foreign = [&](std::string_view field, bool changed, bool owned) {
    if (!changed || owned) return absl::OkStatus();
    return InvalidField(fmt::format("{}.{}", path, field),
                        fmt::format("has no meaning with kind '{}'; leave it out", EvaluationKindName(task.kind)));
  };
  GWQ_RETURN_IF_ERROR(foreign("text", !task.text.empty(), text));
  GWQ_RETURN_IF_ERROR(foreign("tokens", task.tokens != plain.tokens, text));
  GWQ_RETURN_IF_ERROR(foreign("window", task.window != plain.window, text));
  GWQ_RETURN_IF_ERROR(foreign("limit", task.limit != plain.limit, !text));
  GWQ_RETURN_IF_ERROR(foreign("delimiter", task.delimiter != plain.delimiter, choices));
  GWQ_RETURN_IF_ERROR(foreign("max_tokens", task.max_tokens != plain.max_tokens, !text && !choices));
  if (text && !task.text.empty() && !task.dataset.empty()) {
    return InvalidField(fmt::format("{}.text", path), "is given together with a dataset; give only one of them");
  }
  return absl::OkStatus();
}

nlohmann::json EvaluationTaskJson(const EvaluationTask& task) { return recipe_table::PrintRecord(TaskTable(), task); }

absl::StatusOr<EvaluationTask> ParseEvaluationTask(const nlohmann::json& json, std::string_view path) {
  EvaluationTask task;
  GWQ_RETURN_IF_ERROR(recipe_table::ParseRecord(TaskTable(), json, path, task));
  GWQ_RETURN_IF_ERROR(CheckEvaluationTask(task, path));
  return task;
}

}  // namespace gwq
