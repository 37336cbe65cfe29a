// google.longrunning.Operations as a view of the jobs.
#pragma once

#include "google/longrunning/operations_proto.pb.h"
#include "google/protobuf/empty.pb.h"
#include "server/jobs/jobs_handler.h"
#include "server/jobs/waiting_handler.h"

namespace gwq {

namespace longrunning = ::google::longrunning;

class GetOperationHandler final : public JobsHandler<longrunning::GetOperationRequest, longrunning::Operation> {
 public:
  using JobsHandler::JobsHandler;

 private:
  absl::Status Run() override;
};

class ListOperationsHandler final
    : public JobsHandler<longrunning::ListOperationsRequest, longrunning::ListOperationsResponse> {
 public:
  using JobsHandler::JobsHandler;

 private:
  absl::Status Run() override;
};

class CancelOperationHandler final : public JobsHandler<longrunning::CancelOperationRequest, google::protobuf::Empty> {
 public:
  using JobsHandler::JobsHandler;

 private:
  absl::Status Run() override;
};

// The record of a job is kept: deleting an operation only says that its caller lost interest, as the service definition
// allows.
class DeleteOperationHandler final : public JobsHandler<longrunning::DeleteOperationRequest, google::protobuf::Empty> {
 public:
  using JobsHandler::JobsHandler;

 private:
  absl::Status Run() override;
};

// Answers the operation as it is when the timeout is over, done or not.
class WaitOperationHandler final : public WaitingHandler<longrunning::WaitOperationRequest, longrunning::Operation> {
 public:
  using WaitingHandler::WaitingHandler;

 private:
  void Start() override;
  absl::StatusOr<bool> Look() override;
  absl::Status TimeOver() override { return absl::OkStatus(); }

  std::string id_;
};

}  // namespace gwq
