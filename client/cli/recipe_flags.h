// The recipe's flags, made from core's field table: a field added there is a flag here.
#pragma once

#include <CLI/CLI.hpp>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "gwq/v1/jobs.pb.h"

namespace gwq::cli {

// What was given on the command line, as text.
struct RecipeArguments {
  std::string recipe_file;
  std::map<std::string, std::string> fields;  // by the table's name: "bits", "calibration.max_tokens"
  std::string calibration_file, calibration_chat_file;
  std::string evaluation_file;  // as flags named it one version ago
  std::vector<std::string> rules;
  std::vector<std::string> parts;  // of a calibration's mix
  std::vector<std::string> notes;  // of flags that have another name now
};

// "calibration.max_tokens" -> "--calibration-max-tokens".
[[nodiscard]] std::string RecipeFlagName(std::string_view field);

// One flag a scalar field, --rule for the rules, --calibration-part for a mix, and files for texts and dialogues.
// `arguments` outlives the app's parse.
void AddRecipeFlags(CLI::App& command, RecipeArguments& arguments);

// The recipe file with the flags laid over it. INVALID_ARGUMENT names the flag's field. `notes`, if given, gets a line
// for each field or flag that was given by the name that it had one version ago. The measurement of a text, which is an
// evaluation now, is left in the recipe's old fields for the service to read.
[[nodiscard]] absl::StatusOr<v1::Recipe> RecipeOf(const RecipeArguments& arguments,
                                                  std::vector<std::string>* notes = nullptr);

}  // namespace gwq::cli
