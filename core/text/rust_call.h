// What every call into the Rust library needs: its codes as Status, its buffers as C++ values.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/text/rust/gwq_text.h"

namespace gwq::text_internal {

// Copies and frees.
[[nodiscard]] std::string TakeText(GwqText text);

// OK for GWQ_TEXT_OK. Otherwise takes `error` and returns INVALID_ARGUMENT on `field`, RESOURCE_EXHAUSTED or INTERNAL.
[[nodiscard]] absl::Status ToStatus(int code, GwqText error, std::string_view field);

// `call(out, error)` is a function of gwq_text.h that puts its result into *out.
template <typename T, typename Call>
[[nodiscard]] absl::StatusOr<T> CallRust(std::string_view field, Call call) {
  T out{};
  GwqText error{};
  const int code = call(&out, &error);
  if (code != GWQ_TEXT_OK) return ToStatus(code, error, field);
  return out;
}

}  // namespace gwq::text_internal
