// gwq jobs list|show|watch|cancel|logs
#include "client/library/jobs.h"

#include <fmt/format.h>

#include "client/cli/checks.h"
#include "client/cli/commands/command.h"
#include "client/cli/commands/report.h"
#include "client/cli/commands/summary.h"
#include "client/cli/commands/watch.h"
#include "client/cli/output.h"
#include "client/cli/table.h"
#include "gwq/v1/jobs.grpc.pb.h"

namespace gwq::cli {
namespace {

absl::StatusOr<ExitCode> List(Session& session) {
  const auto stub = v1::JobService::NewStub(session.jobs().channel());
  std::vector<std::vector<std::string>> rows;
  v1::ListJobsRequest request;
  do {
    GWQ_ASSIGN_OR_RETURN(const v1::ListJobsResponse page,
                         client::Call(session.jobs(), *stub, &v1::JobService::Stub::ListJobs, request));
    for (const v1::Job& job : page.jobs()) {
      if (session.json()) PrintJson(job);
      std::string progress;
      if (job.progress().total() > 0)
        progress = fmt::format("{} {}/{}", job.progress().phase(), job.progress().done(), job.progress().total());
      rows.push_back({job.name(), job.kind(), StateText(job.state()), progress, TimeText(job.create_time().seconds())});
    }
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  if (!session.json()) PrintTable({"NAME", "KIND", "STATE", "PROGRESS", "CREATED (UTC)"}, rows);
  return kExitOk;
}

void PrintJob(Session& session, const v1::Job& job) {
  if (session.json()) {
    PrintJson(job);
    return;
  }
  Print("name      {}\nkind      {}\nstate     {}\nattempt   {}\ndevice    {}\nresult    {}\n", job.name(), job.kind(),
        StateText(job.state()), job.attempt(), job.device(), job.result());
  if (job.progress().total() > 0)
    Print("progress  {} {}/{}\n", job.progress().phase(), job.progress().done(), job.progress().total());
  if (job.error().code() != 0) Print("error     {}\n", job.error().message());
}

absl::StatusOr<ExitCode> Show(Session& session, const std::string& name) {
  const auto stub = v1::JobService::NewStub(session.jobs().channel());
  v1::GetJobRequest request;
  request.set_name(ResourceName("jobs", name));
  GWQ_ASSIGN_OR_RETURN(const v1::Job job, client::Call(session.jobs(), *stub, &v1::JobService::Stub::GetJob, request));
  PrintJob(session, job);
  return kExitOk;
}

absl::StatusOr<ExitCode> Watch(Session& session, const std::string& name) {
  GWQ_ASSIGN_OR_RETURN(const v1::Job job, FollowJob(session, ResourceName("jobs", name)));
  // ReportEnd prints the JSON of a job that did not succeed.
  if (!session.json() || job.state() == v1::JOB_STATE_SUCCEEDED) PrintJob(session, job);
  if (!session.json()) {
    // The job has ended as it has, also where the service cannot be asked any more.
    const auto made = ArtifactOf(session, job);
    if (made.ok() && *made && (*made)->has_summary()) Print("\n{}", SummaryText((*made)->summary()));
  }
  return ReportEnd(session, job);
}

absl::StatusOr<ExitCode> Cancel(Session& session, const std::string& name) {
  const auto stub = v1::JobService::NewStub(session.jobs().channel());
  v1::CancelJobRequest request;
  request.set_name(ResourceName("jobs", name));
  GWQ_ASSIGN_OR_RETURN(const v1::Job job,
                       client::Call(session.jobs(), *stub, &v1::JobService::Stub::CancelJob, request));
  PrintJob(session, job);
  return kExitOk;
}

struct LogArguments {
  std::string name;
  bool follow = false;
  uint64_t first = 0;
};

absl::StatusOr<ExitCode> Logs(Session& session, const LogArguments& arguments) {
  GWQ_RETURN_IF_ERROR(client::ReadLogs(session.jobs(), ResourceName("jobs", arguments.name), arguments.first,
                                       arguments.follow, session.canceller(), [&](const v1::JobLogLine& line) {
                                         if (session.json()) {
                                           PrintJson(line);
                                         } else {
                                           Print("{}  {}\n", TimeText(line.time().seconds()), line.text());
                                         }
                                         session.FlushOutput();
                                       }));
  return kExitOk;
}

using NamedAction = absl::StatusOr<ExitCode> (*)(Session&, const std::string&);

void AddNamed(CLI::App& jobs, Selected& selected, const std::string& verb, const std::string& help,
              NamedAction action) {
  auto name = std::make_shared<std::string>();
  CLI::App* command = jobs.add_subcommand(verb, help);
  command->add_option("name", *name, "jobs/ID or ID")->required();
  command->callback([&selected, name, action] {
    selected.action = [name, action](Session& session) { return action(session, *name); };
  });
}

}  // namespace

void AddJobCommands(CLI::App& app, Selected& selected) {
  CLI::App* jobs = app.add_subcommand("jobs", "imports, quantizations, exports and evaluations");
  jobs->require_subcommand(1);
  jobs->add_subcommand("list", "all jobs, newest first")->callback([&selected] { selected.action = List; });
  AddNamed(*jobs, selected, "show", "one job", Show);
  AddNamed(*jobs, selected, "watch", "follow a job to its end; Ctrl-C leaves it running", Watch);
  AddNamed(*jobs, selected, "cancel", "cancel a job", Cancel);
  AddReportCommand(*jobs, selected, "jobs");

  auto arguments = std::make_shared<LogArguments>();
  CLI::App* logs = jobs->add_subcommand("logs", "log lines of a job");
  logs->add_option("name", arguments->name, "jobs/ID or ID")->required();
  logs->add_flag("--follow,-f", arguments->follow, "go on until the job ends");
  logs->add_option("--from", arguments->first, "index of the first line")->check(WholeNumber);
  logs->callback([&selected, arguments] {
    selected.action = [arguments](Session& session) { return Logs(session, *arguments); };
  });
}

}  // namespace gwq::cli
