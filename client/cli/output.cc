#include "client/cli/output.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <system_error>

namespace gwq::cli {
namespace {

std::atomic<int> refused = 0;  // errno of the first byte that was not written

void Refuse(int error) {
  int none = 0;
  refused.compare_exchange_strong(none, error);
}

}  // namespace

void ReserveStandardStreams() {
  for (const int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(descriptor, F_GETFD) >= 0) continue;
    // The lowest free number is `descriptor`; opened the wrong way round, it fails as the closed one did.
    (void)open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY);
  }
}

void Write(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) < text.size()) Refuse(errno);
}

void WriteError(std::string_view text) { (void)std::fwrite(text.data(), 1, text.size(), stderr); }

bool FlushOutput() {
  if (std::fflush(stdout) != 0) Refuse(errno);
  return refused == 0;
}

absl::Status CloseOutput() {
  // Network file systems may keep the bad news for the close. Linux has closed it also where a signal came between.
  if (FlushOutput() && ::close(STDOUT_FILENO) < 0 && errno != EINTR) Refuse(errno);
  if (refused == 0) return absl::OkStatus();
  const std::string cause = std::generic_category().message(refused);
  if (refused == EPIPE) return absl::AbortedError(cause);
  return absl::DataLossError(fmt::format(
      "writing to standard output: {}: the result is not whole; give it another place and repeat the command", cause));
}

}  // namespace gwq::cli
