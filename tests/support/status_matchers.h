// Expectations on statuses that print them when they fail.
#pragma once

#include <gmock/gmock.h>

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/status.h"

namespace gwq::testing {

inline const absl::Status& StatusOf(const absl::Status& status) { return status; }
template <class T>
const absl::Status& StatusOf(const absl::StatusOr<T>& result) {
  return result.status();
}

MATCHER(IsOk, "is OK") {
  *result_listener << StatusOf(arg);
  return StatusOf(arg).ok();
}

MATCHER_P(HasCode, code, "has code " + absl::StatusCodeToString(code)) {
  *result_listener << StatusOf(arg);
  return StatusOf(arg).code() == code;
}

// INVALID_ARGUMENT at exactly this field.
MATCHER_P(FailsAt, field, "is INVALID_ARGUMENT at " + std::string(field)) {
  *result_listener << StatusOf(arg);
  const auto violations = FieldViolations(StatusOf(arg));
  return absl::IsInvalidArgument(StatusOf(arg)) && violations.size() == 1 && violations[0].field == field;
}

}  // namespace gwq::testing
