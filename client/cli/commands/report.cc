#include "client/cli/commands/report.h"

#include <memory>
#include <span>

#include "client/cli/checks.h"
#include "client/cli/output.h"
#include "client/cli/table.h"
#include "core/base/status.h"
#include "core/io/file_system.h"
#include "gwq/v1/artifacts.grpc.pb.h"

namespace gwq::cli {
namespace {

struct Arguments {
  std::string name;
  std::string format;
  std::string file;
};

v1::GetReportRequest::Format FormatOf(const std::string& name) {
  if (name == "html") return v1::GetReportRequest::HTML;
  if (name == "json") return v1::GetReportRequest::JSON;
  return v1::GetReportRequest::MARKDOWN;
}

absl::StatusOr<ExitCode> Report(Session& session, const std::string& collection, const Arguments& arguments) {
  const std::string format = !arguments.format.empty() ? arguments.format : session.json() ? "json" : "md";
  v1::GetReportRequest request;
  request.set_name(ResourceName(collection, arguments.name));
  request.set_format(FormatOf(format));
  const auto stub = v1::ArtifactService::NewStub(session.jobs().channel());
  GWQ_ASSIGN_OR_RETURN(const v1::GetReportResponse report,
                       client::Call(session.jobs(), *stub, &v1::ArtifactService::Stub::GetReport, request));
  if (arguments.file.empty()) {
    Print("{}\n", report.text());
    return kExitOk;
  }
  GWQ_RETURN_IF_ERROR(WriteFileAtomically(LocalFileSystem(), arguments.file, std::as_bytes(std::span(report.text()))));
  if (session.json()) {
    Print("{{\"name\":{},\"file\":{},\"bytes\":{}}}\n", JsonString(request.name()), JsonString(arguments.file),
          report.text().size());
  } else {
    Print("{}  {}\n", arguments.file, BytesText(report.text().size()));
  }
  return kExitOk;
}

}  // namespace

void AddReportCommand(CLI::App& parent, Selected& selected, const std::string& collection) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = parent.add_subcommand(
      "report", collection == "jobs" ? "the report of a quantization, also of an artifact that its "
                                       "quality contract refused"
                                     : "the report of the job that made an artifact");
  command->add_option("name", arguments->name, collection == "jobs" ? "jobs/ID or ID" : "artifacts/NAME or NAME")
      ->required();
  command
      ->add_option("--format", arguments->format,
                   "html (one file that loads nothing), md or json (default: md, with --json json)")
      ->check(CLI::IsMember({"html", "md", "json"}));
  command->add_option("--to", arguments->file, "file to write (default: standard output)")->check(NotEmpty);
  command->callback([&selected, arguments, collection] {
    selected.action = [arguments, collection](Session& session) { return Report(session, collection, *arguments); };
  });
}

}  // namespace gwq::cli
