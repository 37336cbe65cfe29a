// WorkerService: leases for worker processes.
#pragma once

#include "gwq/v1/worker.pb.h"
#include "server/jobs/jobs_handler.h"
#include "server/jobs/waiting_handler.h"

namespace gwq {

class AcquireHandler final : public WaitingHandler<v1::AcquireRequest, v1::AcquireResponse> {
 public:
  using WaitingHandler::WaitingHandler;

 private:
  void Start() override;
  absl::StatusOr<bool> Look() override;
  absl::Status TimeOver() override { return absl::OkStatus(); }
};

class HeartbeatHandler final : public JobsHandler<v1::HeartbeatRequest, v1::HeartbeatResponse> {
 public:
  using JobsHandler::JobsHandler;

 private:
  absl::Status Run() override;
};

class CommitHandler final : public JobsHandler<v1::CommitRequest, v1::CommitResponse> {
 public:
  using JobsHandler::JobsHandler;

 private:
  absl::Status Run() override;
  absl::StatusOr<CatalogueEntry> EntryOf(const Job& job);
};

class FailHandler final : public JobsHandler<v1::FailRequest, v1::FailResponse> {
 public:
  using JobsHandler::JobsHandler;

 private:
  absl::Status Run() override;
};

}  // namespace gwq
