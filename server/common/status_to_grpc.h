// The one place where a Status becomes a grpc::Status.
#pragma once

#include <grpcpp/support/status.h>

#include "absl/status/status.h"

namespace google::rpc {
class Status;
}

namespace gwq {

// The google.rpc.Status of `status`: code, message, BadRequest with the field violations, RetryInfo with the delay.
[[nodiscard]] google::rpc::Status ToRpcStatus(const absl::Status& status);

// Puts ToRpcStatus into the trailer "grpc-status-details-bin", which every gRPC client library reads. Without details
// there is no trailer.
[[nodiscard]] grpc::Status ToGrpc(const absl::Status& status);

}  // namespace gwq
