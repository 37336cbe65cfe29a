// gwq eval run|list|show|compare|pull|delete|push|datasets|delete-dataset
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "client/cli/checks.h"
#include "client/cli/commands/command.h"
#include "client/cli/commands/pull.h"
#include "client/cli/commands/push.h"
#include "client/cli/commands/watch.h"
#include "client/cli/comparison.h"
#include "client/cli/evaluation_flags.h"
#include "client/cli/output.h"
#include "client/cli/table.h"
#include "client/library/local_dataset.h"
#include "gwq/v1/evaluations.grpc.pb.h"
#include "gwq/v1/jobs.grpc.pb.h"

namespace gwq::cli {
namespace {

constexpr char kEvaluationName[] = "evaluations/NAME or NAME";

using Stub = v1::EvaluationService::Stub;

struct Arguments {
  std::string target;
  std::string name;
  std::string data;  // a file to upload first
  std::string reference;
  std::string request_id;
  TaskArguments task;
  bool plan = false;
  bool no_wait = false;
};

std::string IdOf(const std::string& name) { return name.substr(name.rfind('/') + 1); }

template <class Request, class Response>
absl::StatusOr<Response> Ask(Session& session,
                             grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                             const Request& request) {
  const auto stub = v1::EvaluationService::NewStub(session.jobs().channel());
  return client::Call(session.jobs(), *stub, method, request);
}

struct Pushed {
  std::string name;  // "datasets/..."
  EvaluationKind kind = EvaluationKind::kText;
};

absl::StatusOr<Pushed> PushData(Session& session, const std::string& path, const std::string& name) {
  GWQ_ASSIGN_OR_RETURN(const client::LocalDataset dataset, client::ScanDataset(path, session.terminal()));
  const std::string id = name.empty() ? IdOfFile(std::filesystem::path(path).stem().string()) : name;
  GWQ_RETURN_IF_ERROR(PushDataset(session, dataset.files, id, path));
  return Pushed{"datasets/" + id, dataset.kind};
}

void PrintMetrics(const v1::Evaluation& evaluation) {
  std::vector<std::vector<std::string>> rows;
  for (const v1::EvaluationMetric& metric : evaluation.metrics()) {
    rows.push_back({metric.name(), fmt::format("{:.6g}", metric.value()),
                    metric.has_standard_error() ? fmt::format("{:.2g}", metric.standard_error()) : ""});
  }
  PrintTable({"METRIC", "VALUE", "STANDARD ERROR"}, rows);
}

absl::StatusOr<v1::Evaluation> Get(Session& session, const std::string& name) {
  v1::GetEvaluationRequest request;
  request.set_name(ResourceName("evaluations", name));
  return Ask(session, &Stub::GetEvaluation, request);
}

absl::StatusOr<ExitCode> PrintEvaluation(Session& session, const std::string& name) {
  GWQ_ASSIGN_OR_RETURN(const v1::Evaluation evaluation, Get(session, name));
  if (session.json()) {
    PrintJson(evaluation);
    return kExitOk;
  }
  Print("{}  {}  of {}\n\n", evaluation.name(), evaluation.architecture(), evaluation.model_digest());
  // A sweep's report has a table of its own.
  if (evaluation.metrics().empty()) {
    Print("{}\n", evaluation.result_markdown());
  } else {
    PrintMetrics(evaluation);
  }
  return kExitOk;
}

absl::StatusOr<v1::CreateJobRequest> RequestOf(Session& session, const Arguments& arguments) {
  v1::CreateJobRequest request;
  v1::EvaluateSpec& spec = *request.mutable_evaluate();
  spec.set_target(ResourceName("artifacts", arguments.target));
  if (!arguments.reference.empty()) spec.set_reference(ResourceName("models", arguments.reference));
  GWQ_ASSIGN_OR_RETURN(*spec.mutable_task(), TaskOf(arguments.task));
  if (!arguments.data.empty()) {
    GWQ_ASSIGN_OR_RETURN(const Pushed pushed, PushData(session, arguments.data, ""));
    spec.mutable_task()->set_dataset(pushed.name);
    if (spec.task().kind() == v1::EvaluationTask::KIND_UNSPECIFIED) {
      spec.mutable_task()->set_kind(static_cast<v1::EvaluationTask::Kind>(static_cast<int>(pushed.kind) + 1));
    }
  }
  const std::string kind = v1::EvaluationTask::Kind_Name(spec.task().kind());
  std::string id = IdOf(spec.target()).substr(0, 48) + "-" + (spec.task().kind() == 0 ? "text" : kind);
  std::ranges::transform(id, id.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  spec.set_evaluation_id(arguments.name.empty() ? id : arguments.name);
  request.set_request_id(arguments.request_id);
  request.set_validate_only(arguments.plan);
  return request;
}

absl::StatusOr<ExitCode> Run(Session& session, const Arguments& arguments) {
  GWQ_ASSIGN_OR_RETURN(const v1::CreateJobRequest request, RequestOf(session, arguments));
  const auto stub = v1::JobService::NewStub(session.jobs().channel());
  GWQ_ASSIGN_OR_RETURN(const v1::CreateJobResponse created,
                       client::Call(session.jobs(), *stub, &v1::JobService::Stub::CreateJob, request));
  if (arguments.plan) {
    if (session.json()) {
      PrintJson(created.plan());
    } else {
      Print("peak memory   {}\n", BytesText(created.plan().peak_memory_bytes()));
    }
    return kExitOk;
  }
  if (arguments.no_wait) {
    if (session.json()) {
      PrintJson(created.job());
    } else {
      Print("{}\n", created.job().name());
    }
    return kExitOk;
  }
  GWQ_ASSIGN_OR_RETURN(const v1::Job job, FollowJob(session, created.job().name()));
  if (const ExitCode code = ReportEnd(session, job); code != kExitOk) return code;
  return PrintEvaluation(session, job.result());
}

absl::StatusOr<ExitCode> List(Session& session) {
  std::vector<std::vector<std::string>> rows;
  v1::ListEvaluationsRequest request;
  do {
    GWQ_ASSIGN_OR_RETURN(const v1::ListEvaluationsResponse page, Ask(session, &Stub::ListEvaluations, request));
    for (const v1::Evaluation& evaluation : page.evaluations()) {
      if (session.json()) PrintJson(evaluation);
      const auto first = evaluation.metrics().empty() ? v1::EvaluationMetric() : evaluation.metrics(0);
      rows.push_back({evaluation.name(), evaluation.architecture(),
                      fmt::format("{} {:.6g}", first.name(), first.value()),
                      TimeText(evaluation.create_time().seconds()), evaluation.model_digest().substr(0, 12)});
    }
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  if (!session.json()) PrintTable({"NAME", "ARCHITECTURE", "RESULT", "CREATED (UTC)", "MODEL"}, rows);
  return kExitOk;
}

struct CompareArguments {
  std::string a, b;
  bool anyway = false;
};

absl::StatusOr<ExitCode> Compare(Session& session, const CompareArguments& arguments) {
  GWQ_ASSIGN_OR_RETURN(const v1::Evaluation a, Get(session, arguments.a));
  GWQ_ASSIGN_OR_RETURN(const v1::Evaluation b, Get(session, arguments.b));
  if (const auto differences = MeasuredDifferently(a, b); !differences.empty() && !arguments.anyway) {
    return absl::InvalidArgumentError(
        fmt::format("{} and {} were not measured alike ({}): measure one of them as the other was, or give --anyway",
                    a.name(), b.name(), fmt::join(differences, "; ")));
  }
  PrintComparison(session, a, b);
  return kExitOk;
}

struct PullArguments {
  std::string name, folder;
};

absl::StatusOr<ExitCode> Pull(Session& session, const PullArguments& arguments) {
  return PullTo(session, ResourceName("evaluations", arguments.name), arguments.folder);
}

absl::StatusOr<ExitCode> Delete(Session& session, const std::string& name) {
  v1::DeleteEvaluationRequest request;
  request.set_name(ResourceName("evaluations", name));
  GWQ_RETURN_IF_ERROR(Ask(session, &Stub::DeleteEvaluation, request).status());
  if (session.json()) PrintDone(request.name(), "deleted");
  return kExitOk;
}

absl::StatusOr<ExitCode> DeleteDataset(Session& session, const std::string& name) {
  v1::DeleteDatasetRequest request;
  request.set_name(ResourceName("datasets", name));
  GWQ_RETURN_IF_ERROR(Ask(session, &Stub::DeleteDataset, request).status());
  if (session.json()) PrintDone(request.name(), "deleted");
  return kExitOk;
}

absl::StatusOr<ExitCode> Datasets(Session& session) {
  std::vector<std::vector<std::string>> rows;
  v1::ListDatasetsRequest request;
  do {
    GWQ_ASSIGN_OR_RETURN(const v1::ListDatasetsResponse page, Ask(session, &Stub::ListDatasets, request));
    for (const v1::Dataset& dataset : page.datasets()) {
      if (session.json()) PrintJson(dataset);
      rows.push_back({dataset.name(), BytesText(dataset.stored_bytes()), TimeText(dataset.create_time().seconds()),
                      dataset.digest().substr(0, 12)});
    }
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  if (!session.json()) PrintTable({"NAME", "SIZE", "CREATED (UTC)", "DIGEST"}, rows);
  return kExitOk;
}

struct PushArguments {
  std::string path, name;
};

absl::StatusOr<ExitCode> Push(Session& session, const PushArguments& arguments) {
  GWQ_ASSIGN_OR_RETURN(const Pushed pushed, PushData(session, arguments.path, arguments.name));
  v1::GetDatasetRequest request;
  request.set_name(pushed.name);
  GWQ_ASSIGN_OR_RETURN(const v1::Dataset dataset, Ask(session, &Stub::GetDataset, request));
  if (session.json()) {
    PrintJson(dataset);
  } else {
    Print("{}  {}  {}\n", dataset.name(), BytesText(dataset.stored_bytes()), dataset.digest());
  }
  return kExitOk;
}

template <class A>
void OnCallback(CLI::App* command, Selected& selected, std::shared_ptr<A> arguments,
                absl::StatusOr<ExitCode> (*action)(Session&, const A&)) {
  command->callback([&selected, arguments, action] {
    selected.action = [arguments, action](Session& session) { return action(session, *arguments); };
  });
}

void AddRun(CLI::App& eval, Selected& selected) {
  auto to = std::make_shared<Arguments>();
  CLI::App* command = eval.add_subcommand("run", "measure a model or an artifact");
  command->add_option("target", to->target, "models/NAME, artifacts/NAME or an artifact's NAME")->required();
  command->add_option("--name", to->name, "name of the evaluation (default: TARGET-KIND); an earlier one is replaced")
      ->check(NotEmpty);
  command
      ->add_option("--data", to->data,
                   "a .jsonl file of questions with its images next to it, or a .txt file; it is uploaded first")
      ->check(CLI::ExistingFile);
  command->add_option("--reference", to->reference,
                      "models/NAME, artifacts/NAME or a model's NAME: how far the target diverges from it");
  AddTaskFlags(*command, to->task);
  command->add_option("--request-id", to->request_id, "the same id twice makes one job");
  command->add_flag("--plan", to->plan, "show the peak memory and start no job; --data is still uploaded");
  command->add_flag("--no-wait", to->no_wait, "print the job and leave it running");
  OnCallback(command, selected, to, Run);
}

void AddNamed(CLI::App& eval, Selected& selected, const std::string& verb, const std::string& help,
              const std::string& argument, absl::StatusOr<ExitCode> (*action)(Session&, const std::string&)) {
  auto name = std::make_shared<std::string>();
  CLI::App* command = eval.add_subcommand(verb, help);
  command->add_option("name", *name, argument)->required();
  OnCallback(command, selected, name, action);
}

}  // namespace

void AddEvalCommands(CLI::App& app, Selected& selected) {
  CLI::App* eval = app.add_subcommand("eval", "measure models and artifacts, and compare them");
  eval->require_subcommand(1);
  AddRun(*eval, selected);
  eval->add_subcommand("list", "all evaluations")->callback([&selected] { selected.action = List; });
  AddNamed(*eval, selected, "show", "one evaluation", kEvaluationName, PrintEvaluation);
  AddNamed(*eval, selected, "delete", "delete an evaluation", kEvaluationName, Delete);

  auto compared = std::make_shared<CompareArguments>();
  CLI::App* compare = eval->add_subcommand("compare", "two evaluations side by side");
  compare->add_option("a", compared->a, kEvaluationName)->required();
  compare->add_option("b", compared->b, std::string(kEvaluationName) + "; the difference is b - a")->required();
  compare->add_flag("--anyway", compared->anyway, "compare even if task, dataset or reference differ");
  OnCallback(compare, selected, compared, Compare);

  auto pulled = std::make_shared<PullArguments>();
  CLI::App* pull = eval->add_subcommand(
      "pull", "download an evaluation's files: evaluation.json, and items.jsonl with every answer");
  pull->add_option("name", pulled->name, kEvaluationName)->required();
  pull->add_option("folder", pulled->folder, "folder to write")->required();
  OnCallback(pull, selected, pulled, Pull);

  auto pushed = std::make_shared<PushArguments>();
  CLI::App* push = eval->add_subcommand("push", "upload a dataset: questions with their images, or a text");
  push->add_option("path", pushed->path, ".jsonl file of questions with its images next to it, or a .txt file")
      ->required()
      ->check(CLI::ExistingFile);
  push->add_option("--name", pushed->name, "name on the server (default: from the path)")->check(NotEmpty);
  OnCallback(push, selected, pushed, Push);
  eval->add_subcommand("datasets", "all datasets")->callback([&selected] { selected.action = Datasets; });
  AddNamed(*eval, selected, "delete-dataset", "delete a dataset", "datasets/NAME or NAME", DeleteDataset);
}

}  // namespace gwq::cli
