// A blocking handler of gwq-jobs.
#pragma once

#include "server/common/handler.h"
#include "server/jobs/names.h"
#include "server/jobs/state.h"

namespace gwq {

template <class Request, class Response>
class JobsHandler : public BlockingHandler<Request, Response> {
 public:
  JobsHandler(const CallEnvironment& environment, std::string_view method, grpc::CallbackServerContext* context,
              const Request* request, Response* response, JobsState& state)
      : BlockingHandler<Request, Response>(environment, method, context, request, response), state_(state) {}

 protected:
  [[nodiscard]] const JobsContext& jobs() const { return state_.context; }
  JobsState& state_;
};

}  // namespace gwq
