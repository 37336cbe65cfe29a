#include "core/jobs/kinds/job_kinds.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "core/base/clock.h"
#include "core/io/file_system.h"
#include "core/jobs/kinds/specs.h"
#include "core/manifest/manifest.h"
#include "core/storage/local_blob_store.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"

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

// Of an export of one matrix of 1024 x `cols`.
absl::StatusOr<Plan> ExportPlan(int64_t cols, bool packed, const ExportOptions& options, int64_t outliers = 0,
                                const char* part = "language") {
  testing::TempFolder folder;
  const auto store = OpenLocalBlobStore(LocalFileSystem(), folder.path(), SystemClock()).value();
  Manifest manifest;
  manifest.kind = "artifact";
  manifest.architecture = "LlamaForCausalLM";
  manifest.source = Sha256Of("model");
  manifest.recipe_json = manifest.producer_json = "{}";
  ManifestTensor tensor;
  tensor.name = "m";
  tensor.kind = "linear";
  tensor.part = part;
  tensor.digest = Sha256Of("blob");
  if (packed) {
    tensor.packed = PackedShape{.rows = 1024, .cols = cols, .bits = 8, .group_size = 64, .outliers = outliers};
    tensor.size = LayoutOf(*tensor.packed).total;
    tensor.dtype = "U8";
    tensor.shape = {static_cast<int64_t>(tensor.size)};
  } else {
    tensor.size = static_cast<uint64_t>(2048 * cols);
    tensor.dtype = "F16";
    tensor.shape = {1024, cols};
  }
  ManifestShard& shard = manifest.shards.emplace_back();
  shard.path = "model.safetensors";
  shard.header_size = 64;
  shard.size = shard.header_size + tensor.size;
  shard.tensors.push_back(std::move(tensor));
  const std::string json = ManifestJson(manifest);
  ExportJob job = ExportJob::Example();
  job.options = options;
  job.source = PutBlob(*store, std::as_bytes(std::span(json))).value();
  NoPassCache passes;
  return FindJobKind("export").value()->plan(*store, passes, job.Json());
}

uint64_t PlanOfExport(int64_t cols, bool packed, ExportFormat format = ExportFormat::kHalf) {
  const auto plan = ExportPlan(cols, packed, {.format = format});
  EXPECT_TRUE(plan.ok()) << plan.status();
  return plan.ok() ? plan->peak_memory_bytes : 0;
}

TEST(JobKinds, AnExportIsPlannedWithItsLargestPackedMatrix) {
  const uint64_t small = PlanOfExport(1024, true), large = PlanOfExport(1024 * 1024, true);
  EXPECT_GE(large - small, uint64_t{1023} << 20) << "8 bits for each weight";
  EXPECT_LT(PlanOfExport(1024 * 1024, false), small + (1 << 20)) << "dense tensors go through in pieces";
}

TEST(JobKinds, AnExportThatPutsAMatrixTogetherIsPlannedWithIt) {
  const uint64_t streamed = PlanOfExport(1024 * 1024, true);
  EXPECT_GE(PlanOfExport(1024 * 1024, true, ExportFormat::kGptq) - streamed, uint64_t{1} << 30);
}

TEST(JobKinds, AnExportThatCannotBeMadeIsRefusedByItsPlan) {
  const ExportOptions gptq = {.format = ExportFormat::kGptq};
  EXPECT_THAT(ExportPlan(1024, true, gptq).status(), testing::IsOk());
  EXPECT_THAT(ExportPlan(1024, true, gptq, 7).status(), testing::FailsAt("export_artifact.outliers"));
  EXPECT_THAT(ExportPlan(1024, true, {}, 7).status(), testing::IsOk());
  EXPECT_THAT(ExportPlan(1024, true, gptq, 0, "vision").status(), testing::FailsAt("export_artifact.format"));
}

}  // namespace
}  // namespace gwq
