// The worked example of docs/artifact-format.md, byte for byte.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "core/io/file_system.h"
#include "core/io/safetensors.h"
#include "core/manifest/manifest.h"
#include "tests/support/status_matchers.h"

namespace gwq {
namespace {

using testing::IsOk;

class FormatExample : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* const source = std::getenv("GWQ_SOURCE_DIR");
    ASSERT_NE(source, nullptr) << "run it by ctest";
    page_ = ReadSmallFile(LocalFileSystem(), std::string(source) + "/docs/artifact-format.md", 1 << 20).value();
  }
  // The block of the page that starts with ```name.
  std::string Block(const std::string& name) {
    const std::string start = "\n```" + name + "\n";
    const size_t begin = page_.find(start) + start.size();
    return page_.substr(begin, page_.find("\n```", begin) - begin);
  }
  std::string page_;
};

TEST_F(FormatExample, TheManifestHasTheDigestThatThePageSays) {
  const auto manifest = ParseManifest(Block("json"));
  ASSERT_THAT(manifest, IsOk());
  EXPECT_THAT(page_, ::testing::HasSubstr(ManifestDigest(*manifest).Hex()));
  EXPECT_EQ(ManifestJson(*manifest), nlohmann::json::parse(Block("json")).dump());
  EXPECT_EQ(ManifestJson(*manifest).size(), 948u);
  EXPECT_EQ(manifest->StoredBytes(), 719u);
}

TEST_F(FormatExample, TheHeaderIsTheOneThatTheWriterMakes) {
  const auto manifest = ParseManifest(Block("json"));
  ASSERT_THAT(manifest, IsOk());
  const std::string header = WriteSafetensorsHeader(
      {{"model.norm.weight", DType::kF32, {10}, 0, 40}, {"proj.weight", DType::kU8, {448}, 40, 448}},
      {{"format", "pt"}});
  EXPECT_EQ(header, std::string("\xb8\0\0\0\0\0\0\0", 8) + Block("header") + std::string(14, ' '));
  EXPECT_EQ(Sha256Of(header), manifest->shards[0].header);
}

TEST_F(FormatExample, TheNormsDigestIsThatOfTenOnes) {
  const std::vector<float> ones(10, 1.0F);
  const auto manifest = ParseManifest(Block("json"));
  EXPECT_EQ(Sha256Of(std::as_bytes(std::span(ones))), TensorIndex(*manifest).Find("model.norm.weight")->digest);
}

}  // namespace
}  // namespace gwq
