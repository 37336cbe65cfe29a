// gwq serve list|load|unload
#include <fmt/format.h>

#include "client/cli/commands/command.h"
#include "client/cli/table.h"
#include "client/library/generate.h"
#include "gwq/v1/inference.grpc.pb.h"

namespace gwq::cli {
namespace {

constexpr char kModelName[] = "artifacts/NAME, models/NAME or NAME";

std::vector<std::string> Row(const v1::LoadedModel& model) {
  return {model.name(),
          model.architecture(),
          BytesText(model.weight_bytes()),
          fmt::format("{} tokens, {}", model.cache_tokens(), BytesText(model.cache_bytes())),
          model.kernels(),
          fmt::format("{} running, {} waiting", model.running_requests(), model.queued_requests())};
}

const std::vector<std::string>& Header() {
  static const std::vector<std::string> header = {"NAME", "ARCHITECTURE", "WEIGHTS", "CACHE", "KERNELS", "REQUESTS"};
  return header;
}

absl::StatusOr<ExitCode> List(Session& session) {
  const auto stub = v1::InferenceService::NewStub(session.infer().channel());
  GWQ_ASSIGN_OR_RETURN(const v1::ListLoadedModelsResponse response,
                       client::Call(session.infer(), *stub, &v1::InferenceService::Stub::ListLoadedModels,
                                    v1::ListLoadedModelsRequest()));
  std::vector<std::vector<std::string>> rows;
  for (const v1::LoadedModel& model : response.models()) {
    if (session.json()) PrintJson(model);
    rows.push_back(Row(model));
  }
  if (!session.json()) PrintTable(Header(), rows);
  return kExitOk;
}

absl::StatusOr<ExitCode> Load(Session& session, const std::string& name) {
  GWQ_ASSIGN_OR_RETURN(const v1::LoadedModel model, client::EnsureLoaded(session.infer(), name, session.canceller()));
  if (session.json()) {
    PrintJson(model);
  } else {
    PrintTable(Header(), {Row(model)});
  }
  return kExitOk;
}

absl::StatusOr<ExitCode> Unload(Session& session, const std::string& name) {
  const auto stub = v1::InferenceService::NewStub(session.infer().channel());
  v1::UnloadModelRequest request;
  request.set_name(name);
  GWQ_RETURN_IF_ERROR(client::Call(session.infer(), *stub, &v1::InferenceService::Stub::UnloadModel, request).status());
  if (session.json()) PrintDone(request.name(), "unloaded");
  return kExitOk;
}

}  // namespace

void AddServeCommands(CLI::App& app, Selected& selected) {
  CLI::App* serve = app.add_subcommand("serve", "what gwq-infer has in memory");
  serve->require_subcommand(1);
  serve->add_subcommand("list", "loaded models")->callback([&selected] { selected.action = List; });
  auto name = std::make_shared<std::string>();
  CLI::App* load = serve->add_subcommand("load", "load an artifact or a model, and wait until it is loaded");
  load->add_option("name", *name, kModelName)->required();
  load->callback([&selected, name] { selected.action = [name](Session& session) { return Load(session, *name); }; });
  CLI::App* unload = serve->add_subcommand("unload", "unload a model and free its memory");
  unload->add_option("name", *name, kModelName)->required();
  unload->callback(
      [&selected, name] { selected.action = [name](Session& session) { return Unload(session, *name); }; });
}

}  // namespace gwq::cli
