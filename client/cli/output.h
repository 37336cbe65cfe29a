// What gwq writes: results to standard output, notes and errors to standard error. A result that cannot be written is
// remembered, and main asks once at the end; what standard error does not take is lost, there is nobody left to tell.
#pragma once

#include <fmt/format.h>

#include <string_view>

#include "absl/status/status.h"

namespace gwq::cli {

// Call first in main. A standard stream that the caller closed gets a stand-in that refuses every byte: otherwise
// the first file or socket that is opened would take its number, and the results.
void ReserveStandardStreams();

// Appends to standard output, which is buffered. Thread-safe.
void Write(std::string_view text);
// Appends to standard error. Thread-safe.
void WriteError(std::string_view text);

// fmt::print throws where writing fails; these do not.
template <class... Args>
void Print(fmt::format_string<Args...> format, Args&&... args) {
  Write(fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void PrintError(fmt::format_string<Args...> format, Args&&... args) {
  WriteError(fmt::format(format, std::forward<Args>(args)...));
}

// Sends out what is buffered. False once anything written so far was refused.
[[nodiscard]] bool FlushOutput();

// Flushes and closes standard output; nothing may be written to it afterwards. ABORTED if the reader of a pipe is
// gone, who knows it and wants no message; DATA_LOSS naming the cause if anything else kept a byte from being
// written.
[[nodiscard]] absl::Status CloseOutput();

}  // namespace gwq::cli
