// An evaluation's task as flags, and as one text for `gwq quantize --evaluate`.
#pragma once

#include <CLI/CLI.hpp>
#include <map>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "gwq/v1/evaluations.pb.h"

namespace gwq::cli {

// What was given, as text, by the proto's field name.
struct TaskArguments {
  std::map<std::string, std::string> fields;
};

// --kind, --dataset, --text-file and one flag a number. `arguments` outlives the app's parse.
void AddTaskFlags(CLI::App& command, TaskArguments& arguments);
// INVALID_ARGUMENT naming the field.
[[nodiscard]] absl::StatusOr<v1::EvaluationTask> TaskOf(const TaskArguments& arguments);
// "kind=choices,dataset=mmlu,limit=100,name=mmlu". INVALID_ARGUMENT for a key that is unknown or given twice, naming
// it.
[[nodiscard]] absl::StatusOr<v1::EvaluationTask> ParseTask(std::string_view text);

}  // namespace gwq::cli
