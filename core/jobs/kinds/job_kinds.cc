#include "core/jobs/kinds/job_kinds.h"

#include <fmt/format.h>

#include "core/base/status.h"
#include "core/jobs/kinds/specs.h"

namespace gwq {
namespace {

template <JobSpec Spec>
JobKind RowOf() {
  return {.name = Spec::kKind,
          .product = [](std::string_view json) -> absl::StatusOr<JobProduct> {
            GWQ_ASSIGN_OR_RETURN(const Spec spec, Spec::Parse(json));
            return spec.Product();
          },
          .inputs = [](std::string_view json) -> absl::StatusOr<JobInputs> {
            GWQ_ASSIGN_OR_RETURN(const Spec spec, Spec::Parse(json));
            return spec.Inputs();
          },
          .parts = [](std::string_view json) -> absl::StatusOr<std::vector<JobProduct>> {
            GWQ_ASSIGN_OR_RETURN(const Spec spec, Spec::Parse(json));
            if constexpr (requires { spec.Parts(); }) return spec.Parts();
            return std::vector<JobProduct>();
          },
          .plan = [](BlobStore& store, PassCache& passes, std::string_view json) -> absl::StatusOr<Plan> {
            GWQ_ASSIGN_OR_RETURN(const Spec spec, Spec::Parse(json));
            return spec.MakePlan(store, passes);
          },
          .example = [] { return Spec::Example().Json(); }};
}

}  // namespace

const std::vector<JobKind>& JobKinds() {
  static const std::vector<JobKind> kinds =
      RowsOf(JobSpecs(), []<class Spec>(std::type_identity<Spec>) { return RowOf<Spec>(); });
  return kinds;
}

absl::StatusOr<const JobKind*> FindJobKind(std::string_view name) {
  std::string known;
  for (const JobKind& kind : JobKinds()) {
    if (kind.name == name) return &kind;
    known += fmt::format("{}{}", known.empty() ? "" : ", ", kind.name);
  }
  return absl::UnimplementedError(fmt::format("'{}' is not a kind of job; this version knows {}", name, known));
}

bool IsRetryable(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kInternal:
    case absl::StatusCode::kUnknown:
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kDeadlineExceeded:
      return true;
    default:
      return false;
  }
}

}  // namespace gwq
