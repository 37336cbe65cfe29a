#include "core/jobs/kinds/specs.h"
#include "server/jobs/kinds/spec_proto.h"

namespace gwq {
namespace {

void ToProto(const ImportJob& spec, v1::Job& out) {
  v1::ImportSpec& to = *out.mutable_import_model();
  to.set_upload("uploads/" + spec.upload);
  spec.dataset ? to.set_dataset_id(spec.model_id) : to.set_model_id(spec.model_id);
}

}  // namespace

// CommitUpload creates imports.
template <>
SpecTranslation TranslationOf<ImportJob>() {
  return Translation<ImportJob>(v1::CreateJobRequest::SPEC_NOT_SET, nullptr, ToProto);
}

}  // namespace gwq
