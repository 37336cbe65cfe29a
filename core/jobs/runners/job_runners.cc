#include "core/jobs/runners/job_runners.h"

#include "core/base/status.h"
#include "core/jobs/kinds/specs.h"

namespace gwq {

const std::vector<JobRunner>& JobRunners() {
  static const std::vector<JobRunner> runners = RowsOf(JobSpecs(), []<class Spec>(std::type_identity<Spec>) {
    return JobRunner{Spec::kKind, [](const JobContext& context) -> absl::StatusOr<JobOutput> {
                       GWQ_ASSIGN_OR_RETURN(const Spec spec, Spec::Parse(context.spec_json));
                       return RunJob(spec, context);
                     }};
  });
  return runners;
}

}  // namespace gwq
