#include "core/quant/job/quantize.h"

#include "core/base/status.h"
#include "core/jobs/job_run.h"
#include "core/jobs/kinds/specs.h"

namespace gwq {

template <>
absl::StatusOr<JobOutput> RunJob(const QuantizeJob& job, const JobContext& context) {
  GWQ_ASSIGN_OR_RETURN(QuantizeResult result, QuantizeModel(context.store, job.source, job.recipe, context.progress,
                                                            job.evaluations, &context.checkpoints, &context.passes));
  GWQ_ASSIGN_OR_RETURN(JobOutput out, OutputOf(context.store, result.artifact));
  out.report_json = std::move(result.report_json);
  out.report_markdown = std::move(result.report_markdown);
  out.passes = result.passes;
  return out;
}

}  // namespace gwq
