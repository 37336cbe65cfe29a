#include "client/cli/checks.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdint>
#include <limits>

#include "absl/strings/numbers.h"

namespace gwq::cli {

std::string NotEmpty(const std::string& text) {
  return text.empty() ? "it is empty: give a value, or leave the flag out" : "";
}

std::string WholeNumber(const std::string& text) {
  uint64_t number = 0;
  if (absl::SimpleAtoi(text, &number)) return "";
  return fmt::format("'{}' is not a whole number from 0 to {}", text, std::numeric_limits<uint64_t>::max());
}

std::string NotNan(const std::string& text) {
  double number = 0;
  return absl::SimpleAtod(text, &number) && std::isnan(number) ? fmt::format("'{}' is not a number", text) : "";
}

}  // namespace gwq::cli
