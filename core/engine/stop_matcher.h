// Finds stop strings in text that arrives in pieces.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

namespace gwq {

// INVALID_ARGUMENT naming "stop" or "stop[i]": more than 16 strings, an empty one or one above 256 bytes.
[[nodiscard]] absl::Status CheckStopStrings(const std::vector<std::string>& stops);

// The stop string that ends first ends the text; if several end together, the longest does. So the result depends on
// the text and not on how it was cut. The stop string is not emitted. Text that may become a stop string is held back.
// Pieces and stop strings are whole UTF-8 characters, and so is what is emitted. Not thread-safe.
class StopMatcher {
 public:
  explicit StopMatcher(std::vector<std::string> stops) : stops_(std::move(stops)) {}

  // Returns the text that is now known to be before any stop string. Do not push after stopped().
  [[nodiscard]] std::string Push(std::string_view piece);
  // Call it when the text has ended: returns the text that was held back.
  [[nodiscard]] std::string Flush();

  [[nodiscard]] bool stopped() const { return !match_.empty(); }
  // The stop string found; empty before.
  [[nodiscard]] const std::string& match() const { return match_; }

 private:
  [[nodiscard]] const std::string* EndingAt(size_t end) const;
  [[nodiscard]] size_t HeldBytes() const;

  const std::vector<std::string> stops_;
  std::string held_;
  std::string match_;
};

}  // namespace gwq
