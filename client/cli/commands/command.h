// How a command joins the command line: it declares its flags and leaves an action for main to run.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>

#include "client/cli/session.h"
#include "core/base/status.h"

namespace gwq::cli {

using Action = std::function<absl::StatusOr<ExitCode>(Session&)>;

// Set by the subcommand that was given.
struct Selected {
  Action action;
};

void AddModelCommands(CLI::App& app, Selected& selected);
void AddQuantizeCommand(CLI::App& app, Selected& selected);
void AddSweepCommand(CLI::App& app, Selected& selected);
void AddJobCommands(CLI::App& app, Selected& selected);
void AddArtifactCommands(CLI::App& app, Selected& selected);
void AddEvalCommands(CLI::App& app, Selected& selected);
void AddGenerateCommand(CLI::App& app, Selected& selected);
void AddVqaCommand(CLI::App& app, Selected& selected);
void AddServeCommands(CLI::App& app, Selected& selected);

// The name of a file or folder as an id, "Questions (1)" -> "questions--1-": lower case, '-' for what an id cannot
// have, cut to 63 bytes.
[[nodiscard]] std::string IdOfFile(std::string name);
// "smollm2" -> "models/smollm2"; a full name stays.
[[nodiscard]] std::string ResourceName(const std::string& collection, const std::string& name);

}  // namespace gwq::cli
