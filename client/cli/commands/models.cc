// gwq models push|list|show|delete
#include <fmt/format.h>

#include <filesystem>

#include "client/cli/checks.h"
#include "client/cli/commands/command.h"
#include "client/cli/commands/push.h"
#include "client/cli/commands/watch.h"
#include "client/cli/output.h"
#include "client/cli/table.h"
#include "client/library/local_model.h"
#include "client/library/upload.h"
#include "gwq/v1/models.grpc.pb.h"

namespace gwq::cli {
namespace {

struct PushArguments {
  std::string path;
  std::string name;
};

// "SmolLM2-135M.Q4_1.gguf" -> "smollm2-135m.q4_1"
std::string NameFromPath(const std::string& path) {
  std::filesystem::path clean = std::filesystem::path(path).lexically_normal();
  if (!clean.has_filename()) clean = clean.parent_path();
  return IdOfFile(clean.extension() == ".gguf" ? clean.stem().string() : clean.filename().string());
}

// Asks before minutes of hashing whether the service answers and takes the name; a model of that name is replaced.
absl::Status CheckName(Session& session, const std::string& name) {
  const auto stub = v1::ModelService::NewStub(session.jobs().channel());
  v1::GetModelRequest request;
  request.set_name("models/" + name);
  const absl::Status found = client::Call(session.jobs(), *stub, &v1::ModelService::Stub::GetModel, request).status();
  return absl::IsNotFound(found) ? absl::OkStatus() : found;
}

absl::StatusOr<ExitCode> Push(Session& session, const PushArguments& arguments) {
  client::UploadOptions options;
  options.model_id = arguments.name.empty() ? NameFromPath(arguments.path) : arguments.name;
  GWQ_RETURN_IF_ERROR(CheckName(session, options.model_id));
  GWQ_ASSIGN_OR_RETURN(const client::LocalModel model,
                       client::ScanModel(arguments.path, session.terminal(), &session.canceller()));
  GWQ_ASSIGN_OR_RETURN(const client::UploadSummary summary,
                       client::PushModel(session.jobs(), model, options, session.terminal()));
  session.terminal().Note(fmt::format("sent {} of {}; the server had the rest", BytesText(summary.sent_bytes),
                                      BytesText(summary.total_bytes)));
  GWQ_ASSIGN_OR_RETURN(const v1::Job job, FollowImport(session, summary));
  if (const ExitCode code = ReportEnd(session, job); code != kExitOk) return code;
  const auto stub = v1::ModelService::NewStub(session.jobs().channel());
  v1::GetModelRequest request;
  request.set_name(ResourceName("models", options.model_id));
  GWQ_ASSIGN_OR_RETURN(const v1::Model stored,
                       client::Call(session.jobs(), *stub, &v1::ModelService::Stub::GetModel, request));
  if (session.json()) {
    PrintJson(stored);
  } else {
    Print("{}  {}  {}  {}\n", stored.name(), stored.architecture(), BytesText(stored.stored_bytes()), stored.digest());
  }
  return kExitOk;
}

absl::StatusOr<ExitCode> List(Session& session) {
  const auto stub = v1::ModelService::NewStub(session.jobs().channel());
  std::vector<std::vector<std::string>> rows;
  v1::ListModelsRequest request;
  do {
    GWQ_ASSIGN_OR_RETURN(const v1::ListModelsResponse page,
                         client::Call(session.jobs(), *stub, &v1::ModelService::Stub::ListModels, request));
    for (const v1::Model& model : page.models()) {
      if (session.json()) PrintJson(model);
      rows.push_back({model.name(), model.architecture(), BytesText(model.stored_bytes()),
                      TimeText(model.create_time().seconds()), model.digest().substr(0, 12)});
    }
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  if (!session.json()) PrintTable({"NAME", "ARCHITECTURE", "SIZE", "CREATED (UTC)", "DIGEST"}, rows);
  return kExitOk;
}

absl::StatusOr<ExitCode> Show(Session& session, const std::string& name) {
  const auto stub = v1::ModelService::NewStub(session.jobs().channel());
  v1::GetModelRequest request;
  request.set_name(ResourceName("models", name));
  GWQ_ASSIGN_OR_RETURN(const v1::Model model,
                       client::Call(session.jobs(), *stub, &v1::ModelService::Stub::GetModel, request));
  if (session.json()) {
    PrintJson(model);
    return kExitOk;
  }
  Print(
      "name          {}\narchitecture  {}\nsize          {}\ncreated       {} UTC\ndigest        {}\njob           "
      "{}\n",
      model.name(), model.architecture(), BytesText(model.stored_bytes()), TimeText(model.create_time().seconds()),
      model.digest(), model.job());
  return kExitOk;
}

absl::StatusOr<ExitCode> Delete(Session& session, const std::string& name) {
  const auto stub = v1::ModelService::NewStub(session.jobs().channel());
  v1::DeleteModelRequest request;
  request.set_name(ResourceName("models", name));
  GWQ_RETURN_IF_ERROR(client::Call(session.jobs(), *stub, &v1::ModelService::Stub::DeleteModel, request).status());
  if (session.json()) PrintDone(request.name(), "deleted");
  return kExitOk;
}

}  // namespace

std::string IdOfFile(std::string name) {
  for (char& c : name) {
    c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    if (std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '.' && c != '-' && c != '_') c = '-';
  }
  return name.substr(0, 63);
}

std::string ResourceName(const std::string& collection, const std::string& name) {
  return name.find('/') != std::string::npos ? name : collection + "/" + name;
}

void AddModelCommands(CLI::App& app, Selected& selected) {
  CLI::App* models = app.add_subcommand("models", "models in full precision");
  models->require_subcommand(1);

  CLI::App* push = models->add_subcommand("push", "upload a Hugging Face directory or a GGUF file");
  auto arguments = std::make_shared<PushArguments>();
  push->add_option("path", arguments->path, "Hugging Face directory or .gguf file")
      ->required()
      ->check(CLI::ExistingPath);
  push->add_option("--name", arguments->name, "name on the server (default: from the path)")->check(NotEmpty);
  push->callback([&selected, arguments] {
    selected.action = [arguments](Session& session) { return Push(session, *arguments); };
  });

  models->add_subcommand("list", "all models")->callback([&selected] { selected.action = List; });

  auto name = std::make_shared<std::string>();
  CLI::App* show = models->add_subcommand("show", "one model");
  show->add_option("name", *name, "models/NAME or NAME")->required();
  show->callback([&selected, name] { selected.action = [name](Session& session) { return Show(session, *name); }; });
  CLI::App* remove = models->add_subcommand("delete", "delete a model");
  remove->add_option("name", *name, "models/NAME or NAME")->required();
  remove->callback(
      [&selected, name] { selected.action = [name](Session& session) { return Delete(session, *name); }; });
}

}  // namespace gwq::cli
