// Progress bars on a terminal, plain lines without one. Everything here goes to standard error; standard output is for
// results.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "client/library/progress_sink.h"

namespace gwq::cli {

// Not thread-safe.
class Terminal final : public client::ProgressSink {
 public:
  explicit Terminal(bool silent);
  ~Terminal() override;

  void Update(std::string_view phase, uint64_t done, uint64_t total, std::string_view unit) override;
  void Done() override;
  // A line of its own, above the bar.
  void Note(std::string_view line);

 private:
  void Draw(uint64_t done, uint64_t total, std::string_view unit);

  const bool silent_;
  const bool terminal_;
  std::string phase_;
  bool open_ = false;    // a bar stands on the last line
  int last_tenth_ = -1;  // of the plain lines
  std::chrono::steady_clock::time_point started_, drawn_;
};

// "12.3 MiB"
[[nodiscard]] std::string BytesText(uint64_t bytes);

}  // namespace gwq::cli
