// Settings of a program: one table gives the flag --some-name, the environment variable GWQ_SOME_NAME and the key
// some-name of the file named by --config (TOML or INI) or by the program's own variable, as GWQ_JOBS_CONFIG for
// gwq-jobs: a key that is not the program's is refused. A flag wins over the environment, the environment over the
// file, the file over the default.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "server/common/log.h"

namespace gwq {

class Options {
 public:
  Options(std::string_view program, std::string_view description);
  ~Options();

  // `value` holds the default and must live until Parse returned.
  void Add(std::string_view name, std::string& value, std::string_view help);
  void Add(std::string_view name, int64_t& value, int64_t least, int64_t most, std::string_view help);
  void Add(std::string_view name, bool& value, std::string_view help);

  // OK: go on. Otherwise the program ends with exit_code() and what() told on the right stream: --help and --version
  // are answered here.
  [[nodiscard]] bool Parse(int argc, const char* const* argv);
  [[nodiscard]] int exit_code() const { return exit_code_; }

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
  int exit_code_ = 0;
};

// What every service of ours lets be set.
struct ServiceSettings {
  std::string listen = "127.0.0.1:0";
  std::string port_file;
  std::string metrics_listen = "127.0.0.1:0";  // empty: no metrics
  std::string tokens;                          // file of "TOKEN PRINCIPAL" lines
  std::string log_level = "info";
  int64_t drain_seconds = 20;
  int64_t max_message_mib = 4;
  int64_t threads = 4;
  int64_t max_queued_calls = 1024;
};
void AddServiceSettings(Options& options, ServiceSettings& settings);

}  // namespace gwq
