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

// As ToRpcStatus, in the trailer "grpc-status-details-bin" that every gRPC client library reads; without details it is
// left out.
[[nodiscard]] grpc::Status ToGrpc(const absl::Status& status);

}  // namespace gwq
