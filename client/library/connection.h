// A channel to one of the two services, and what every call of it carries.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace gwq::client {

struct Endpoint {
  std::string address;  // "host:port"
  std::string token;    // bearer token; empty sends none
  // Of calls that answer once. Streams and waits set their own.
  int64_t timeout_millis = 60'000;
};

// Thread-safe. Connects lazily; the first call tells whether somebody answers.
class Connection {
 public:
  explicit Connection(Endpoint endpoint);

  [[nodiscard]] const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }
  [[nodiscard]] const std::string& address() const { return endpoint_.address; }
  // Sets token and deadline on a context for a single answer.
  void PrepareUnary(grpc::ClientContext& context) const;
  // Sets the token; no deadline.
  void PrepareStream(grpc::ClientContext& context) const;

 private:
  const Endpoint endpoint_;
  const std::shared_ptr<grpc::Channel> channel_;
};

// The same code; the message gets the address where nobody answered, and the field violations stay readable in it.
[[nodiscard]] absl::Status FromGrpc(const grpc::Status& status, const Connection& connection);

// One unary call with the connection's token and deadline: Call(connection, stub, &Stub::GetModel, request).
template <class Stub, class Request, class Response>
[[nodiscard]] absl::StatusOr<Response> Call(const Connection& connection, Stub& stub,
                                            grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                                         Response*),
                                            const Request& request) {
  grpc::ClientContext context;
  connection.PrepareUnary(context);
  Response response;
  const grpc::Status status = (stub.*method)(&context, request, &response);
  if (!status.ok()) return FromGrpc(status, connection);
  return response;
}

}  // namespace gwq::client
