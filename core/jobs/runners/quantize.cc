#include <fmt/format.h>

#include "core/base/status.h"
#include "core/jobs/job_run.h"
#include "core/jobs/kinds/specs.h"
#include "core/quant/job/contract_search.h"

namespace gwq {

template <>
absl::StatusOr<JobOutput> RunJob(const QuantizeJob& job, const JobContext& context) {
  GWQ_ASSIGN_OR_RETURN(QuantizeResult result,
                       QuantizeToContract(context.store, job.source, job.recipe, context.progress, job.evaluations,
                                          context.checkpoints, context.passes, job.contract));
  GWQ_ASSIGN_OR_RETURN(JobOutput out, OutputOf(context.store, result.artifact));
  out.report_json = std::move(result.report_json);
  out.report_markdown = std::move(result.report_markdown);
  out.passes = result.passes;
  if (!result.misses.empty()) {
    out.verdict = absl::FailedPreconditionError(
        fmt::format("the artifact does not meet the quality contract: {}. It was not published; its report stays with "
                    "the job",
                    MissesText(result.misses)));
  }
  return out;
}

}  // namespace gwq
