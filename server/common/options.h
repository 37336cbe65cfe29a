// Settings of a program: one table gives the flag --some-name, the environment variable GWQ_SOME_NAME and the key
// some-name of the file named by --config (TOML or INI) or by the program's own variable, for example
// GWQ_JOBS_CONFIG for gwq-jobs. A key that the program does not know is refused. A flag overrides the environment, the
// environment overrides the file, and the file overrides the default.
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
  void Add(std::string_view name, int64_t& value, int64_t minimum, int64_t maximum, std::string_view help);
  void Add(std::string_view name, bool& value, std::string_view help);

  // True if the program should continue. Otherwise it must end with exit_code(): help, version or an error has been
  // printed on the right stream.
  [[nodiscard]] bool Parse(int argc, const char* const* argv);
  [[nodiscard]] int exit_code() const { return exit_code_; }

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
  int exit_code_ = 0;
};

// Settings that every service has.
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
