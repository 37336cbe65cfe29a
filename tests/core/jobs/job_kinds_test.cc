#include "core/jobs/kinds/job_kinds.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

namespace gwq {
namespace {

TEST(JobKinds, AreKnownByNamesOfTheirOwn) {
  std::set<std::string_view> names;
  for (const JobKind& kind : JobKinds()) {
    EXPECT_TRUE(names.insert(kind.name).second) << kind.name;
    EXPECT_EQ(FindJobKind(kind.name).value()->name, kind.name);
  }
}

TEST(JobKinds, AnUnknownOneIsAnErrorThatNamesTheKnownOnes) {
  const absl::Status status = FindJobKind("train").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented);
  EXPECT_NE(status.message().find("quantize"), std::string::npos) << status;
}

TEST(JobKinds, ReadTheirExampleAndRefuseWhatIsNoSpec) {
  for (const JobKind& kind : JobKinds()) {
    SCOPED_TRACE(kind.name);
    EXPECT_TRUE(kind.product(kind.example()).ok());
    EXPECT_TRUE(kind.inputs(kind.example()).ok());
    for (const char* bad : {"{}", "[]", "not json"}) {
      EXPECT_EQ(kind.product(bad).status().code(), absl::StatusCode::kInvalidArgument) << bad;
      EXPECT_EQ(kind.inputs(bad).status().code(), absl::StatusCode::kInvalidArgument) << bad;
    }
  }
}

// The digests in the values of `json`.
void CollectDigests(const nlohmann::json& json, std::set<Digest>& out) {
  if (json.is_structured()) {
    for (const nlohmann::json& value : json) CollectDigests(value, out);
  } else if (json.is_string()) {
    if (const auto digest = Digest::Parse(json.get<std::string>()); digest.ok()) out.insert(*digest);
  }
}

TEST(JobKinds, NameEveryDigestOfTheirExample) {
  for (const JobKind& kind : JobKinds()) {
    SCOPED_TRACE(kind.name);
    std::set<Digest> named;
    CollectDigests(nlohmann::json::parse(kind.example()), named);
    const JobInputs inputs = *kind.inputs(kind.example());
    std::set<Digest> kept(inputs.manifests.begin(), inputs.manifests.end());
    kept.insert(inputs.blobs.begin(), inputs.blobs.end());
    EXPECT_EQ(kept, named);
    EXPECT_FALSE(named.empty()) << "a job of this kind reads nothing that is stored";
  }
}

}  // namespace
}  // namespace gwq
