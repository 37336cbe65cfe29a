#include "core/artifact/stored_dataset.h"
#include "core/base/status.h"
#include "core/evaluation/evaluation.h"
#include "core/jobs/job_run.h"
#include "core/jobs/kinds/specs.h"

namespace gwq {

template <>
absl::StatusOr<JobOutput> RunJob(const EvaluateJob& job, const JobContext& context) {
  GWQ_ASSIGN_OR_RETURN(const EvaluationResult result,
                       RunEvaluation(context.store, job.source, job.reference_source, job.task, context.progress));
  GWQ_ASSIGN_OR_RETURN(const Digest digest, StoreEvaluation(context.store, result));
  GWQ_ASSIGN_OR_RETURN(JobOutput out, OutputOf(context.store, digest));
  out.architecture = result.architecture;
  out.report_json = EvaluationJson(result);
  out.report_markdown = EvaluationMarkdown(result);
  return out;
}

}  // namespace gwq
