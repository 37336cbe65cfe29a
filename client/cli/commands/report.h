// The report of an artifact or a job, printed or written to a file.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "client/cli/commands/command.h"

namespace gwq::cli {

// Adds "report NAME --format html|md|json --to FILE" below `parent`. `collection`: "artifacts" or "jobs".
void AddReportCommand(CLI::App& parent, Selected& selected, const std::string& collection);

}  // namespace gwq::cli
