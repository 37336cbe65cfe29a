#include "core/text/rust_call.h"

#include <fmt/format.h>

#include "core/base/status.h"

namespace gwq::text_internal {

std::string TakeText(GwqText text) {
  std::string out(text.data, text.size);
  gwq_text_free(text);
  return out;
}

absl::Status ToStatus(int code, GwqText error, std::string_view field) {
  if (code == GWQ_TEXT_OK) return absl::OkStatus();
  const std::string message = TakeText(error);
  switch (code) {
    case GWQ_TEXT_INVALID:
      return InvalidField(field, message);
    case GWQ_TEXT_LIMIT:
      return absl::ResourceExhaustedError(fmt::format("{}: {}", field, message));
    default:
      return absl::InternalError(fmt::format("{}: {}", field, message));
  }
}

}  // namespace gwq::text_internal
