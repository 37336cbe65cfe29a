// A stream of answers read to its end.
#pragma once

#include <functional>

#include "absl/status/statusor.h"
#include "client/library/canceller.h"
#include "client/library/connection.h"
#include "core/base/status.h"

namespace gwq::client {

// Begins a call with `open`(context, request), hands every message to `chunk`, and returns the last one; an empty one
// if none came. `canceller` ends the call.
template <class Chunk, class Request, class Open>
[[nodiscard]] absl::StatusOr<Chunk> ReadStream(const Connection& connection, const Request& request,
                                               Canceller& canceller, const Open& open,
                                               const std::function<void(const Chunk&)>& chunk) {
  GWQ_RETURN_IF_ERROR(CheckUtf8(request));
  grpc::ClientContext context;
  GWQ_RETURN_IF_ERROR(connection.PrepareStream(context));
  const Canceller::Attachment attachment(canceller, context);
  const auto reader = open(&context, request);
  Chunk part, last;
  while (reader->Read(&part)) {
    chunk(part);
    last = part;
  }
  const grpc::Status status = reader->Finish();
  if (!status.ok()) return FromGrpc(status, context, connection);
  return last;
}

}  // namespace gwq::client
