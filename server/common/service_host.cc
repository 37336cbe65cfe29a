#include "server/common/service_host.h"

#include <fmt/format.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <chrono>
#include <cstdlib>
#include <span>

#include "core/base/status.h"
#include "core/io/file_system.h"
#include "server/common/authenticator.h"

namespace gwq {
namespace {

constexpr uint64_t kMaxTokenFileBytes = 1 << 20;
constexpr int kStreamWindow = 2 << 20;  // bytes
constexpr int kKeepaliveMillis = 60'000, kKeepaliveAnswerMillis = 20'000;

}  // namespace

absl::StatusOr<std::unique_ptr<ServiceHost>> ServiceHost::Start(const ServiceSettings& settings,
                                                                const std::vector<grpc::Service*>& services) {
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();

  const size_t colon = settings.listen.rfind(':');
  if (colon == std::string::npos) {
    return InvalidField("listen", fmt::format("'{}' is not HOST:PORT", settings.listen));
  }
  grpc::ServerBuilder builder;
  int port = 0;
  // Without this a second server would silently share a port that is taken.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddListeningPort(settings.listen, grpc::InsecureServerCredentials(), &port);
  // A client that vanished without a word would keep what its streams hold: a blob, a place in the batch.
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMillis);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveAnswerMillis);
  // What a stream may send ahead of its reader. gRPC's own estimate grows with speed: uploads on a fast line stood in
  // memory with more than 100 MB.
  builder.AddChannelArgument(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, kStreamWindow);
  builder.SetMaxReceiveMessageSize(static_cast<int>(settings.max_message_mib << 20));
  for (grpc::Service* service : services) builder.RegisterService(service);

  auto host = std::unique_ptr<ServiceHost>(new ServiceHost());
  host->drain_seconds_ = settings.drain_seconds;
  host->server_ = builder.BuildAndStart();
  if (host->server_ == nullptr || port == 0) {
    return absl::UnavailableError(fmt::format(
        "listen: cannot bind '{}'; give a free HOST:PORT, port 0 takes any (set GRPC_VERBOSITY=ERROR to see why)",
        settings.listen));
  }
  host->server_->GetHealthCheckService()->SetServingStatus(true);
  host->address_ = fmt::format("{}:{}", settings.listen.substr(0, colon), port);
  if (!settings.port_file.empty()) {
    const std::string line = host->address_ + "\n";
    GWQ_RETURN_IF_ERROR(Annotate(
        WriteFileAtomically(LocalFileSystem(), settings.port_file, std::as_bytes(std::span(line))), "port-file"));
    host->port_file_ = settings.port_file;
  }
  return host;
}

ServiceHost::~ServiceHost() { Stop(0); }

void ServiceHost::Drain() { Stop(drain_seconds_); }

void ServiceHost::Stop(int64_t seconds) {
  if (server_ == nullptr) return;
  server_->GetHealthCheckService()->SetServingStatus(false);
  if (!port_file_.empty()) {
    // A file that outlives the service only misleads its reader for a moment; that it cannot be removed changes
    // nothing.
    (void)LocalFileSystem().Remove(port_file_);
  }
  server_->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(seconds));
  server_->Wait();
  server_.reset();
}

void SilenceGrpc() { ::setenv("GRPC_VERBOSITY", "NONE", /*overwrite=*/0); }

absl::StatusOr<Authenticator> LoadAuthenticator(const ServiceSettings& settings) {
  if (settings.tokens.empty()) return Authenticator();
  GWQ_ASSIGN_OR_RETURN(const std::string text, ReadSmallFile(LocalFileSystem(), settings.tokens, kMaxTokenFileBytes));
  return Authenticator::FromText(text);
}

}  // namespace gwq
