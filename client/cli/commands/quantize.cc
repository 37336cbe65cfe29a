// gwq quantize MODEL
#include <fmt/format.h>

#include <filesystem>

#include "client/cli/checks.h"
#include "client/cli/commands/command.h"
#include "client/cli/commands/push.h"
#include "client/cli/commands/summary.h"
#include "client/cli/commands/watch.h"
#include "client/cli/contract_flags.h"
#include "client/cli/evaluation_flags.h"
#include "client/cli/output.h"
#include "client/cli/recipe_flags.h"
#include "client/cli/table.h"
#include "client/library/local_dataset.h"
#include "gwq/v1/artifacts.grpc.pb.h"
#include "gwq/v1/jobs.grpc.pb.h"

namespace gwq::cli {
namespace {

struct Arguments {
  std::string model;
  std::string name;
  RecipeArguments recipe;
  std::vector<std::string> evaluations;
  bool no_evaluation = false;
  ContractArguments contract;
  std::string calibration_image;
  std::string request_id;
  bool plan = false;
  bool wait = false;
};

void PrintPlan(const v1::Plan& plan) {
  std::vector<std::vector<std::string>> rows;
  for (const v1::PlannedModule& module : plan.modules()) {
    const bool packed = module.method() != v1::KEEP;
    const std::string format = !packed              ? "kept"
                               : module.bits() == 0 ? "to be chosen"
                                                    : fmt::format("{} bits / {}", module.bits(), module.group_size());
    const std::string bytes = module.least_stored_bytes() > 0
                                  ? fmt::format("{} to {}", module.least_stored_bytes(), module.stored_bytes())
                                  : fmt::format("{}", module.stored_bytes());
    rows.push_back({module.tensor(), module.kind(), format, fmt::format("{}", module.outliers()), bytes});
  }
  PrintTable({"TENSOR", "KIND", "FORMAT", "OUTLIERS", "BYTES"}, rows);
  if (plan.bounds()) Print("\nbits and group sizes are chosen when their costs are measured; sizes are upper bounds\n");
  Print("\nmatrices      {:.4f} bits per weight ({} bytes, {} weights)\n", plan.matrix_bits_per_weight(),
        plan.quantized_bytes(), plan.quantized_weights());
  Print("whole model   {:.4f} bits per weight ({} bytes, {} weights)\n", plan.model_bits_per_weight(),
        plan.total_bytes(), plan.total_weights());
  Print("peak memory   {}\n", BytesText(plan.peak_memory_bytes()));
  Print("scratch disk  {}\n", BytesText(plan.scratch_disk_bytes()));
}

absl::StatusOr<ExitCode> PrintResult(Session& session, const v1::Job& job) {
  const auto stub = v1::ArtifactService::NewStub(session.jobs().channel());
  v1::GetArtifactRequest request;
  request.set_name(job.result());
  GWQ_ASSIGN_OR_RETURN(const v1::Artifact artifact,
                       client::Call(session.jobs(), *stub, &v1::ArtifactService::Stub::GetArtifact, request));
  if (session.json()) {
    PrintJson(artifact);
  } else {
    Print("{}  {}  {}\n", artifact.name(), BytesText(artifact.stored_bytes()), artifact.digest());
    if (artifact.has_summary()) Print("{}", SummaryText(artifact.summary()));
  }
  return kExitOk;
}

// Sends the image and names it in the recipe.
absl::Status SetImage(Session& session, const std::string& path, v1::Recipe& recipe) {
  const v1::Calibration::Source asked = recipe.calibration().source();
  if (asked != v1::Calibration::SOURCE_UNSPECIFIED && asked != v1::Calibration::IMAGE) {
    return absl::InvalidArgumentError("--calibration-image contradicts --calibration-source: leave one of them out");
  }
  GWQ_ASSIGN_OR_RETURN(const client::LocalImage image, client::ScanImage(path));
  const std::string id = "calibration-" + image.digest.Hex().substr(0, 16);
  GWQ_RETURN_IF_ERROR(PushDataset(session, image.files, id, path));
  recipe.mutable_calibration()->set_source(v1::Calibration::IMAGE);
  recipe.mutable_calibration()->set_blob(image.digest.Hex());
  return absl::OkStatus();
}

// What the arguments ask for; a calibration's image is sent on the way.
absl::StatusOr<v1::QuantizeSpec> SpecOf(Session& session, const Arguments& arguments) {
  v1::QuantizeSpec spec;
  std::vector<std::string> notes;
  GWQ_ASSIGN_OR_RETURN(*spec.mutable_recipe(), RecipeOf(arguments.recipe, &notes));
  for (const std::string& note : notes) PrintError("note: {}\n", note);
  if (!arguments.calibration_image.empty()) {
    GWQ_RETURN_IF_ERROR(SetImage(session, arguments.calibration_image, *spec.mutable_recipe()));
  }
  for (const std::string& text : arguments.evaluations) {
    GWQ_ASSIGN_OR_RETURN(*spec.add_evaluations(), ParseTask(text));
  }
  spec.set_no_evaluation(arguments.no_evaluation);
  GWQ_ASSIGN_OR_RETURN(const std::optional<v1::QualityContract> contract, ContractOf(arguments.contract));
  if (contract) *spec.mutable_contract() = *contract;
  spec.set_model(ResourceName("models", arguments.model));
  const std::string base = std::filesystem::path(spec.model()).filename().string();
  spec.set_artifact_id(arguments.name.empty() ? base.substr(0, 58) + "-gwq" : arguments.name);
  return spec;
}

void ShowPlan(const Session& session, const v1::Plan& plan) {
  if (session.json()) {
    PrintJson(plan);
  } else {
    PrintPlan(plan);
  }
}

void ShowStarted(const Session& session, const v1::Job& job) {
  if (session.json()) {
    PrintJson(job);
  } else {
    Print("{}\n", job.name());
  }
}

absl::StatusOr<ExitCode> Quantize(Session& session, const Arguments& arguments) {
  v1::CreateJobRequest request;
  GWQ_ASSIGN_OR_RETURN(*request.mutable_quantize(), SpecOf(session, arguments));
  request.set_request_id(arguments.request_id);
  request.set_validate_only(arguments.plan);
  const auto stub = v1::JobService::NewStub(session.jobs().channel());
  GWQ_ASSIGN_OR_RETURN(const v1::CreateJobResponse created,
                       client::Call(session.jobs(), *stub, &v1::JobService::Stub::CreateJob, request));
  if (arguments.plan || !arguments.wait) {
    arguments.plan ? ShowPlan(session, created.plan()) : ShowStarted(session, created.job());
    return kExitOk;
  }
  GWQ_ASSIGN_OR_RETURN(const v1::Job job, FollowJob(session, created.job().name()));
  if (const ExitCode code = ReportEnd(session, job); code != kExitOk) return code;
  return PrintResult(session, job);
}

}  // namespace

void AddQuantizeCommand(CLI::App& app, Selected& selected) {
  CLI::App* command = app.add_subcommand("quantize", "make a quantized artifact of a model");
  auto to = std::make_shared<Arguments>();
  command->add_option("model", to->model, "models/NAME or NAME")->required();
  command->add_option("--name", to->name, "name of the artifact (default: NAME-gwq)")->check(NotEmpty);
  AddRecipeFlags(*command, to->recipe);
  command
      ->add_option("--calibration-image", to->calibration_image,
                   "image for the sample of a vision-language model (default: one built in); it is uploaded first")
      ->check(CLI::ExistingFile);
  CLI::Option* const evaluate =
      command
          ->add_option("--evaluate", to->evaluations,
                       "key=value[,key=value...], may be repeated: an evaluation on the model and on the artifact, for "
                       "the report; for example kind=choices,dataset=NAME,limit=100 (default: kind=text)")
          ->allow_extra_args(false);
  command->add_flag("--no-evaluation", to->no_evaluation, "measure nothing for the report")->excludes(evaluate);
  AddContractFlags(*command, to->contract);
  command->add_option("--request-id", to->request_id, "the same id twice makes one job");
  command->add_flag("--plan", to->plan,
                    "show sizes and memory and start no job; --calibration-image is still uploaded");
  command->add_flag("--wait", to->wait, "follow the job to its end (default: print its name and leave it running)");
  command->callback([&selected, to] { selected.action = [to](Session& session) { return Quantize(session, *to); }; });
}

}  // namespace gwq::cli
