#include "client/library/connection.h"

#include <fmt/format.h>

#include <chrono>

namespace gwq::client {
namespace {

// Above the largest part a service sends, below what would hurt.
constexpr int kMaxMessageBytes = 16 << 20;

std::shared_ptr<grpc::Channel> OpenChannel(const std::string& address) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
}

}  // namespace

Connection::Connection(Endpoint endpoint) : endpoint_(std::move(endpoint)), channel_(OpenChannel(endpoint_.address)) {}

void Connection::PrepareUnary(grpc::ClientContext& context) const {
  PrepareStream(context);
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(endpoint_.timeout_millis));
}

void Connection::PrepareStream(grpc::ClientContext& context) const {
  if (!endpoint_.token.empty()) context.AddMetadata("authorization", "Bearer " + endpoint_.token);
}

absl::Status FromGrpc(const grpc::Status& status, const Connection& connection) {
  if (status.ok()) return absl::OkStatus();
  const auto code = static_cast<absl::StatusCode>(status.error_code());
  if (code == absl::StatusCode::kUnavailable) {
    return absl::Status(code, fmt::format("no answer from {}: {} (is the service running there?)", connection.address(),
                                          status.error_message()));
  }
  return absl::Status(code, status.error_message());
}

}  // namespace gwq::client
