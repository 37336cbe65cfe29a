// JobService, one handler a call.
#pragma once

#include "gwq/v1/jobs.pb.h"
#include "server/jobs/job_watch.h"
#include "server/jobs/jobs_handler.h"

namespace gwq {

class CreateJobHandler final : public JobsHandler<v1::CreateJobRequest, v1::CreateJobResponse> {
 public:
  using JobsHandler::JobsHandler;

 private:
  absl::Status Run() override;
  absl::Status Quantize();
  absl::Status Export();
  absl::Status Enqueue(Job job);
};

class GetJobHandler final : public JobsHandler<v1::GetJobRequest, v1::Job> {
 public:
  using JobsHandler::JobsHandler;

 private:
  absl::Status Run() override;
};

class ListJobsHandler final : public JobsHandler<v1::ListJobsRequest, v1::ListJobsResponse> {
 public:
  using JobsHandler::JobsHandler;

 private:
  absl::Status Run() override;
};

class CancelJobHandler final : public JobsHandler<v1::CancelJobRequest, v1::Job> {
 public:
  using JobsHandler::JobsHandler;

 private:
  absl::Status Run() override;
};

// A stream that goes on whenever its job changed. Changes that come faster than the client reads are skipped, never the
// last.
template <class Request, class Response>
class JobStreamHandler : public ServerStreamHandler<Request, Response> {
 public:
  JobStreamHandler(const CallEnvironment& environment, std::string_view method, grpc::CallbackServerContext* context,
                   const Request* request, JobsState& state)
      : ServerStreamHandler<Request, Response>(environment, method, context, request), state_(state) {}

 protected:
  // Sends what is new of the job, and Ends where nothing can follow. Never beside itself.
  virtual absl::Status Advance() = 0;
  JobsState& state_;
  std::string id_;

 private:
  void Open() final;
  void Drained() final { Refresh(); }
  void Refresh();

  Mutex advancing_;
  JobWatch watch_;
};

class WatchJobHandler final : public JobStreamHandler<v1::WatchJobRequest, v1::Job> {
 public:
  using JobStreamHandler::JobStreamHandler;

 private:
  absl::Status Advance() override;
  uint64_t sent_version_ = 0;
};

class ReadJobLogsHandler final : public JobStreamHandler<v1::ReadJobLogsRequest, v1::JobLogLine> {
 public:
  using JobStreamHandler::JobStreamHandler;

 private:
  absl::Status Advance() override;
  uint64_t next_ = 0;
};

}  // namespace gwq
