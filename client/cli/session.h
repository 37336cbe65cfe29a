// What every command of gwq shares: where the services are, how output looks, and Ctrl-C.
#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "client/cli/interrupts.h"
#include "client/cli/terminal.h"
#include "client/library/connection.h"

namespace gwq::cli {

struct Settings {
  std::string jobs = "127.0.0.1:7411";
  std::string infer = "127.0.0.1:7412";
  std::string token;
  bool json = false;
  bool quiet = false;
  double timeout_seconds = 60;
};

class Session {
 public:
  explicit Session(const Settings& settings);

  [[nodiscard]] const client::Connection& jobs() const { return jobs_; }
  [[nodiscard]] const client::Connection& infer() const { return infer_; }
  [[nodiscard]] bool json() const { return json_; }
  [[nodiscard]] Terminal& terminal() { return terminal_; }
  // Cancelled by the first Ctrl-C or SIGTERM, and with it every call of the two connections.
  [[nodiscard]] client::Canceller& canceller() { return interrupts_.canceller(); }
  // Sends out what was printed so far; where it cannot be written, cancels the calls that make more of it. Thread-safe.
  void FlushOutput();

 private:
  const bool json_;
  Interrupts interrupts_;  // blocks the signals before a channel makes threads
  const client::Connection jobs_;
  const client::Connection infer_;
  Terminal terminal_;
};

// Exit codes a pipeline can use; the README lists them.
enum ExitCode : int {
  kExitOk = 0,
  kExitFailure = 1,
  kExitUsage = 2,
  kExitNotFound = 3,
  kExitInvalid = 4,
  kExitUnavailable = 5,  // nobody answers, a deadline passed, or the queue is full: trying again may help
  kExitJobFailed = 6,
  kExitJobCancelled = 7,
  kExitInterrupted = 130,
};
[[nodiscard]] ExitCode ExitCodeOf(const absl::Status& status);

}  // namespace gwq::cli
