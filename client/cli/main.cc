// gwq: submit, watch, download and ask.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <string_view>

#include "client/cli/command.h"
#include "client/cli/output.h"
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
    PrintError("{{\"error\":{{\"code\":\"{}\",\"message\":{}}}}}\n", absl::StatusCodeToString(status.code()),
               JsonString(MessageOf(status)));
  } else {
    PrintError("gwq: {}: {}\n", absl::StatusCodeToString(status.code()), MessageOf(status));
  }
  return ExitCodeOf(status);
}

// The exit code of a command that ended with `code`, once its results are written.
int Finish(absl::StatusOr<ExitCode> code, bool json) {
  const absl::Status written = CloseOutput();
  // It was ended because nobody takes its results: no failure of its own.
  if (!written.ok() && absl::IsCancelled(code.status())) code = kExitFailure;
  const int exit_code = code.ok() ? *code : Report(code.status(), json);
  if (written.ok()) return exit_code;
  if (!absl::IsAborted(written)) Report(written, json);
  return exit_code == kExitOk ? kExitFailure : exit_code;
}

// Help, or what is wrong with the command line; the words are CLI11's.
int ExitParsing(const CLI::App& app, const CLI::ParseError& error, bool json) {
  std::ostringstream out, err;
  const bool helped = app.exit(error, out, err) == 0;
  Write(out.str());
  WriteError(err.str());
  return Finish(helped ? kExitOk : kExitUsage, json);
}

int RefuseFile(const CLI::ParseError& error) {
  PrintError("gwq: --config [GWQ_CONFIG]: {}\n", error.what());
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
  ReserveStandardStreams();
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
    return ExitParsing(app, error, settings.json);
  }
  Session session(settings);
  absl::StatusOr<ExitCode> code = selected.action(session);
  session.terminal().Done();
  return Finish(std::move(code), settings.json);
}

}  // namespace
}  // namespace gwq::cli

int main(int argc, char** argv) { return gwq::cli::Main(argc, argv); }
