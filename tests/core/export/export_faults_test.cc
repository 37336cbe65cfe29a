// Exports for other programs where the disk fails, the artifact is damaged or the model is of another kind.
#include <gmock/gmock.h>

#include <filesystem>

#include "tests/core/export/export_fixture.h"
#include "tests/support/stored_golden.h"

namespace gwq {
namespace {

using testing::FailsAt;
using testing::HasCode;
using testing::IsOk;
using testing::kMatrix;

constexpr ExportFormat kForeign[] = {ExportFormat::kCompressedTensors, ExportFormat::kGptq, ExportFormat::kGguf};

class ExportFaults : public testing::ExportFixture {
 protected:
  std::filesystem::path PathOf(const Digest& digest) const {
    return folder_ / ("blobs/" + digest.Hex().substr(0, 2) + "/" + digest.Hex());
  }
  Digest Matrix4(const Digest& artifact) { return StoredModel::Open(*store_, artifact).value()->Find(kMatrix)->digest; }
};

// The manifest is the last blob of an export: where an operation before it fails, nobody learns of a digest, and the
// next attempt makes what an undisturbed one makes.
TEST_F(ExportFaults, AFullDiskEndsTheExportAndTheNextOneIsWhole) {
  const Digest artifact = ArtifactOf({{kMatrix, {64, 32, 4, 16, 0}}});
  for (const ExportFormat format : kForeign) {
    SCOPED_TRACE(EnumText(format));
    int failures = 0;
    for (int64_t after = 0;; after += 13) {
      files_.FailAt(files_.operations() + after, absl::ResourceExhaustedError("no room"));
      const int64_t before = files_.operations();
      const auto result = Run(artifact, {.format = format});
      if (files_.operations() - before <= after) {
        ASSERT_THAT(result, IsOk());
        break;
      }
      if (result.ok()) continue;  // what failed removes or touches a file that nobody needs
      EXPECT_THAT(result.status(), HasCode(absl::StatusCode::kResourceExhausted)) << after;
      ++failures;
    }
    EXPECT_GT(failures, 3);
    files_.FailAt(-1, absl::OkStatus());
    const auto whole = Run(artifact, {.format = format});
    ASSERT_THAT(whole, IsOk());
    for (const Digest& digest : ManifestOf(whole->model).Blobs()) EXPECT_TRUE(store_->Stat(digest).ok());
  }
}

TEST_F(ExportFaults, AMatrixThatIsMissingOrCutIsAnErrorThatNamesIt) {
  for (const ExportFormat format : kForeign) {
    SCOPED_TRACE(EnumText(format));
    const Digest artifact = ArtifactOf({{kMatrix, {64, 32, 4, 16, 0}}});
    const std::filesystem::path path = PathOf(Matrix4(artifact));
    std::filesystem::resize_file(path, std::filesystem::file_size(path) - 9);
    EXPECT_THAT(std::string(Run(artifact, {.format = format}).status().message()), ::testing::HasSubstr(kMatrix));
    std::filesystem::remove(path);
    EXPECT_THAT(std::string(Run(artifact, {.format = format}).status().message()), ::testing::HasSubstr(kMatrix));
  }
}

TEST(ExportOfAVisionModel, IsRefusedByItsFormatAndNamesTheOneThatHoldsIt) {
  testing::StoredGolden golden(
      "qwen2-vl-tied-f16-v4",
      {{"preprocessor_config.json",
        R"({"image_processor_type":"Qwen2VLImageProcessor","patch_size":2,"merge_size":2,"temporal_patch_size":2})"}});
  const auto source = golden.Open(golden.digest());
  ArtifactWriter writer(golden.store(), *source);
  for (const TensorSpec& spec : source->model()->tensors()) ASSERT_THAT(writer.Keep(spec.name), IsOk());
  const Digest artifact = writer.FinishArtifact("{}", "{}").value();
  for (const ExportFormat format : kForeign) {
    const absl::Status status = ExportArtifact(golden.store(), artifact, {.format = format}, NoProgress()).status();
    EXPECT_THAT(status, FailsAt("format"));
    EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr("vision tower; use hf-fp16"));
  }
  EXPECT_THAT(ExportArtifact(golden.store(), artifact, {}, NoProgress()), IsOk());
}

}  // namespace
}  // namespace gwq
