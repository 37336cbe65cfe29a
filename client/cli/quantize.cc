// gwq quantize MODEL
#include <fmt/format.h>

#include <filesystem>
#include <map>
#include <optional>

#include "client/cli/command.h"
#include "client/cli/table.h"
#include "client/cli/watch.h"
#include "client/library/recipe_file.h"
#include "core/io/file_system.h"
#include "gwq/v1/artifacts.grpc.pb.h"
#include "gwq/v1/jobs.grpc.pb.h"

namespace gwq::cli {
namespace {

constexpr uint64_t kMaxTextBytes = 2ULL << 20;

struct Arguments {
  std::string model;
  std::string name;
  std::string recipe_file;
  std::string method, select, loss;
  std::optional<int> bits, head_bits, embedding_bits, threads;
  std::optional<int64_t> group_size, max_tokens, evaluation_tokens, evaluation_window;
  std::optional<double> outlier_ratio;
  std::optional<uint64_t> seed;
  std::string calibration_text, calibration_file, evaluation_file;
  std::vector<std::string> rules;
  std::string request_id;
  bool plan = false;
  bool wait = false;
};

const std::map<std::string, v1::Method>& Methods() {
  static const std::map<std::string, v1::Method> names = {{"gwq", v1::GWQ}, {"rtn", v1::RTN}, {"keep", v1::KEEP}};
  return names;
}

template <class Message, class Value>
void Set(Message& message, void (Message::*setter)(Value), const std::optional<std::common_type_t<Value>>& value) {
  if (value.has_value()) (message.*setter)(*value);
}

absl::StatusOr<std::string> ReadText(const std::string& path) {
  return ReadSmallFile(LocalFileSystem(), path, kMaxTextBytes);
}

absl::StatusOr<v1::Recipe> RecipeOf(const Arguments& arguments) {
  v1::Recipe recipe;
  if (!arguments.recipe_file.empty()) {
    GWQ_ASSIGN_OR_RETURN(const std::string text, ReadText(arguments.recipe_file));
    GWQ_ASSIGN_OR_RETURN(recipe, client::ParseRecipeFile(text));
  }
  if (!arguments.method.empty()) recipe.set_method(Methods().at(arguments.method));
  if (!arguments.select.empty()) {
    recipe.set_select(arguments.select == "gradient"    ? v1::GRADIENT
                      : arguments.select == "magnitude" ? v1::MAGNITUDE
                                                        : v1::RANDOM);
  }
  if (!arguments.loss.empty()) recipe.set_loss(arguments.loss == "last" ? v1::LAST : v1::ALL);
  Set(recipe, &v1::Recipe::set_bits, arguments.bits);
  Set(recipe, &v1::Recipe::set_group_size, arguments.group_size);
  Set(recipe, &v1::Recipe::set_outlier_ratio, arguments.outlier_ratio);
  Set(recipe, &v1::Recipe::set_head_bits, arguments.head_bits);
  Set(recipe, &v1::Recipe::set_embedding_bits, arguments.embedding_bits);
  Set(recipe, &v1::Recipe::set_threads, arguments.threads);
  Set(recipe, &v1::Recipe::set_seed, arguments.seed);
  Set(recipe, &v1::Recipe::set_evaluation_tokens, arguments.evaluation_tokens);
  Set(recipe, &v1::Recipe::set_evaluation_window, arguments.evaluation_window);
  if (arguments.max_tokens.has_value()) recipe.mutable_calibration()->set_max_tokens(*arguments.max_tokens);
  if (!arguments.calibration_file.empty() || !arguments.calibration_text.empty()) {
    std::string text = arguments.calibration_text;
    if (!arguments.calibration_file.empty()) {
      GWQ_ASSIGN_OR_RETURN(text, ReadText(arguments.calibration_file));
    }
    recipe.mutable_calibration()->set_source(v1::Calibration::TEXT);
    recipe.mutable_calibration()->set_text(std::move(text));
  }
  if (!arguments.evaluation_file.empty()) {
    GWQ_ASSIGN_OR_RETURN(*recipe.mutable_evaluation_text(), ReadText(arguments.evaluation_file));
  }
  for (const std::string& rule : arguments.rules) GWQ_RETURN_IF_ERROR(client::AddRule(rule, recipe));
  return recipe;
}

void PrintPlan(const v1::Plan& plan) {
  std::vector<std::vector<std::string>> rows;
  for (const v1::PlannedModule& module : plan.modules()) {
    const bool packed = module.method() != v1::KEEP;
    rows.push_back({module.tensor(), module.kind(),
                    packed ? fmt::format("{} bits / {}", module.bits(), module.group_size()) : "kept",
                    fmt::format("{}", module.outliers()), fmt::format("{}", module.stored_bytes())});
  }
  PrintTable({"TENSOR", "KIND", "FORMAT", "OUTLIERS", "BYTES"}, rows);
  fmt::print("\nmatrices      {:.4f} bits per weight ({} bytes, {} weights)\n", plan.matrix_bits_per_weight(),
             plan.quantized_bytes(), plan.quantized_weights());
  fmt::print("whole model   {:.4f} bits per weight ({} bytes, {} weights)\n", plan.model_bits_per_weight(),
             plan.total_bytes(), plan.total_weights());
  fmt::print("peak memory   {}\n", BytesText(plan.peak_memory_bytes()));
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
    fmt::print("{}  {}  {}\n", artifact.name(), BytesText(artifact.stored_bytes()), artifact.digest());
  }
  return kExitOk;
}

absl::StatusOr<ExitCode> Quantize(Session& session, const Arguments& arguments) {
  v1::CreateJobRequest request;
  GWQ_ASSIGN_OR_RETURN(*request.mutable_quantize()->mutable_recipe(), RecipeOf(arguments));
  const std::string model = ResourceName("models", arguments.model);
  request.mutable_quantize()->set_model(model);
  const std::string base = std::filesystem::path(model).filename().string();
  request.mutable_quantize()->set_artifact_id(arguments.name.empty() ? base.substr(0, 58) + "-gwq" : arguments.name);
  request.set_request_id(arguments.request_id);
  request.set_validate_only(arguments.plan);
  const auto stub = v1::JobService::NewStub(session.jobs().channel());
  GWQ_ASSIGN_OR_RETURN(const v1::CreateJobResponse created,
                       client::Call(session.jobs(), *stub, &v1::JobService::Stub::CreateJob, request));
  if (arguments.plan) {
    if (session.json()) {
      PrintJson(created.plan());
    } else {
      PrintPlan(created.plan());
    }
    return kExitOk;
  }
  if (!arguments.wait) {
    if (session.json()) {
      PrintJson(created.job());
    } else {
      fmt::print("{}\n", created.job().name());
    }
    return kExitOk;
  }
  GWQ_ASSIGN_OR_RETURN(const v1::Job job, FollowJob(session, created.job().name()));
  if (const ExitCode code = ReportEnd(session, job); code != kExitOk) return code;
  return PrintResult(session, job);
}

}  // namespace

void AddQuantizeCommand(CLI::App& app, Selected& selected) {
  CLI::App* command = app.add_subcommand("quantize", "make an artifact of a model");
  auto to = std::make_shared<Arguments>();
  command->add_option("model", to->model, "models/NAME or NAME")->required();
  command->add_option("--name", to->name, "name of the artifact (default: NAME-gwq)");
  command->add_option("--recipe", to->recipe_file, "recipe as JSON; the flags below override it")
      ->check(CLI::ExistingFile);
  command->add_option("--method", to->method, "gwq, rtn or keep")->check(CLI::IsMember({"gwq", "rtn", "keep"}));
  command->add_option("--bits", to->bits, "3, 4 or 8");
  command->add_option("--group-size", to->group_size, "columns that share a scale");
  command->add_option("--outlier-ratio", to->outlier_ratio, "share of each matrix kept in FP16");
  command->add_option("--select", to->select, "what picks the outliers")
      ->check(CLI::IsMember({"gradient", "magnitude", "random"}));
  command->add_option("--loss", to->loss, "at the last position or over all")->check(CLI::IsMember({"last", "all"}));
  command->add_option("--head-bits", to->head_bits, "8 or 16");
  command->add_option("--embedding-bits", to->embedding_bits, "8 or 16");
  command->add_option("--threads", to->threads, "of the calibration; changes the result's bits");
  command->add_option("--seed", to->seed);
  command->add_option("--calibration-text", to->calibration_text, "one sample");
  command->add_option("--calibration-file", to->calibration_file, "file with one sample")->check(CLI::ExistingFile);
  command->add_option("--calibration-tokens", to->max_tokens, "the sample is cut to so many tokens");
  command->add_option("--evaluation-file", to->evaluation_file, "text for the report's perplexity")
      ->check(CLI::ExistingFile);
  command->add_option("--evaluation-tokens", to->evaluation_tokens, "0 skips the evaluation");
  command->add_option("--evaluation-window", to->evaluation_window, "tokens of one window of the evaluation");
  command->add_option("--rule", to->rules,
                      "PATTERN:key=value[,key=value...], in order; for example '*.down_proj:bits=8'");
  command->add_option("--request-id", to->request_id, "the same id twice makes one job");
  command->add_flag("--plan", to->plan, "show sizes and memory, create nothing");
  command->add_flag("--wait", to->wait, "follow the job to its end");
  command->callback([&selected, to] { selected.action = [to](Session& session) { return Quantize(session, *to); }; });
}

}  // namespace gwq::cli
