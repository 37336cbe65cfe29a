#include "core/jobs/kinds/specs.h"
#include "server/jobs/evaluation_proto.h"
#include "server/jobs/kinds/spec_proto.h"

namespace gwq {
namespace {

absl::StatusOr<EvaluateJob> FromProto(const CallerNames& names, const v1::CreateJobRequest& request) {
  const v1::EvaluateSpec& proto = request.evaluate();
  EvaluateJob spec;
  spec.target = proto.target();
  spec.evaluation_id = proto.evaluation_id();
  GWQ_RETURN_IF_ERROR(CheckResourceId("evaluate.evaluation_id", spec.evaluation_id));
  GWQ_ASSIGN_OR_RETURN(spec.task, names.Task("evaluate.task", proto.task()));
  GWQ_ASSIGN_OR_RETURN(const CatalogueEntry target, names.FindModel("evaluate.target", proto.target()));
  spec.source = target.manifest;
  if (!proto.reference().empty()) {
    GWQ_ASSIGN_OR_RETURN(const CatalogueEntry reference, names.FindModel("evaluate.reference", proto.reference()));
    spec.reference = proto.reference();
    spec.reference_source = reference.manifest;
  }
  return spec;
}

void ToProto(const EvaluateJob& spec, v1::Job& out) {
  v1::EvaluateSpec& to = *out.mutable_evaluate();
  to.set_target(spec.target);
  to.set_evaluation_id(spec.evaluation_id);
  to.set_reference(spec.reference);
  *to.mutable_task() = TaskToProto(spec.task);
}

}  // namespace

template <>
SpecTranslation TranslationOf<EvaluateJob>() {
  return Translation<EvaluateJob>(v1::CreateJobRequest::kEvaluate, FromProto, ToProto);
}

}  // namespace gwq
