#include "client/cli/evaluation_flags.h"

#include <fmt/format.h>
#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "client/library/input_file.h"
#include "client/library/key_values.h"
#include "core/base/status.h"
#include "core/io/json.h"
#include "core/spec/evaluation_task.h"

namespace gwq::cli {
namespace {

constexpr uint64_t kMaxTextBytes = 4ULL << 20;

struct TaskFlag {
  const char* field;
  const char* help;
};
constexpr TaskFlag kFlags[] = {
    {"kind", "text, choices, vqa or grounding (default: what the data is made for, or text)"},
    {"dataset", "datasets/NAME or NAME, pushed before"},
    {"tokens", "how many tokens of a text are used"},
    {"window", "tokens in a window of a text; windows do not overlap"},
    {"limit", "use only this many questions, from the first on; 0: all"},
    {"delimiter", "text between context and choice (default: a space)"},
    {"max_tokens", "largest number of tokens of an answer"},
    {"threads", "threads of the computation; the result does not depend on them"},
};

std::string FlagName(std::string field) {
  std::ranges::replace(field, '_', '-');
  return "--" + field;
}

}  // namespace

void AddTaskFlags(CLI::App& command, TaskArguments& arguments) {
  const nlohmann::json defaults = EvaluationTaskJson({});
  for (const TaskFlag& flag : kFlags) {
    CLI::Option* const option = command.add_option_function<std::string>(
        FlagName(flag.field),
        [&arguments, field = std::string(flag.field)](const std::string& text) { arguments.fields[field] = text; },
        flag.help);
    const auto value = defaults.find(flag.field);
    if (value != defaults.end() && value->is_number()) option->default_str(value->dump());
  }
  command
      .add_option_function<std::string>(
          "--text-file", [&arguments](const std::string& path) { arguments.fields["text_file"] = path; },
          "a text that is sent with the job (default: one that ships with the service)")
      ->check(CLI::ExistingFile);
}

absl::StatusOr<v1::EvaluationTask> TaskOf(const TaskArguments& arguments) {
  nlohmann::json tree = nlohmann::json::object();
  for (const auto& [field, text] : arguments.fields) tree[field] = text;
  if (tree.contains("kind")) {
    std::string kind = tree["kind"];
    std::ranges::transform(kind, kind.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    tree["kind"] = kind;
  }
  if (tree.contains("dataset") && arguments.fields.at("dataset").find('/') == std::string::npos) {
    tree["dataset"] = "datasets/" + arguments.fields.at("dataset");
  }
  if (tree.contains("text_file")) {
    if (tree.contains("text")) return InvalidField("text", "is given together with text_file; give only one of them");
    GWQ_ASSIGN_OR_RETURN(tree["text"], client::ReadInputFile(arguments.fields.at("text_file"), kMaxTextBytes));
    tree.erase("text_file");
  }
  // JSON and protos hold UTF-8 alone.
  for (const auto& [field, value] : tree.items()) {
    if (!IsValidUtf8(value.get_ref<const std::string&>())) return InvalidField(field, "is not valid UTF-8 text");
  }
  v1::EvaluationTask task;
  // Numbers are read from strings, too.
  const auto status = google::protobuf::util::JsonStringToMessage(tree.dump(), &task);
  if (!status.ok()) return InvalidField("task", std::string(status.message()));
  return task;
}

absl::StatusOr<v1::EvaluationTask> ParseTask(std::string_view text) {
  GWQ_ASSIGN_OR_RETURN(const auto values, client::ParseKeyValues("evaluate", text));
  return TaskOf({.fields = {values.begin(), values.end()}});
}

}  // namespace gwq::cli
