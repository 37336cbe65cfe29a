// gwq sweep MODEL
#include <fmt/format.h>

#include <filesystem>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "client/cli/checks.h"
#include "client/cli/commands/command.h"
#include "client/cli/commands/watch.h"
#include "client/cli/evaluation_flags.h"
#include "client/cli/output.h"
#include "client/cli/recipe_flags.h"
#include "client/cli/table.h"
#include "client/library/key_values.h"
#include "gwq/v1/evaluations.grpc.pb.h"
#include "gwq/v1/jobs.grpc.pb.h"

namespace gwq::cli {
namespace {

constexpr char kTargetBits[] = "--target-bits", kTargetBytes[] = "--target-bytes";

struct Arguments {
  std::string model;
  std::string name;
  RecipeArguments recipe;
  std::vector<double> target_bits;
  std::vector<int64_t> target_bytes;
  std::vector<std::string> points;
  std::vector<std::string> evaluations;
  bool no_evaluation = false;
  std::string request_id;
  bool plan = false;
  bool wait = false;
};

// "method=gptq,bits=3,group_size=64"
absl::StatusOr<v1::RecipePoint> ParsePoint(const std::string& text) {
  GWQ_ASSIGN_OR_RETURN(const auto values, client::ParseKeyValues("point", text));
  v1::RecipePoint point;
  for (const auto& [key, value] : values) {
    int32_t number = 0;
    const bool is_number = absl::SimpleAtoi(value, &number);
    v1::Method method = v1::METHOD_UNSPECIFIED;
    if (key == "method" && v1::Method_Parse(absl::AsciiStrToUpper(value), &method)) {
      point.set_method(method);
    } else if (key == "bits" && is_number) {
      point.set_bits(number);
    } else if (key == "group_size" && is_number) {
      point.set_group_size(number);
    } else {
      return absl::InvalidArgumentError(
          fmt::format("--point: '{}={}' is none of method=NAME, bits=NUMBER and group_size=NUMBER", key, value));
    }
  }
  return point;
}

absl::StatusOr<v1::SweepSpec> SpecOf(const Arguments& arguments) {
  v1::SweepSpec spec;
  std::vector<std::string> notes;
  GWQ_ASSIGN_OR_RETURN(*spec.mutable_recipe(), RecipeOf(arguments.recipe, &notes));
  for (const std::string& note : notes) PrintError("note: {}\n", note);
  spec.set_model(ResourceName("models", arguments.model));
  const std::string base = std::filesystem::path(spec.model()).filename().string();
  spec.set_name(arguments.name.empty() ? base.substr(0, 40) : arguments.name);
  for (const double bits : arguments.target_bits) spec.add_targets()->set_bits(bits);
  for (const int64_t bytes : arguments.target_bytes) spec.add_targets()->set_bytes(bytes);
  for (const std::string& text : arguments.points) {
    GWQ_ASSIGN_OR_RETURN(*spec.add_points(), ParsePoint(text));
  }
  for (const std::string& text : arguments.evaluations) {
    GWQ_ASSIGN_OR_RETURN(*spec.add_evaluations(), ParseTask(text));
  }
  spec.set_no_evaluation(arguments.no_evaluation);
  return spec;
}

absl::StatusOr<ExitCode> PrintResult(Session& session, const v1::Job& job) {
  const auto stub = v1::EvaluationService::NewStub(session.jobs().channel());
  v1::GetEvaluationRequest request;
  request.set_name(job.result());
  GWQ_ASSIGN_OR_RETURN(const v1::Evaluation report,
                       client::Call(session.jobs(), *stub, &v1::EvaluationService::Stub::GetEvaluation, request));
  if (session.json()) {
    Print("{}\n", report.result_json());
    return kExitOk;
  }
  Print("{}\nThe page with the plot: gwq eval pull {} FOLDER\n", report.result_markdown(),
        std::filesystem::path(report.name()).filename().string());
  return kExitOk;
}

absl::StatusOr<ExitCode> Sweep(Session& session, const Arguments& arguments) {
  v1::CreateJobRequest request;
  GWQ_ASSIGN_OR_RETURN(*request.mutable_sweep(), SpecOf(arguments));
  request.set_request_id(arguments.request_id);
  request.set_validate_only(arguments.plan);
  const auto stub = v1::JobService::NewStub(session.jobs().channel());
  GWQ_ASSIGN_OR_RETURN(const v1::CreateJobResponse created,
                       client::Call(session.jobs(), *stub, &v1::JobService::Stub::CreateJob, request));
  if (arguments.plan && session.json()) {
    PrintJson(created.plan());
  } else if (arguments.plan) {
    Print("artifacts     {} in all, at most\npeak memory   {}\nscratch disk  {}\n",
          BytesText(created.plan().total_bytes()), BytesText(created.plan().peak_memory_bytes()),
          BytesText(created.plan().scratch_disk_bytes()));
  } else if (!arguments.wait && session.json()) {
    PrintJson(created.job());
  } else if (!arguments.wait) {
    Print("{}\n", created.job().name());
  }
  if (arguments.plan || !arguments.wait) return kExitOk;
  GWQ_ASSIGN_OR_RETURN(const v1::Job job, FollowJob(session, created.job().name()));
  if (const ExitCode code = ReportEnd(session, job); code != kExitOk) return code;
  return PrintResult(session, job);
}

}  // namespace

void AddSweepCommand(CLI::App& app, Selected& selected) {
  CLI::App* command =
      app.add_subcommand("sweep", "make several artifacts of a model in one job, and compare size and loss");
  auto to = std::make_shared<Arguments>();
  command->add_option("model", to->model, "models/NAME or NAME")->required();
  command->add_option("--name", to->name, "beginning of the artifacts' names, NAME-3.25, and the report's name")
      ->check(NotEmpty);
  AddRecipeFlags(*command, to->recipe);
  // A sweep has lists of them.
  for (const char* const single : {kTargetBits, kTargetBytes}) command->remove_option(command->get_option(single));
  command->add_option(kTargetBits, to->target_bits, "bits per weight, one artifact each: 2.5,3.25,4")->delimiter(',');
  command->add_option(kTargetBytes, to->target_bytes, "bytes of all tensors, one artifact each")->delimiter(',');
  command
      ->add_option("--point", to->points,
                   "method=NAME,bits=NUMBER,group_size=NUMBER, may be repeated: an artifact without a target")
      ->allow_extra_args(false);
  CLI::Option* const evaluate =
      command
          ->add_option("--evaluate", to->evaluations,
                       "key=value[,key=value...], may be repeated: an evaluation of each artifact (default: kind=text)")
          ->allow_extra_args(false);
  command->add_flag("--no-evaluation", to->no_evaluation, "compare sizes alone")->excludes(evaluate);
  command->add_option("--request-id", to->request_id, "the same id twice makes one job");
  command->add_flag("--plan", to->plan, "show memory and disk and start no job");
  command->add_flag("--wait", to->wait, "follow the job to its end (default: print its name and leave it running)");
  command->callback([&selected, to] { selected.action = [to](Session& session) { return Sweep(session, *to); }; });
}

}  // namespace gwq::cli
