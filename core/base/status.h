// Status helpers shared by every layer. Errors are absl::Status; field violations travel as a payload so that the
// server can turn them into google.rpc.BadRequest without core knowing about protobuf.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace gwq {

// One offending field of a request: `field` is a path such as "recipe.rules[2].bits", `description` names the value,
// the limit and the remedy.
struct FieldViolation {
  std::string field;
  std::string description;
};

// INVALID_ARGUMENT whose message is "field: description" and whose payload carries the violation.
[[nodiscard]] absl::Status InvalidField(std::string_view field, std::string_view description);

// The violations attached to `status` by InvalidField, in order; empty if there are none.
[[nodiscard]] std::vector<FieldViolation> FieldViolations(const absl::Status& status);

// RESOURCE_EXHAUSTED or UNAVAILABLE with a hint of when to try again (google.rpc.RetryInfo on the wire).
[[nodiscard]] absl::Status WithRetryDelay(absl::Status status, int64_t milliseconds);
// The hint in milliseconds, or -1 if there is none.
[[nodiscard]] int64_t RetryDelayMilliseconds(const absl::Status& status);

// The message as a std::string_view. Debian builds Abseil with another string_view type, which neither fmt nor the
// standard library can use.
[[nodiscard]] std::string_view MessageOf(const absl::Status& status);

// `status` with "context: " before its message, and with the same payloads. OK stays OK.
[[nodiscard]] absl::Status Annotate(const absl::Status& status, std::string_view context);

// An error on a field of a part as one on the whole's: "bits" below "recipe" is "recipe.bits", "[2].bits" below "rules"
// is "rules[2].bits". An error that names no field has "path: " put before its message. Code and other payloads stay;
// OK stays OK.
[[nodiscard]] absl::Status PrefixField(const absl::Status& status, std::string_view path);

// A fault of what `field` holds as a violation of the field: for checks that know nothing of fields. Another error than
// INVALID_ARGUMENT has "field: " put before its message. OK stays OK.
[[nodiscard]] absl::Status AsField(const absl::Status& status, std::string_view field);

}  // namespace gwq

// The two control-flow macros: C++20 has no other way to return from the caller.
#define GWQ_CONCAT_INNER(a, b) a##b
#define GWQ_CONCAT(a, b) GWQ_CONCAT_INNER(a, b)
#define GWQ_RETURN_IF_ERROR(expression)                                                \
  do {                                                                                 \
    if (::absl::Status gwq_status = (expression); !gwq_status.ok()) return gwq_status; \
  } while (false)
#define GWQ_ASSIGN_OR_RETURN(declaration, expression) \
  GWQ_ASSIGN_OR_RETURN_INNER(GWQ_CONCAT(gwq_result_, __LINE__), declaration, expression)
#define GWQ_ASSIGN_OR_RETURN_INNER(result, declaration, expression) \
  auto result = (expression);                                       \
  if (!result.ok()) return std::move(result).status();              \
  declaration = *std::move(result)
