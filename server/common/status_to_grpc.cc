#include "server/common/status_to_grpc.h"

#include <string>

#include "core/base/status.h"
#include "core/io/json.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace gwq {
namespace {

// gRPC puts the message into an HTTP/2 header, whose total size peers limit to 8 KiB by default.
constexpr size_t kMaxMessageBytes = 2048;

// Messages quote what callers sent, and cut it where they must.
std::string Bounded(std::string_view text) {
  return ToValidUtf8(text.substr(0, kMaxMessageBytes)) + (text.size() > kMaxMessageBytes ? "..." : "");
}

}  // namespace

google::rpc::Status ToRpcStatus(const absl::Status& status) {
  google::rpc::Status out;
  out.set_code(static_cast<int>(status.code()));
  out.set_message(Bounded(MessageOf(status)));
  if (const auto violations = FieldViolations(status); !violations.empty()) {
    google::rpc::BadRequest details;
    for (const FieldViolation& violation : violations) {
      auto* field = details.add_field_violations();
      field->set_field(Bounded(violation.field));
      field->set_description(Bounded(violation.description));
    }
    out.add_details()->PackFrom(details);
  }
  if (const int64_t delay = RetryDelayMilliseconds(status); delay >= 0) {
    google::rpc::RetryInfo details;
    details.mutable_retry_delay()->set_seconds(delay / 1000);
    details.mutable_retry_delay()->set_nanos(static_cast<int>(delay % 1000 * 1'000'000));
    out.add_details()->PackFrom(details);
  }
  return out;
}

grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  const google::rpc::Status details = ToRpcStatus(status);
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), details.message(),
                      details.details_size() == 0 ? std::string() : details.SerializeAsString());
}

}  // namespace gwq
