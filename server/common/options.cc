#include "server/common/options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <utility>
#include <vector>

#include "core/base/version.h"

namespace gwq {
namespace {

std::string Variable(std::string_view name) {
  std::string out = "GWQ_";
  for (const char c : name) out.push_back(c == '-' ? '_' : static_cast<char>(std::toupper(c)));
  return out;
}

// A file fits one program alone, so each has its variable: "gwq-jobs" -> GWQ_JOBS_CONFIG.
std::string ConfigVariable(std::string_view program) {
  if (program.starts_with("gwq-")) program.remove_prefix(4);
  return Variable(program) + "_CONFIG";
}

}  // namespace

struct Options::Impl {
  Impl(std::string_view program, std::string_view description) : app(std::string(description), std::string(program)) {
    app.set_version_flag("--version", kVersion, "print the version and exit");
    const std::string variable = ConfigVariable(program);
    app.set_config("--config", "",
                   "file with the settings below, as TOML or INI; keys have no leading dashes [" + variable + "]");
    app.allow_config_extras(CLI::config_extras_mode::error);
    variables.emplace_back("config", variable);
  }
  std::string Flag(std::string_view name, std::string_view help, std::string& text) {
    variables.emplace_back(name, Variable(name));
    text = std::string(help) + " [" + Variable(name) + "]";
    return "--" + std::string(name);
  }

  CLI::App app;
  // Says which file it is about and who named it. The words are CLI11's.
  int RefuseFile(const CLI::ParseError& error) const {
    std::fprintf(stderr, "%s: --config [%s]: %s\n", app.get_name().c_str(), variables.front().second.c_str(),
                 error.what());
    return error.get_exit_code();
  }

  std::vector<std::pair<std::string, std::string>> variables;  // of each flag; the file's comes first
};

Options::Options(std::string_view program, std::string_view description)
    : impl_(std::make_unique<Impl>(program, description)) {}
Options::~Options() = default;

void Options::Add(std::string_view name, std::string& value, std::string_view help) {
  std::string text;
  const std::string flag = impl_->Flag(name, help, text);
  impl_->app.add_option(flag, value, text)->capture_default_str();
}

void Options::Add(std::string_view name, int64_t& value, int64_t minimum, int64_t maximum, std::string_view help) {
  std::string text;
  const std::string flag = impl_->Flag(name, help, text);
  impl_->app.add_option(flag, value, text)->capture_default_str()->check(CLI::Range(minimum, maximum));
}

void Options::Add(std::string_view name, bool& value, std::string_view help) {
  std::string text;
  const std::string flag = impl_->Flag(name, help, text);
  impl_->app.add_flag(flag, value, text);
}

bool Options::Parse(int argc, const char* const* argv) {
  std::vector<std::string> arguments(argv + 1, argv + argc);
  std::vector<std::string> all;
  // CLI11 would let the file win over the environment, so the environment becomes flags that were not given. They stand
  // first: behind a last flag that lacks its value they would be taken for it.
  for (const auto& [name, variable] : impl_->variables) {
    const std::string flag = "--" + name;
    const bool given = std::any_of(arguments.begin(), arguments.end(), [&](const std::string& argument) {
      return argument == flag || argument.starts_with(flag + "=");
    });
    const char* const value = std::getenv(variable.c_str());
    if (!given && value != nullptr) all.push_back(flag + "=" + value);
  }
  all.insert(all.end(), arguments.begin(), arguments.end());
  std::reverse(all.begin(), all.end());  // the order CLI11 takes a vector in
  try {
    impl_->app.parse(std::move(all));
  } catch (const CLI::FileError& error) {
    exit_code_ = impl_->RefuseFile(error);
    return false;
  } catch (const CLI::ConfigError& error) {
    exit_code_ = impl_->RefuseFile(error);
    return false;
  } catch (const CLI::ParseError& error) {
    exit_code_ = impl_->app.exit(error);
    return false;
  }
  return true;
}

void AddServiceSettings(Options& options, ServiceSettings& settings) {
  options.Add("listen", settings.listen, "HOST:PORT to serve gRPC on; port 0 picks a free one");
  options.Add("port-file", settings.port_file, "file to write the bound HOST:PORT to once the service is ready");
  options.Add("metrics", settings.metrics_listen, "HOST:PORT to serve GET /metrics on; empty: no metrics");
  options.Add("tokens", settings.tokens,
              "file with one 'TOKEN PRINCIPAL' per line; without it every caller is the principal 'local'");
  options.Add("log-level", settings.log_level, "lowest level to log: debug, info, warning or error");
  options.Add("drain-seconds", settings.drain_seconds, 0, 3600,
              "seconds that running calls may take to finish after SIGTERM");
  options.Add("max-message-mib", settings.max_message_mib, 1, 256, "largest message that is accepted, in MiB");
  options.Add("threads", settings.threads, 1, 256, "threads that run the blocking work of calls");
  options.Add("max-queued-calls", settings.max_queued_calls, 1, 1'000'000, "calls that may wait for those threads");
}

}  // namespace gwq
