#include "client/library/connection.h"

#include <fmt/format.h>

#include <chrono>
#include <vector>

#include "absl/strings/cord.h"
#include "core/base/address.h"
#include "core/base/bearer_token.h"
#include "core/io/json.h"
#include "google/rpc/error_details.pb.h"

namespace gwq::client {
namespace {

// What a service sends at most: an answer may repeat the whole request, which has up to 256 MiB (--max-message-mib),
// and adds little to it.
constexpr int kMaxMessageBytes = (256 + 16) << 20;
// How long a call waits for a service that is just restarting, and until the second attempt.
constexpr std::chrono::milliseconds kConnectTime{1000};
constexpr int kReconnectMillis = 100;
constexpr int kStreamWindow = 2 << 20;  // bytes
// How gRPC begins its refusal; behind it stands "(4194310 vs. 4194304)".
constexpr std::string_view kTooLarge = "Received message larger than max ";

std::shared_ptr<grpc::Channel> OpenChannel(const std::string& address) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kReconnectMillis);
  // As in the services: gRPC's own estimate of what a stream may send ahead of its reader grows with speed.
  arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  arguments.SetInt(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, kStreamWindow);
  // Without credentials gRPC makes a channel whose calls fail; of an address that it cannot read it would log lines.
  const bool readable = CheckAddress(address).ok();
  return grpc::CreateCustomChannel(address, readable ? grpc::InsecureChannelCredentials() : nullptr, arguments);
}

absl::Status CheckEndpoint(const Endpoint& endpoint) {
  GWQ_RETURN_IF_ERROR(Annotate(CheckAddress(endpoint.address), "address"));
  return Annotate(CheckBearerToken(endpoint.token), "token");
}

// Whether the call's request went out to somebody. gRPC has no other sign of it: a connection that was never made and a
// service's own UNAVAILABLE have the same status and no metadata.
bool Reached(const grpc::ClientContext& context) {
  return context.debug_error_string().find("Error received from peer") != std::string::npos;
}

void AttachViolation(const google::rpc::BadRequest::FieldViolation& violation, absl::Status& status) {
  InvalidField(violation.field(), violation.description())
      .ForEachPayload([&](absl::string_view url, const absl::Cord& payload) { status.SetPayload(url, payload); });
}

// `message` and what it holds, at the path `prefix`.
absl::Status CheckBelow(const google::protobuf::Message& message, const std::string& prefix) {
  using google::protobuf::FieldDescriptor;
  const auto& reflection = *message.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  for (const FieldDescriptor* const field : fields) {
    const bool text = field->type() == FieldDescriptor::TYPE_STRING;
    if (!text && field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) continue;
    const int count = field->is_repeated() ? reflection.FieldSize(message, field) : 1;
    for (int i = 0; i < count; ++i) {
      const std::string path = prefix + field->name() + (field->is_repeated() ? fmt::format("[{}]", i) : "");
      if (!text) {
        GWQ_RETURN_IF_ERROR(CheckBelow(field->is_repeated() ? reflection.GetRepeatedMessage(message, field, i)
                                                            : reflection.GetMessage(message, field),
                                       path + "."));
        continue;
      }
      std::string scratch;
      const std::string& value = field->is_repeated()
                                     ? reflection.GetRepeatedStringReference(message, field, i, &scratch)
                                     : reflection.GetStringReference(message, field, &scratch);
      if (!IsValidUtf8(value)) {
        return InvalidField(path, fmt::format("'{}' is not UTF-8", ToValidUtf8(value.substr(0, 80))));
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckUtf8(const google::protobuf::Message& message) { return CheckBelow(message, ""); }

Connection::Connection(Endpoint endpoint, Canceller* canceller)
    : endpoint_(std::move(endpoint)),
      canceller_(canceller),
      usable_(CheckEndpoint(endpoint_)),
      channel_(OpenChannel(endpoint_.address)) {}

absl::Status Connection::PrepareUnary(grpc::ClientContext& context) const {
  GWQ_RETURN_IF_ERROR(PrepareStream(context));
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(endpoint_.timeout_millis));
  return absl::OkStatus();
}

absl::Status Connection::PrepareStream(grpc::ClientContext& context) const {
  GWQ_RETURN_IF_ERROR(usable_);
  // gRPC 1.51 reads the errno of connect() only after other work, which may have set it (seen where /sys is not
  // mounted, once in a thousand calls): the first attempt alone does not tell that nobody answers.
  if (!cancelled()) (void)channel_->WaitForConnected(std::chrono::system_clock::now() + kConnectTime);
  if (!endpoint_.token.empty()) context.AddMetadata("authorization", "Bearer " + endpoint_.token);
  return absl::OkStatus();
}

absl::Status FromProto(const google::rpc::Status& status) {
  absl::Status out(static_cast<absl::StatusCode>(status.code()), status.message());
  google::rpc::BadRequest request;
  google::rpc::RetryInfo retry;
  for (const google::protobuf::Any& detail : status.details()) {
    if (detail.UnpackTo(&request) && !request.field_violations().empty()) {
      AttachViolation(request.field_violations(0), out);
    }
    if (detail.UnpackTo(&retry)) {
      out = WithRetryDelay(out, retry.retry_delay().seconds() * 1000 + retry.retry_delay().nanos() / 1'000'000);
    }
  }
  return out;
}

absl::Status FromGrpc(const grpc::Status& status, const grpc::ClientContext& context, const Connection& connection) {
  if (status.ok()) return absl::OkStatus();
  google::rpc::Status told;
  if (!told.ParseFromString(status.error_details())) told.Clear();
  told.set_code(status.error_code());
  told.set_message(status.error_message());
  absl::Status out = FromProto(told);
  if (absl::IsUnimplemented(out) && out.message().empty()) {
    return absl::UnimplementedError(
        fmt::format("what answers at {} does not know this call: is that the address of {}, and is it as new as this "
                    "client?",
                    connection.address(), connection.service()));
  }
  if (absl::IsDeadlineExceeded(out) && status.error_message() == "Deadline Exceeded") {
    return absl::DeadlineExceededError(fmt::format("{} at {} did not answer within {} s: try again, or allow more time",
                                                   connection.service(), connection.address(),
                                                   static_cast<double>(connection.timeout_millis()) / 1000));
  }
  if (const std::string_view text = MessageOf(out); absl::IsResourceExhausted(out) && text.starts_with(kTooLarge)) {
    return absl::InvalidArgumentError(fmt::format(
        "the request is larger than {} at {} takes in one message {} bytes: shorten its texts, push them as a "
        "dataset, or start the service with a larger --max-message-mib",
        connection.service(), connection.address(), text.substr(kTooLarge.size())));
  }
  // Who tells when to try again has answered.
  if (!absl::IsUnavailable(out) || RetryDelayMilliseconds(out) >= 0) return out;
  if (Reached(context)) return Annotate(out, connection.address());
  return absl::UnavailableError(fmt::format("no answer from {}: {} (is {} running there?)", connection.address(),
                                            status.error_message(), connection.service()));
}

}  // namespace gwq::client
