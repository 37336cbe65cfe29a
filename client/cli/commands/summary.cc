#include "client/cli/commands/summary.h"

#include <fmt/format.h>

#include <optional>

#include "core/base/status.h"
#include "gwq/v1/artifacts.grpc.pb.h"

namespace gwq::cli {
namespace {

void AddLine(std::string& out, std::string_view name, std::string_view text) {
  out += fmt::format("{:<13} {}\n", name, text);
}

std::string BeforeAndAfter(std::optional<double> before, double after) {
  return before ? fmt::format("{:.6g} before, {:.6g} after", *before, after) : fmt::format("{:.6g}", after);
}

}  // namespace

std::string SummaryText(const v1::ArtifactSummary& summary) {
  std::string out;
  AddLine(out, "size",
          fmt::format("{} before, {} after", BytesText(summary.source_bytes()), BytesText(summary.total_bytes())));
  AddLine(out, "bits",
          fmt::format("{:.4f} per weight of the matrices, {:.4f} of the model", summary.matrix_bits_per_weight(),
                      summary.model_bits_per_weight()));
  if (summary.has_perplexity()) {
    AddLine(out, "perplexity",
            BeforeAndAfter(summary.has_perplexity_before() ? std::optional(summary.perplexity_before()) : std::nullopt,
                           summary.perplexity()));
  }
  if (summary.has_mean_kl()) AddLine(out, "mean KL", fmt::format("{:.6g}", summary.mean_kl()));
  if (summary.has_same_top1()) AddLine(out, "same top 1", fmt::format("{:.4f}", summary.same_top1()));
  for (const v1::SummaryMetric& metric : summary.metrics()) {
    AddLine(out, metric.evaluation() + " " + metric.metric(),
            BeforeAndAfter(metric.has_before() ? std::optional(metric.before()) : std::nullopt, metric.after()));
  }
  AddLine(out, "time", fmt::format("{:.1f} s", summary.seconds()));
  AddLine(out, "peak memory", BytesText(summary.peak_memory_bytes()));
  return out;
}

absl::StatusOr<std::optional<v1::Artifact>> ArtifactOf(Session& session, const v1::Job& job) {
  if (job.kind() != "quantize" || job.state() != v1::JOB_STATE_SUCCEEDED) return std::nullopt;
  const auto stub = v1::ArtifactService::NewStub(session.jobs().channel());
  v1::GetArtifactRequest request;
  request.set_name(job.result());
  absl::StatusOr<v1::Artifact> artifact =
      client::Call(session.jobs(), *stub, &v1::ArtifactService::Stub::GetArtifact, request);
  if (absl::IsNotFound(artifact.status())) return std::nullopt;
  GWQ_RETURN_IF_ERROR(artifact.status());
  // Another job may have taken the name.
  if (artifact->job() != job.name()) return std::nullopt;
  return *std::move(artifact);
}

}  // namespace gwq::cli
