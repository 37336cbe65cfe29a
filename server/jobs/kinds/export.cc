#include "core/jobs/kinds/specs.h"
#include "server/jobs/kinds/spec_proto.h"
#include "server/jobs/resource_names.h"

namespace gwq {
namespace {

absl::StatusOr<ExportJob> FromProto(const CallerNames& names, const v1::CreateJobRequest& request) {
  const v1::ExportSpec& proto = request.export_artifact();
  ExportJob spec;
  GWQ_ASSIGN_OR_RETURN(spec.artifact, IdOf("export_artifact.artifact", "artifacts", proto.artifact()));
  spec.model_id = proto.model_id();
  GWQ_RETURN_IF_ERROR(CheckResourceId("export_artifact.model_id", spec.model_id));
  spec.format = proto.format();
  GWQ_RETURN_IF_ERROR(ExportJob::CheckFormat("export_artifact.format", spec.format));
  GWQ_ASSIGN_OR_RETURN(const CatalogueEntry artifact,
                       names.Find("export_artifact.artifact", "artifact", proto.artifact()));
  spec.source = artifact.manifest;
  return spec;
}

void ToProto(const ExportJob& spec, v1::Job& out) {
  v1::ExportSpec& to = *out.mutable_export_artifact();
  to.set_artifact("artifacts/" + spec.artifact);
  to.set_format(spec.format);
  to.set_model_id(spec.model_id);
}

}  // namespace

template <>
SpecTranslation TranslationOf<ExportJob>() {
  return Translation<ExportJob>(v1::CreateJobRequest::kExportArtifact, FromProto, ToProto);
}

}  // namespace gwq
