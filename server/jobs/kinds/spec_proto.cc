#include "server/jobs/kinds/spec_proto.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/jobs/kinds/specs.h"

namespace gwq {

const std::vector<SpecTranslation>& SpecTranslations() {
  static const std::vector<SpecTranslation> translations =
      RowsOf(JobSpecs(), []<class Spec>(std::type_identity<Spec>) { return TranslationOf<Spec>(); });
  return translations;
}

absl::StatusOr<const SpecTranslation*> TranslationOf(const v1::CreateJobRequest& request) {
  std::string fields;
  for (const SpecTranslation& translation : SpecTranslations()) {
    if (translation.asked == v1::CreateJobRequest::SPEC_NOT_SET) continue;
    if (translation.asked == request.spec_case()) return &translation;
    const auto* const field = v1::CreateJobRequest::descriptor()->FindFieldByNumber(translation.asked);
    fields += fmt::format("{}{}", fields.empty() ? "" : ", ", field->name());
  }
  return InvalidField("spec", fmt::format("missing: give one of {}", fields));
}

absl::Status SpecToProto(std::string_view kind, std::string_view spec_json, v1::Job& out) {
  const auto found = std::ranges::find(SpecTranslations(), kind, &SpecTranslation::kind);
  if (found == SpecTranslations().end()) {
    return absl::UnimplementedError(fmt::format("'{}' is not a kind of job of this version", kind));
  }
  return found->to_proto(spec_json, out);
}

}  // namespace gwq
