// A service that answers from this process.
#pragma once

#include <grpcpp/grpcpp.h>

#include "client/library/connection.h"

namespace gwq::testing {

class LocalServer {
 public:
  explicit LocalServer(grpc::Service& service) {
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(&service);
    server_ = builder.BuildAndStart();
    endpoint.address = "127.0.0.1:" + std::to_string(port);
  }
  // Ends calls that are under way, too.
  ~LocalServer() { server_->Shutdown(std::chrono::system_clock::now()); }

  client::Endpoint endpoint;

 private:
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace gwq::testing
