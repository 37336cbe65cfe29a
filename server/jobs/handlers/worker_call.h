// What the calls of workers share.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "core/base/status.h"
#include "core/storage/blob_store.h"
#include "server/common/handler.h"
#include "server/jobs/handlers/services.h"

namespace gwq {

// PERMISSION_DENIED unless the principal may act as a worker.
[[nodiscard]] inline absl::Status AdmitWorker(const JobsState& state, const std::string& principal) {
  if (state.worker_principal.empty() || state.worker_principal == principal) return absl::OkStatus();
  return absl::PermissionDeniedError(
      fmt::format("only the principal '{}' may act as a worker", state.worker_principal));
}

// A job's name in this service is its id with or without "jobs/".
[[nodiscard]] inline std::string JobId(const std::string& name) {
  return name.starts_with("jobs/") ? name.substr(5) : name;
}

// Nothing is named whose blobs are not all there.
[[nodiscard]] inline absl::Status CheckStored(std::string_view field, BlobStore& store,
                                              const std::vector<Digest>& blobs) {
  for (const Digest& blob : blobs) {
    const absl::Status stored = store.Stat(blob).status();
    if (!stored.ok()) return InvalidField(field, fmt::format("it names {}: {}", blob.Hex(), MessageOf(stored)));
  }
  return absl::OkStatus();
}

template <class Request, class Response>
class WorkerCall : public JobsCall<Request, Response> {
 public:
  using JobsCall<Request, Response>::JobsCall;

 protected:
  [[nodiscard]] virtual absl::Status Act() = 0;
  using JobsCall<Request, Response>::state_;

 private:
  absl::Status Run() final {
    GWQ_RETURN_IF_ERROR(AdmitWorker(state_, this->principal()));
    return Act();
  }
};

}  // namespace gwq
