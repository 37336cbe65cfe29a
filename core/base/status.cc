#include "core/base/status.h"

#include <fmt/format.h>

#include <charconv>

#include "absl/strings/cord.h"

namespace gwq {
namespace {

constexpr char kFieldUrl[] = "gwq/field-violations";
constexpr char kRetryUrl[] = "gwq/retry-delay-ms";

void SetViolation(std::string_view field, std::string_view description, absl::Status& status) {
  // The length goes first: a field may be a key from outside, with any byte in it.
  status.SetPayload(kFieldUrl, absl::Cord(fmt::format("{}:{}{}", field.size(), field, description)));
}

void CopyPayloads(const absl::Status& from, absl::Status& to) {
  from.ForEachPayload([&](absl::string_view url, const absl::Cord& payload) { to.SetPayload(url, payload); });
}

}  // namespace

absl::Status InvalidField(std::string_view field, std::string_view description) {
  absl::Status status = absl::InvalidArgumentError(fmt::format("{}: {}", field, description));
  SetViolation(field, description, status);
  return status;
}

std::vector<FieldViolation> FieldViolations(const absl::Status& status) {
  auto payload = status.GetPayload(kFieldUrl);
  if (!payload.has_value()) return {};
  const std::string text(*payload);
  size_t length = 0;
  std::from_chars(text.data(), text.data() + text.size(), length);
  const std::string both = text.substr(text.find(':') + 1);
  return {{both.substr(0, length), both.substr(length)}};
}

absl::Status WithRetryDelay(absl::Status status, int64_t milliseconds) {
  status.SetPayload(kRetryUrl, absl::Cord(std::to_string(milliseconds)));
  return status;
}

int64_t RetryDelayMilliseconds(const absl::Status& status) {
  auto payload = status.GetPayload(kRetryUrl);
  if (!payload.has_value()) return -1;
  const std::string text(*payload);
  int64_t value = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() ? value : -1;
}

std::string_view MessageOf(const absl::Status& status) { return {status.message().data(), status.message().size()}; }

absl::Status Annotate(const absl::Status& status, std::string_view context) {
  if (status.ok()) return status;
  absl::Status out(status.code(), fmt::format("{}: {}", context, MessageOf(status)));
  CopyPayloads(status, out);
  return out;
}

absl::Status PrefixField(const absl::Status& status, std::string_view path) {
  const std::vector<FieldViolation> violations = FieldViolations(status);
  if (violations.empty()) return Annotate(status, path);
  const auto& [inner, description] = violations.front();
  const std::string field = fmt::format("{}{}{}", path, inner.empty() || inner.starts_with('[') ? "" : ".", inner);
  absl::Status out(status.code(), fmt::format("{}: {}", field, description));
  CopyPayloads(status, out);
  SetViolation(field, description, out);
  return out;
}

absl::Status AsField(const absl::Status& status, std::string_view field) {
  return absl::IsInvalidArgument(status) ? InvalidField(field, MessageOf(status)) : Annotate(status, field);
}

}  // namespace gwq
