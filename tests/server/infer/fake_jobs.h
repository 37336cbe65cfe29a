// The part of gwq-jobs that gwq-infer calls.
#pragma once

#include <fmt/format.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "core/base/mutex.h"
#include "core/base/sha256.h"
#include "gwq/v1/artifacts.grpc.pb.h"

namespace gwq::testing {

// Thread-safe.
class FakeJobs final : public v1::ArtifactService::Service {
 public:
  explicit FakeJobs(std::string blob_root) : blob_root_(std::move(blob_root)) {}

  // For calls with that token alone; without one, for all calls.
  void Add(const std::string& name, const Digest& digest, const std::string& token = "") {
    MutexLock lock(mutex_);
    models_[{token, name}] = digest.Hex();
  }
  void Remove(const std::string& name, const std::string& token) {
    MutexLock lock(mutex_);
    models_.erase({token, name});
  }
  // From now on calls need one of the tokens that this was told.
  void Admit(const std::string& token) {
    MutexLock lock(mutex_);
    admitted_.insert(token);
  }
  // Resolve of that name is not answered until EndSilence.
  void Silence(const std::string& name) {
    MutexLock lock(mutex_);
    silent_ = name;
  }
  void EndSilence() {
    Silence("");
    changed_.NotifyAll();
  }
  // Blocks until a Resolve is not answered.
  void WaitSilent() {
    MutexLock lock(mutex_);
    while (unanswered_ == 0) changed_.Wait(mutex_);
  }
  // Holds on `digest` that were not released.
  [[nodiscard]] int Holders(const Digest& digest) {
    MutexLock lock(mutex_);
    return static_cast<int>(holders_[digest.Hex()].size());
  }
  [[nodiscard]] int resolved() {
    MutexLock lock(mutex_);
    return resolved_;
  }
  // Blocks until Resolve was answered `count` times.
  void WaitResolved(int count) {
    MutexLock lock(mutex_);
    while (resolved_ < count) changed_.Wait(mutex_);
  }

 private:
  static std::string TokenOf(const grpc::ServerContext& context) {
    const auto header = context.client_metadata().find("authorization");
    if (header == context.client_metadata().end()) return "";
    return std::string(header->second.data(), header->second.size()).substr(std::string_view("Bearer ").size());
  }
  grpc::Status Resolve(grpc::ServerContext* context, const v1::ResolveRequest* request,
                       v1::ResolveResponse* response) override {
    const std::string token = TokenOf(*context);
    MutexLock lock(mutex_);
    ++unanswered_;
    changed_.NotifyAll();
    while (!silent_.empty() && silent_ == request->name()) changed_.Wait(mutex_);
    --unanswered_;
    if (!admitted_.empty() && !admitted_.contains(token)) {
      return {grpc::StatusCode::UNAUTHENTICATED, "the bearer token is not known here"};
    }
    for (const char* prefix : {"", "artifacts/", "models/"}) {
      const std::string name = fmt::format("{}{}", prefix, request->name());
      auto found = models_.find({token, name});
      if (found == models_.end()) found = models_.find({"", name});
      if (found == models_.end()) continue;
      holders_[found->second][request->holder()] = token;
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
  grpc::Status ReleaseHold(grpc::ServerContext* context, const v1::ReleaseHoldRequest* request,
                           google::protobuf::Empty*) override {
    MutexLock lock(mutex_);
    auto& holders = holders_[request->digest()];
    const auto held = holders.find(request->holder());
    if (held != holders.end() && held->second == TokenOf(*context)) holders.erase(held);
    return grpc::Status::OK;
  }

  const std::string blob_root_;
  Mutex mutex_;
  CondVar changed_;
  std::set<std::string> admitted_ ABSL_GUARDED_BY(mutex_);
  std::map<std::pair<std::string, std::string>, std::string> models_ ABSL_GUARDED_BY(mutex_);  // by token and name
  // Digest to holder to the token that it came with.
  std::map<std::string, std::map<std::string, std::string>> holders_ ABSL_GUARDED_BY(mutex_);
  int resolved_ ABSL_GUARDED_BY(mutex_) = 0;
  std::string silent_ ABSL_GUARDED_BY(mutex_);
  int unanswered_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace gwq::testing
