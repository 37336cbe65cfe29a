// gwq: submit, watch, download and ask.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string_view>

#include "client/cli/command.h"
#include "client/cli/table.h"

namespace gwq::cli {
namespace {

void AddGlobalOptions(CLI::App& app, Settings& settings) {
  app.add_option("--jobs", settings.jobs, "address of gwq-jobs")->envname("GWQ_JOBS")->capture_default_str();
  app.add_option("--infer", settings.infer, "address of gwq-infer")->envname("GWQ_INFER")->capture_default_str();
  app.add_option("--token", settings.token, "bearer token (better in the environment or the configuration file)")
      ->envname("GWQ_TOKEN");
  app.add_option("--timeout", settings.timeout_seconds, "seconds a single call may take")
      ->check(CLI::Range(0.1, 86400.0))
      ->capture_default_str();
  app.add_flag("--json", settings.json, "results as JSON, one object a line");
  app.add_flag("--quiet,-q", settings.quiet, "no progress");
  std::string file;
  if (const char* home = std::getenv("HOME"); home != nullptr) file = std::string(home) + "/.config/gwq/config.toml";
  app.allow_config_extras(CLI::config_extras_mode::error);
  app.set_config("--config", file, "file with the options above, as `name = \"value\"` lines")->envname("GWQ_CONFIG");
}

int Report(const absl::Status& status, bool json) {
  if (json) {
    fmt::print(stderr, "{{\"error\":{{\"code\":\"{}\",\"message\":{}}}}}\n", absl::StatusCodeToString(status.code()),
               JsonString(MessageOf(status)));
  } else {
    fmt::print(stderr, "gwq: {}: {}\n", absl::StatusCodeToString(status.code()), MessageOf(status));
  }
  return ExitCodeOf(status);
}

int RefuseFile(const CLI::ParseError& error) {
  fmt::print(stderr, "gwq: --config [GWQ_CONFIG]: {}\n", error.what());
  return kExitUsage;
}

// CLI11 reads nothing, and says nothing, where the variable names a file that is not there.
void CheckNamedFile(int argc, char** argv) {
  const char* const named = std::getenv("GWQ_CONFIG");
  const bool by_flag =
      std::any_of(argv + 1, argv + argc, [](std::string_view word) { return word.starts_with("--config"); });
  if (by_flag || named == nullptr || *named == '\0' || std::filesystem::exists(named)) return;
  throw CLI::FileError::Missing(named);
}

int Main(int argc, char** argv) {
  CLI::App app("Quantize models by gradient and ask them.", "gwq");
  app.require_subcommand(1);
  app.fallthrough();
  app.footer(
      "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 refused as invalid, 5 unavailable or busy (try "
      "again),\n"
      "6 job failed, 7 job cancelled, 130 interrupted.");
  Settings settings;
  Selected selected;
  AddGlobalOptions(app, settings);
  AddModelCommands(app, selected);
  AddQuantizeCommand(app, selected);
  AddJobCommands(app, selected);
  AddArtifactCommands(app, selected);
  AddEvalCommands(app, selected);
  AddGenerateCommand(app, selected);
  AddVqaCommand(app, selected);
  AddServeCommands(app, selected);
  try {
    CheckNamedFile(argc, argv);
    app.parse(argc, argv);
  } catch (const CLI::FileError& error) {
    return RefuseFile(error);
  } catch (const CLI::ConfigError& error) {
    return RefuseFile(error);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kExitOk : kExitUsage;
  }
  Session session(settings);
  const absl::StatusOr<ExitCode> code = selected.action(session);
  session.terminal().Done();
  return code.ok() ? *code : Report(code.status(), settings.json);
}

}  // namespace
}  // namespace gwq::cli

int main(int argc, char** argv) { return gwq::cli::Main(argc, argv); }
