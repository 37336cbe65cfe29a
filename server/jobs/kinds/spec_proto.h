// The specs of jobs between the API and core: one table, one file per kind of job in this folder
// (docs/how-to/add-a-job-kind.md).
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/status.h"
#include "core/jobs/catalogue.h"
#include "core/spec/evaluation_task.h"
#include "gwq/v1/jobs.pb.h"
#include "server/jobs/jobs_state.h"

namespace gwq {

// What a request's names stand for in the caller's catalogue. Used within one call.
class CallerNames {
 public:
  CallerNames(JobsState& state, const std::string& principal) : state_(state), principal_(principal) {}

  // The entry "collection/{id}", or one in any collection of models; NOT_FOUND if the caller has none of that name.
  [[nodiscard]] absl::StatusOr<CatalogueEntry> Find(std::string_view field, const std::string& kind,
                                                    const std::string& name) const;
  [[nodiscard]] absl::StatusOr<CatalogueEntry> FindModel(std::string_view field, const std::string& name) const;
  // The task with its dataset's manifest in place of the name, checked.
  [[nodiscard]] absl::StatusOr<EvaluationTask> Task(const std::string& field, const v1::EvaluationTask& proto) const;
  // Whether a dataset or a model of the caller's names the blob: whether others have stored it is not told.
  [[nodiscard]] absl::StatusOr<bool> HaveBlob(const Digest& blob) const;

 private:
  [[nodiscard]] absl::StatusOr<bool> AnyNames(const std::string& kind, const Digest& blob) const;

  JobsState& state_;
  const std::string& principal_;
};

struct SpecTranslation {
  std::string_view kind;
  // The field of CreateJobRequest that asks for a job of this kind; SPEC_NOT_SET if clients create none.
  v1::CreateJobRequest::SpecCase asked = v1::CreateJobRequest::SPEC_NOT_SET;
  // The spec's JSON, its fields checked. An error names the field as the request does.
  std::function<absl::StatusOr<std::string>(const CallerNames& names, const v1::CreateJobRequest& request)> from_proto;
  // Sets Job.spec.
  std::function<absl::Status(std::string_view spec_json, v1::Job& out)> to_proto;
};

// The row of one kind; its file in this folder specializes it.
template <class Spec>
[[nodiscard]] SpecTranslation TranslationOf();

// A row made of functions on the spec itself.
template <class Spec>
[[nodiscard]] SpecTranslation Translation(v1::CreateJobRequest::SpecCase asked,
                                          absl::StatusOr<Spec> (*from_proto)(const CallerNames& names,
                                                                             const v1::CreateJobRequest& request),
                                          void (*to_proto)(const Spec& spec, v1::Job& out)) {
  return {.kind = Spec::kKind,
          .asked = asked,
          .from_proto = [from_proto](const CallerNames& names,
                                     const v1::CreateJobRequest& request) -> absl::StatusOr<std::string> {
            GWQ_ASSIGN_OR_RETURN(const Spec spec, from_proto(names, request));
            return spec.Json();
          },
          .to_proto = [to_proto](std::string_view spec_json, v1::Job& out) -> absl::Status {
            GWQ_ASSIGN_OR_RETURN(const Spec spec, Spec::Parse(spec_json));
            to_proto(spec, out);
            return absl::OkStatus();
          }};
}

[[nodiscard]] const std::vector<SpecTranslation>& SpecTranslations();
// Of the spec that is set; INVALID_ARGUMENT, naming the fields that there are, if none is.
[[nodiscard]] absl::StatusOr<const SpecTranslation*> TranslationOf(const v1::CreateJobRequest& request);
// UNIMPLEMENTED for an unknown kind.
[[nodiscard]] absl::Status SpecToProto(std::string_view kind, std::string_view spec_json, v1::Job& out);

}  // namespace gwq
