#include "client/cli/errors.h"

#include <string>

#include "client/cli/output.h"
#include "core/base/status.h"

namespace gwq::cli {

nlohmann::json ErrorJson(const absl::Status& status) {
  nlohmann::json error = {{"code", absl::StatusCodeToString(status.code())},
                          {"message", std::string(MessageOf(status))}};
  for (const FieldViolation& violation : FieldViolations(status)) {
    error["field_violations"].push_back({{"field", violation.field}, {"description", violation.description}});
  }
  if (const int64_t delay = RetryDelayMilliseconds(status); delay >= 0) {
    error["retry_delay_seconds"] = static_cast<double>(delay) / 1000;
  }
  return error;
}

void PrintErrorJson(const nlohmann::json& error) {
  const nlohmann::json line = {{"error", error}};
  PrintError("{}\n", line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

}  // namespace gwq::cli
