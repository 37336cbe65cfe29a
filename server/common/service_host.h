// A gRPC server with the parts that all services share: health, reflection, limits, a port file, an orderly end.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/common/options.h"

namespace grpc {
class Server;
class Service;
}  // namespace grpc

namespace gwq {

class ServiceHost {
 public:
  // Serves `services` (which outlive the host) without transport security: TLS ends at a proxy. Health answers SERVING
  // once this has returned; the port file is written last, atomically.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<ServiceHost>> Start(const ServiceSettings& settings,
                                                                          const std::vector<grpc::Service*>& services);
  // Like Drain, but without time for running calls.
  ~ServiceHost();

  // HOST:PORT with the port that was bound.
  [[nodiscard]] const std::string& address() const { return address_; }
  // Health says NOT_SERVING, new calls are refused, and running calls get the drain time and are then cancelled.
  // Returns when all have ended.
  void Drain();

 private:
  ServiceHost() = default;
  void Stop(int64_t seconds);

  std::unique_ptr<grpc::Server> server_;
  std::string address_;
  std::string port_file_;
  int64_t drain_seconds_ = 0;
};

// Keeps gRPC's own lines off standard error, where logs are JSON and every error is reported once, unless
// GRPC_VERBOSITY is set. Call it before anything of gRPC, and before any thread starts.
void SilenceGrpc();

// The Authenticator that `settings` asks for.
class Authenticator;
[[nodiscard]] absl::StatusOr<Authenticator> LoadAuthenticator(const ServiceSettings& settings);

}  // namespace gwq
