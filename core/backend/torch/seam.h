// The one place where LibTorch's exceptions become a Status.
#pragma once

#include <c10/util/Exception.h>
#include <fmt/format.h>

#include <exception>
#include <new>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "core/base/status.h"

namespace gwq {

[[nodiscard]] inline absl::Status TorchError(std::string_view what) {
  const std::string text(what.substr(0, what.find('\n')));
  // The CPU allocator has no exception type of its own.
  const bool memory =
      text.find("can't allocate memory") != std::string::npos || text.find("not enough memory") != std::string::npos;
  if (memory) return absl::ResourceExhaustedError("LibTorch: " + text);
  return absl::InternalError("LibTorch: " + text);
}

// How the functions below the seam tell that an argument is wrong: LibTorch throws there anyway.
class StatusError final : public std::exception {
 public:
  explicit StatusError(absl::Status status) : status_(std::move(status)) {}
  [[nodiscard]] const absl::Status& status() const { return status_; }

 private:
  absl::Status status_;
};

// Throws INVALID_ARGUMENT with the formatted text unless `good`.
template <class... Arguments>
void Require(bool good, fmt::format_string<Arguments...> text, Arguments&&... arguments) {
  if (!good) throw StatusError(absl::InvalidArgumentError(fmt::format(text, std::forward<Arguments>(arguments)...)));
}

// Runs `body`, which returns a Status, and turns what it throws into one.
template <class Body>
[[nodiscard]] absl::Status Guarded(Body&& body) {
  try {
    return body();
  } catch (const StatusError& error) {
    return error.status();
  } catch (const c10::Error& error) {
    return TorchError(error.what_without_backtrace());
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("LibTorch: out of memory");
  } catch (const std::exception& error) {
    return TorchError(error.what());
  }
}

}  // namespace gwq
