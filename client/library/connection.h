// A channel to one of the two services, and what every call of it carries.
#pragma once

#include <google/protobuf/message.h>
#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "client/library/canceller.h"
#include "core/base/status.h"
#include "google/rpc/status.pb.h"

namespace gwq::client {

struct Endpoint {
  std::string address;  // "host:port"
  std::string token;    // bearer token; empty sends none
  // Of calls that answer once. Streams and waits set their own.
  int64_t timeout_millis = 60'000;
  std::string service = "the service";  // what should answer there, as messages name it
};

// Thread-safe. Connects lazily; the first call tells whether somebody answers, after up to a second of attempts.
class Connection {
 public:
  // `canceller`, which may be null and outlives the connection, ends every call made with it.
  explicit Connection(Endpoint endpoint, Canceller* canceller = nullptr);

  [[nodiscard]] const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }
  [[nodiscard]] const std::string& address() const { return endpoint_.address; }
  [[nodiscard]] const std::string& service() const { return endpoint_.service; }
  [[nodiscard]] int64_t timeout_millis() const { return endpoint_.timeout_millis; }
  [[nodiscard]] Canceller* canceller() const { return canceller_; }
  [[nodiscard]] bool cancelled() const { return canceller_ != nullptr && canceller_->cancelled(); }
  // Sets token and deadline on a context for a single answer; blocks and fails as PrepareStream does.
  [[nodiscard]] absl::Status PrepareUnary(grpc::ClientContext& context) const;
  // Sets the token; no deadline. Blocks until the channel is connected, for a second at most. INVALID_ARGUMENT for an
  // endpoint that CheckAddress or CheckBearerToken refuses: no call may be made with it.
  [[nodiscard]] absl::Status PrepareStream(grpc::ClientContext& context) const;

 private:
  const Endpoint endpoint_;
  Canceller* const canceller_;
  const absl::Status usable_;
  const std::shared_ptr<grpc::Channel> channel_;
};

// The same code and message, the first field violation and the retry delay, as core/base/status.h reads them.
[[nodiscard]] absl::Status FromProto(const google::rpc::Status& status);

// The same of the end of a call that was made with `context`. UNAVAILABLE without a retry delay gets the address before
// its message, and says that nobody answered if no connection came about; an empty UNIMPLEMENTED gets a message, and so
// does gRPC's own DEADLINE_EXCEEDED. A request that is too large for the service is INVALID_ARGUMENT: to send it again
// does not help.
[[nodiscard]] absl::Status FromGrpc(const grpc::Status& status, const grpc::ClientContext& context,
                                    const Connection& connection);

// INVALID_ARGUMENT naming the field, as "chat.messages[1].content", whose text is not UTF-8: protobuf would send it,
// and no service could read it.
[[nodiscard]] absl::Status CheckUtf8(const google::protobuf::Message& message);

// One unary call with the connection's token and deadline: Call(connection, stub, &Stub::GetModel, request).
template <class Stub, class Request, class Response>
[[nodiscard]] absl::StatusOr<Response> Call(const Connection& connection, Stub& stub,
                                            grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                                         Response*),
                                            const Request& request) {
  GWQ_RETURN_IF_ERROR(CheckUtf8(request));
  grpc::ClientContext context;
  GWQ_RETURN_IF_ERROR(connection.PrepareUnary(context));
  const Canceller::Attachment attachment(connection.canceller(), context);
  Response response;
  const grpc::Status status = (stub.*method)(&context, request, &response);
  if (!status.ok()) return FromGrpc(status, context, connection);
  return response;
}

}  // namespace gwq::client
