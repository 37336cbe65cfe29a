// Reports of quantizations: of artifacts, and of what a quality contract refused.
#include <fmt/format.h>

#include "core/base/status.h"
#include "core/jobs/kinds/job_kinds.h"
#include "core/quant/report_html.h"
#include "server/common/handler.h"
#include "server/jobs/handlers/services.h"
#include "server/jobs/resource_names.h"

namespace gwq {
namespace {

using Format = v1::GetReportRequest;

class GetReportHandler final : public JobsCall<v1::GetReportRequest, v1::GetReportResponse> {
 public:
  using WithState::WithState;

 private:
  absl::Status Run() override {
    GWQ_ASSIGN_OR_RETURN(JobReport report, Find());
    switch (request().format()) {
      case Format::FORMAT_UNSPECIFIED:
      case Format::MARKDOWN:
        response().set_text(std::move(report.markdown));
        return absl::OkStatus();
      case Format::JSON:
        response().set_text(std::move(report.json));
        return absl::OkStatus();
      case Format::HTML: {
        GWQ_ASSIGN_OR_RETURN(*response().mutable_text(), ReportHtml(report.json));
        return absl::OkStatus();
      }
      default:
        return InvalidField("format", fmt::format("{} is not a format; use MARKDOWN, JSON or HTML",
                                                  static_cast<int>(request().format())));
    }
  }

  absl::StatusOr<JobReport> Find() {
    const std::string& name = request().name();
    if (!name.starts_with("jobs/")) return OfArtifact(name);
    GWQ_ASSIGN_OR_RETURN(const std::string id, IdOf("name", "jobs", name));
    GWQ_ASSIGN_OR_RETURN(const Job job, state_.jobs.Get(principal(), id));
    if (job.state != JobState::kSucceeded || job.kind != "quantize") return state_.jobs.Report(principal(), id);
    GWQ_ASSIGN_OR_RETURN(const JobKind* const kind, FindJobKind(job.kind));
    GWQ_ASSIGN_OR_RETURN(const JobProduct product, kind->product(job.spec_json));
    return OfArtifact("artifacts/" + product.id, id);
  }

  // `made_by`: the job that must have made it; empty: any.
  absl::StatusOr<JobReport> OfArtifact(const std::string& name, const std::string& made_by = "") {
    GWQ_ASSIGN_OR_RETURN(const std::string id, IdOf("name", "artifacts", name));
    GWQ_ASSIGN_OR_RETURN(CatalogueEntry entry, state_.catalogue.Find(principal(), "artifact", id));
    if (!made_by.empty() && entry.job != made_by) {
      return absl::NotFoundError(
          fmt::format("{} was made anew by jobs/{}, and the report of jobs/{} went with the "
                      "artifact before",
                      name, entry.job, made_by));
    }
    if (entry.report_json.empty()) return absl::NotFoundError(fmt::format("{} has no report", name));
    return JobReport{std::move(entry.report_json), std::move(entry.report_markdown)};
  }
};

}  // namespace

grpc::ServerUnaryReactor* ArtifactService::GetReport(grpc::CallbackServerContext* context,
                                                     const v1::GetReportRequest* request,
                                                     v1::GetReportResponse* response) {
  return Start<GetReportHandler>("ArtifactService/GetReport", context, request, response);
}

}  // namespace gwq
