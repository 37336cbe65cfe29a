#include "core/base/status.h"
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
  const absl::StatusOr<ExportOptions> options = ParseExportOptions({.format = proto.format(),
                                                                    .outliers = proto.outliers(),
                                                                    .gguf_type = proto.gguf_type(),
                                                                    .widths = proto.widths()});
  if (!options.ok()) return PrefixField(options.status(), "export_artifact");
  spec.options = *options;
  GWQ_ASSIGN_OR_RETURN(const CatalogueEntry artifact,
                       names.Find("export_artifact.artifact", "artifact", proto.artifact()));
  spec.source = artifact.manifest;
  return spec;
}

void ToProto(const ExportJob& spec, v1::Job& out) {
  v1::ExportSpec& to = *out.mutable_export_artifact();
  to.set_artifact("artifacts/" + spec.artifact);
  to.set_format(std::string(EnumText(spec.options.format)));
  to.set_outliers(std::string(OutliersText(spec.options)));
  to.set_gguf_type(std::string(GgufTypeText(spec.options)));
  to.set_widths(std::string(WidthsText(spec.options)));
  to.set_model_id(spec.model_id);
}

}  // namespace

template <>
SpecTranslation TranslationOf<ExportJob>() {
  return Translation<ExportJob>(v1::CreateJobRequest::kExportArtifact, FromProto, ToProto);
}

}  // namespace gwq
