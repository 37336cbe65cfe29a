// gwq artifacts list|show|pull|verify|export|delete

#include <fmt/format.h>

#include <filesystem>
#include <optional>

#include "client/cli/checks.h"
#include "client/cli/commands/command.h"
#include "client/cli/commands/pull.h"
#include "client/cli/commands/report.h"
#include "client/cli/commands/summary.h"
#include "client/cli/commands/watch.h"
#include "client/cli/output.h"
#include "client/cli/table.h"
#include "client/library/download.h"
#include "core/base/sha256.h"
#include "core/base/status.h"
#include "core/spec/export_options.h"
#include "gwq/v1/artifacts.grpc.pb.h"
#include "gwq/v1/jobs.grpc.pb.h"

namespace gwq::cli {
namespace {

// "-" stands for what was not measured.
std::string Figure(bool known, double value, int digits) { return known ? fmt::format("{:.{}g}", value, digits) : "-"; }

std::vector<std::string> RowOf(const v1::Artifact& artifact) {
  const v1::ArtifactSummary& summary = artifact.summary();
  return {artifact.name(),
          artifact.architecture(),
          artifact.has_summary() ? summary.method() : "-",
          BytesText(artifact.stored_bytes()),
          artifact.has_summary() ? fmt::format("{:.3f}", summary.model_bits_per_weight()) : "-",
          Figure(summary.has_perplexity(), summary.perplexity(), 5),
          Figure(summary.has_mean_kl(), summary.mean_kl(), 3),
          TimeText(artifact.create_time().seconds()),
          artifact.digest().substr(0, 12)};
}

absl::StatusOr<ExitCode> List(Session& session) {
  const auto stub = v1::ArtifactService::NewStub(session.jobs().channel());
  std::vector<std::vector<std::string>> rows;
  v1::ListArtifactsRequest request;
  do {
    GWQ_ASSIGN_OR_RETURN(const v1::ListArtifactsResponse page,
                         client::Call(session.jobs(), *stub, &v1::ArtifactService::Stub::ListArtifacts, request));
    for (const v1::Artifact& artifact : page.artifacts()) {
      if (session.json()) PrintJson(artifact);
      rows.push_back(RowOf(artifact));
    }
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  if (!session.json()) {
    PrintTable({"NAME", "ARCHITECTURE", "METHOD", "SIZE", "BITS", "PERPLEXITY", "KL", "CREATED (UTC)", "DIGEST"}, rows);
  }
  return kExitOk;
}

absl::StatusOr<v1::Artifact> Get(Session& session, const std::string& name) {
  const auto stub = v1::ArtifactService::NewStub(session.jobs().channel());
  v1::GetArtifactRequest request;
  request.set_name(ResourceName("artifacts", name));
  return client::Call(session.jobs(), *stub, &v1::ArtifactService::Stub::GetArtifact, request);
}

constexpr size_t kMaxResourceId = 62;

struct Arguments {
  std::string name;
  bool report = false;
  std::string folder;
  std::string format = "hf-fp16";
  std::string outliers;
  std::string gguf_type;
  std::string widths;
  std::string model_id;
  std::string output;
  std::string digest;
};

absl::StatusOr<ExitCode> Show(Session& session, const Arguments& arguments) {
  GWQ_ASSIGN_OR_RETURN(const v1::Artifact artifact, Get(session, arguments.name));
  if (arguments.report) {
    Print("{}\n", session.json() ? artifact.report_json() : artifact.report_markdown());
  } else if (session.json()) {
    PrintJson(artifact);
  } else {
    Print(
        "name          {}\narchitecture  {}\nsize          {}\ncreated       {} UTC\ndigest        {}\nsource        "
        "{}\njob           {}\n",
        artifact.name(), artifact.architecture(), BytesText(artifact.stored_bytes()),
        TimeText(artifact.create_time().seconds()), artifact.digest(), artifact.source_digest(), artifact.job());
    if (artifact.has_summary()) Print("\n{}", SummaryText(artifact.summary()));
  }
  return kExitOk;
}

absl::StatusOr<ExitCode> Pull(Session& session, const Arguments& arguments) {
  const std::string name = ResourceName("artifacts", arguments.name);
  return PullTo(session, name,
                arguments.folder.empty() ? std::filesystem::path(name).filename().string() : arguments.folder);
}

absl::StatusOr<ExitCode> Verify(Session& session, const Arguments& arguments) {
  std::optional<Digest> expected;
  if (!arguments.digest.empty()) {
    const auto digest = Digest::Parse(arguments.digest);
    if (!digest.ok()) return Annotate(digest.status(), "--digest");
    expected = *digest;
  }
  GWQ_ASSIGN_OR_RETURN(const Digest found, client::VerifyFolder(arguments.folder, expected, session.terminal()));
  if (session.json()) {
    Print("{{\"folder\":{},\"verified\":true,\"digest\":\"{}\"}}\n", JsonString(arguments.folder), found.Hex());
  } else if (expected) {
    Print("{}: every byte is as {} says\n", arguments.folder, found.Hex());
  } else {
    Print("{}: every byte is as its manifest says, whose digest is {}\n", arguments.folder, found.Hex());
  }
  return kExitOk;
}

absl::StatusOr<ExitCode> Export(Session& session, const Arguments& arguments) {
  const auto stub = v1::JobService::NewStub(session.jobs().channel());
  v1::CreateJobRequest request;
  const std::string name = ResourceName("artifacts", arguments.name);
  const std::string base = std::filesystem::path(name).filename().string();
  request.mutable_export_artifact()->set_artifact(name);
  request.mutable_export_artifact()->set_format(arguments.format);
  request.mutable_export_artifact()->set_outliers(arguments.outliers);
  request.mutable_export_artifact()->set_gguf_type(arguments.gguf_type);
  request.mutable_export_artifact()->set_widths(arguments.widths);
  const std::string made = base.substr(0, kMaxResourceId - arguments.format.size() - 1) + "-" + arguments.format;
  request.mutable_export_artifact()->set_model_id(arguments.model_id.empty() ? made : arguments.model_id);
  GWQ_ASSIGN_OR_RETURN(const v1::CreateJobResponse created,
                       client::Call(session.jobs(), *stub, &v1::JobService::Stub::CreateJob, request));
  GWQ_ASSIGN_OR_RETURN(const v1::Job job, FollowJob(session, created.job().name()));
  if (const ExitCode code = ReportEnd(session, job); code != kExitOk) return code;
  if (!arguments.output.empty()) return PullTo(session, job.result(), arguments.output);
  if (session.json()) {
    PrintJson(job);
  } else {
    Print("{}\n", job.result());
  }
  return kExitOk;
}

absl::StatusOr<ExitCode> Delete(Session& session, const Arguments& arguments) {
  const auto stub = v1::ArtifactService::NewStub(session.jobs().channel());
  v1::DeleteArtifactRequest request;
  request.set_name(ResourceName("artifacts", arguments.name));
  GWQ_RETURN_IF_ERROR(
      client::Call(session.jobs(), *stub, &v1::ArtifactService::Stub::DeleteArtifact, request).status());
  if (session.json()) PrintDone(request.name(), "deleted");
  return kExitOk;
}

}  // namespace

void AddArtifactCommands(CLI::App& app, Selected& selected) {
  CLI::App* artifacts = app.add_subcommand("artifacts", "quantized models");
  artifacts->require_subcommand(1);
  artifacts->add_subcommand("list", "all artifacts")->callback([&selected] { selected.action = List; });

  auto arguments = std::make_shared<Arguments>();
  const auto add = [&](const std::string& verb, const std::string& help,
                       absl::StatusOr<ExitCode> (*action)(Session&, const Arguments&)) {
    CLI::App* command = artifacts->add_subcommand(verb, help);
    command->callback([&selected, arguments, action] {
      selected.action = [arguments, action](Session& session) { return action(session, *arguments); };
    });
    return command;
  };
  const auto named = [&](CLI::App* command) {
    command->add_option("name", arguments->name, "artifacts/NAME or NAME")->required();
    return command;
  };
  named(add("show", "one artifact", Show))
      ->add_flag("--report", arguments->report, "the report of the job that made it");
  named(add("pull", "download the files; an interrupted download continues where it stopped", Pull))
      ->add_option("--to", arguments->folder, "folder to write (default: the artifact's name)")
      ->check(NotEmpty);
  CLI::App* verify =
      add("verify", "check a pulled folder byte by byte, and its quality contract, without a server", Verify);
  verify->add_option("folder", arguments->folder, "folder that was pulled")->required()->check(CLI::ExistingDirectory);
  verify->add_option("--digest", arguments->digest,
                     "the digest that `gwq artifacts show` prints; without it the folder's own manifest is trusted");
  CLI::App* exported = named(add("export", "make files that transformers or llama.cpp load", Export));
  exported->add_option("--format", arguments->format, EnumChoices<ExportFormat>())->capture_default_str();
  exported->add_option(
      "--outliers", arguments->outliers,
      "what becomes of matrices with outliers, for which only hf-fp16 has a place: wider (8 bits), fold "
      "(FP16) or drop (the nearest weight that the codes express)");
  exported->add_option("--gguf-type", arguments->gguf_type,
                       "type of every quantized matrix in a GGUF file (default: for each the smallest that keeps its "
                       "codes)");
  exported->add_option(
      "--widths", arguments->widths,
      "of compressed-tensors and gptq: uniform (one width and group size in the whole file, which most "
      "loaders need; the default) or mixed (each matrix its own)");
  exported->add_option("--name", arguments->model_id, "name of the export on the server (default: NAME-FORMAT)")
      ->check(NotEmpty);
  exported->add_option("--to", arguments->output, "pull it into this folder (default: leave it on the server)")
      ->check(NotEmpty);
  AddReportCommand(*artifacts, selected, "artifacts");
  named(add("delete", "delete an artifact", Delete));
}

}  // namespace gwq::cli
