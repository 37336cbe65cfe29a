// What CLI11 would take and no command means: checks for CLI::Option::check. Each returns what is wrong with the text,
// or nothing.
#pragma once

#include <string>

namespace gwq::cli {

// A text that was given and is empty stands for nothing; CLI11 reads it as the number 0 too.
[[nodiscard]] std::string NotEmpty(const std::string& text);
// CLI11 wraps -1 around, and takes what is too large for the largest.
[[nodiscard]] std::string WholeNumber(const std::string& text);
// CLI::Range lets "nan" pass.
[[nodiscard]] std::string NotNan(const std::string& text);

}  // namespace gwq::cli
