// The translations of all kinds of jobs.
#include "server/jobs/kinds/spec_proto.h"

#include <gtest/gtest.h>

#include <set>

#include "core/jobs/kinds/job_kinds.h"

namespace gwq {
namespace {

TEST(SpecTranslations, AreOfTheKindsThatThereAre) {
  std::set<std::string_view> kinds, translated;
  for (const JobKind& kind : JobKinds()) kinds.insert(kind.name);
  for (const SpecTranslation& translation : SpecTranslations()) translated.insert(translation.kind);
  EXPECT_EQ(kinds, translated);
}

TEST(SpecTranslations, EachShowsItsExampleInAFieldOfItsOwn) {
  std::set<int> fields;
  for (const JobKind& kind : JobKinds()) {
    SCOPED_TRACE(kind.name);
    v1::Job job;
    EXPECT_TRUE(SpecToProto(kind.name, kind.example(), job).ok());
    EXPECT_NE(job.spec_case(), v1::Job::SPEC_NOT_SET);
    EXPECT_TRUE(fields.insert(job.spec_case()).second);
  }
}

TEST(SpecTranslations, EveryFieldOfARequestHasAKind) {
  const auto* const spec = v1::CreateJobRequest::descriptor()->FindOneofByName("spec");
  std::set<int> asked;
  for (const SpecTranslation& translation : SpecTranslations()) asked.insert(translation.asked);
  for (int i = 0; i < spec->field_count(); ++i) EXPECT_TRUE(asked.contains(spec->field(i)->number())) << i;
}

TEST(SpecTranslations, AnUnknownKindAndARequestWithoutASpecAreErrors) {
  v1::Job job;
  EXPECT_EQ(SpecToProto("train", "{}", job).code(), absl::StatusCode::kUnimplemented);
  const absl::Status missing = TranslationOf(v1::CreateJobRequest()).status();
  EXPECT_EQ(FieldViolations(missing)[0].field, "spec");
  EXPECT_NE(missing.message().find("export_artifact"), std::string::npos) << missing;
}

}  // namespace
}  // namespace gwq
