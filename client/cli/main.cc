// gwq: submit, watch, download and ask.
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "client/cli/checks.h"
#include "client/cli/commands/command.h"
#include "client/cli/errors.h"
#include "client/cli/output.h"
#include "core/base/address.h"
#include "core/base/bearer_token.h"
#include "core/base/status.h"
#include "core/base/version.h"
#include "core/io/file_system.h"

namespace gwq::cli {
namespace {

std::string UsualConfigFile() {
  const char* const home = std::getenv("HOME");
  return home == nullptr ? "" : std::string(home) + "/.config/gwq/config.toml";
}

// See WithEnvironment.
void FromEnvironment(CLI::Option* option, const std::string& variable) {
  option->envname(variable)->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
}

void AddGlobalOptions(CLI::App& app, Settings& settings) {
  FromEnvironment(app.add_option("--jobs", settings.jobs, "address of gwq-jobs")->capture_default_str(), "GWQ_JOBS");
  FromEnvironment(app.add_option("--infer", settings.infer, "address of gwq-infer")->capture_default_str(),
                  "GWQ_INFER");
  FromEnvironment(
      app.add_option("--token", settings.token, "bearer token (better in the environment or the configuration file)"),
      "GWQ_TOKEN");
  app.add_option("--timeout", settings.timeout_seconds,
                 "seconds that one call may take; loading a model, its answers and what is streamed have no limit")
      ->check(CLI::Range(0.1, 86400.0))
      ->check(NotNan)
      ->capture_default_str();
  app.add_flag("--json", settings.json, "print results as JSON, one object per line");
  app.add_flag("--quiet,-q", settings.quiet, "print no progress and no notes on standard error");
  app.set_version_flag("--version", kVersion, "print the version and exit");
  app.allow_config_extras(CLI::config_extras_mode::error);
  FromEnvironment(
      app.set_config("--config", UsualConfigFile(),
                     "file with the options above, as `name = \"value\"` lines; flags and environment override it"),
      "GWQ_CONFIG");
}

// The words as CLI11 takes a vector: the last one first. CLI11 would let the file win over the environment and find no
// file that the environment names, so the environment becomes flags before those given: the last of a kind counts.
std::vector<std::string> WithEnvironment(const CLI::App& app, int argc, char** argv) {
  std::vector<std::string> words;
  for (const CLI::Option* option : app.get_options()) {
    const std::string variable = option->get_envname();
    const char* const value = variable.empty() ? nullptr : std::getenv(variable.c_str());
    if (value != nullptr && *value != '\0') words.push_back(option->get_name() + "=" + value);
  }
  words.insert(words.end(), argv + 1, argv + argc);
  std::reverse(words.begin(), words.end());
  return words;
}

int Report(const absl::Status& status, bool json) {
  if (json) {
    PrintErrorJson(ErrorJson(status));
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

// Of a command line that could not be parsed: its own --json counts, whatever came of the rest.
bool WantsJson(const Settings& settings, int argc, char** argv) {
  return settings.json || std::find(argv, argv + argc, std::string_view("--json")) != argv + argc;
}

// Help, or what is wrong with the command line; the words are CLI11's.
int ExitParsing(const CLI::App& app, const CLI::ParseError& error, bool json) {
  std::ostringstream out, err;
  const bool helped = app.exit(error, out, err) == 0;
  if (json && !helped) {
    PrintErrorJson(ErrorJson(absl::InvalidArgumentError(error.what())));
  } else {
    Write(out.str());
    WriteError(err.str());
  }
  return Finish(helped ? kExitOk : kExitUsage, json);
}

// A line that was parsed and means nothing.
int Refuse(std::string_view message, bool json) {
  if (json) {
    PrintErrorJson(ErrorJson(absl::InvalidArgumentError(absl::string_view(message.data(), message.size()))));
  } else {
    PrintError("gwq: {}\n", message);
  }
  return kExitUsage;
}

int RefuseFile(const CLI::ParseError& error, bool json) {
  return Refuse(fmt::format("--config [GWQ_CONFIG]: {}", error.what()), json);
}

// CLI11 misses a command, or an argument of one, before it names words that it does not know: of `gwq model list` it
// would say that a subcommand is required.
int RefuseIncomplete(const CLI::App& app, const CLI::RequiredError& error, bool json) {
  const std::vector<std::string> unknown = app.remaining(/*recurse=*/true);
  if (unknown.empty()) return ExitParsing(app, error, json);
  return ExitParsing(app, CLI::ExtrasError({unknown.front()}), json);
}

// Where the value of a global option comes from.
std::string SourceOf(const CLI::App& app, const std::string& name, int argc, char** argv) {
  const bool flagged = std::any_of(argv + 1, argv + argc,
                                   [&](std::string_view word) { return word == name || word.starts_with(name + "="); });
  if (flagged) return name;
  const std::string variable = app.get_option(name)->get_envname();
  const char* const value = std::getenv(variable.c_str());
  if (value != nullptr && *value != '\0') return variable;
  return fmt::format("{} in {}", name.substr(2), app.get_option("--config")->as<std::string>());
}

// What no call could be made with is wrong usage, whatever the command. The token stays out of what is printed.
absl::Status CheckSettings(const CLI::App& app, const Settings& settings, int argc, char** argv) {
  const auto annotated = [&](const absl::Status& status, const std::string& name) {
    return status.ok() ? status : Annotate(status, SourceOf(app, name, argc, argv));
  };
  GWQ_RETURN_IF_ERROR(annotated(CheckAddress(settings.jobs), "--jobs"));
  GWQ_RETURN_IF_ERROR(annotated(CheckAddress(settings.infer), "--infer"));
  return annotated(CheckBearerToken(settings.token), "--token");
}

// Every file that --config names, as one word or two.
std::vector<std::string> FlaggedConfigFiles(int argc, char** argv) {
  constexpr std::string_view kFlag = "--config";
  std::vector<std::string> files;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (!word.starts_with(kFlag)) continue;
    if (word == kFlag) {
      files.emplace_back(i + 1 < argc ? argv[i + 1] : "");
    } else if (word[kFlag.size()] == '=') {
      files.emplace_back(word.substr(kFlag.size() + 1));
    }
  }
  return files;
}

// Nothing is opened that might keep CLI11 waiting: no pipe of the file system, no device. What the caller has opened
// for us, a here-document or a process substitution, is no such thing, and nothing is in /dev/null.
void RefuseSpecialFile(const std::string& path) {
  if (path == "/dev/null" || path == "/dev/stdin" || path.starts_with("/dev/fd/") || path.starts_with("/proc/self/fd/"))
    return;
  const absl::Status regular = LocalFileSystem().Size(path).status();
  if (absl::IsInvalidArgument(regular)) throw CLI::FileError(std::string(MessageOf(regular)));
}

void CheckConfigFiles(int argc, char** argv) {
  std::vector<std::string> files = FlaggedConfigFiles(argc, argv);
  if (files.empty()) {
    const char* const named = std::getenv("GWQ_CONFIG");
    files.push_back(named != nullptr && *named != '\0' ? named : UsualConfigFile());
  }
  std::ranges::for_each(files, RefuseSpecialFile);
}

int Main(int argc, char** argv) {
  ReserveStandardStreams();
  CLI::App app("Quantize models by gradient and ask them.", "gwq");
  app.require_subcommand(1);
  app.fallthrough();
  app.footer(
      "The options of gwq itself (gwq --help) may stand anywhere on the line.\n"
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
  AddSweepCommand(app, selected);
  AddEvalCommands(app, selected);
  AddGenerateCommand(app, selected);
  AddVqaCommand(app, selected);
  AddServeCommands(app, selected);
  try {
    CheckConfigFiles(argc, argv);
    app.parse(WithEnvironment(app, argc, argv));
  } catch (const CLI::FileError& error) {
    return RefuseFile(error, WantsJson(settings, argc, argv));
  } catch (const CLI::ConfigError& error) {
    return RefuseFile(error, WantsJson(settings, argc, argv));
  } catch (const CLI::RequiredError& error) {
    return RefuseIncomplete(app, error, WantsJson(settings, argc, argv));
  } catch (const CLI::ParseError& error) {
    return ExitParsing(app, error, WantsJson(settings, argc, argv));
  }
  if (const absl::Status usable = CheckSettings(app, settings, argc, argv); !usable.ok()) {
    return Refuse(MessageOf(usable), settings.json);
  }
  Session session(settings);
  absl::StatusOr<ExitCode> code = selected.action(session);
  session.terminal().Done();
  return Finish(std::move(code), settings.json);
}

}  // namespace
}  // namespace gwq::cli

int main(int argc, char** argv) { return gwq::cli::Main(argc, argv); }
