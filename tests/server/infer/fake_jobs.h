// The part of gwq-jobs that gwq-infer calls.
#pragma once

#include <fmt/format.h>

#include <map>
#include <memory>
#include <string>

#include "core/base/mutex.h"
#include "core/base/sha256.h"
#include "gwq/v1/artifacts.grpc.pb.h"

namespace gwq::testing {

// Thread-safe.
class FakeJobs final : public v1::ArtifactService::Service {
 public:
  explicit FakeJobs(std::string blob_root) : blob_root_(std::move(blob_root)) {}

  void Add(const std::string& name, const Digest& digest) {
    MutexLock lock(mutex_);
    models_[name] = digest.Hex();
  }
  // Holds on `digest` that were not released.
  [[nodiscard]] int Holders(const Digest& digest) {
    MutexLock lock(mutex_);
    return static_cast<int>(holders_[digest.Hex()].size());
  }
  // Blocks until Resolve was answered `count` times.
  void WaitResolved(int count) {
    MutexLock lock(mutex_);
    while (resolved_ < count) changed_.Wait(mutex_);
  }

 private:
  grpc::Status Resolve(grpc::ServerContext*, const v1::ResolveRequest* request,
                       v1::ResolveResponse* response) override {
    MutexLock lock(mutex_);
    for (const char* prefix : {"", "artifacts/", "models/"}) {
      const std::string name = fmt::format("{}{}", prefix, request->name());
      const auto found = models_.find(name);
      if (found == models_.end()) continue;
      holders_[found->second][request->holder()] = request->hold_millis();
      response->set_name(name);
      response->set_digest(found->second);
      response->set_kind(name.starts_with("artifacts/") ? "artifact" : "model");
      response->set_blob_root(blob_root_);
      ++resolved_;
      changed_.NotifyAll();
      return grpc::Status::OK;
    }
    return {grpc::StatusCode::NOT_FOUND, "no artifact or model '" + request->name() + "'"};
  }
  grpc::Status ReleaseHold(grpc::ServerContext*, const v1::ReleaseHoldRequest* request,
                           google::protobuf::Empty*) override {
    MutexLock lock(mutex_);
    holders_[request->digest()].erase(request->holder());
    return grpc::Status::OK;
  }

  const std::string blob_root_;
  Mutex mutex_;
  CondVar changed_;
  std::map<std::string, std::string> models_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::map<std::string, int64_t>> holders_ ABSL_GUARDED_BY(mutex_);
  int resolved_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace gwq::testing
