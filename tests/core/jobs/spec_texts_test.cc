#include "core/jobs/spec_texts.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/io/file_system.h"
#include "core/io/json.h"
#include "core/storage/local_blob_store.h"
#include "tests/support/temp_folder.h"

namespace gwq {
namespace {

class SpecTextsTest : public ::testing::Test {
 protected:
  const testing::TempFolder folder_;
  const std::unique_ptr<BlobStore> store_ = *OpenLocalBlobStore(LocalFileSystem(), folder_.path(), SystemClock());
  const std::string long_ = std::string(5000, 'x');
};

TEST_F(SpecTextsTest, ASpecOfShortTextsStaysAsItIs) {
  const std::string spec = CanonicalJson({{"model", "m"}, {"text", std::string(kMaxSpecTextBytes, 'x')}});
  const SplitSpec split = *SplitTexts(*store_, spec);
  EXPECT_EQ(split.spec_json, spec);
  EXPECT_EQ(split.texts, std::nullopt);
  EXPECT_EQ(*JoinTexts(*store_, spec, std::nullopt), spec);
}

TEST_F(SpecTextsTest, LongTextsAreCutWhereverTheyAreAndJoinedAgain) {
  const std::string spec = CanonicalJson(
      {{"a/b~c", long_}, {"list", {{{"text", long_ + "\"\\\n"}}, "short", long_}}, {"number", 1}, {"none", nullptr}});
  const SplitSpec split = *SplitTexts(*store_, spec);
  EXPECT_LT(split.spec_json.size(), 4 * kMaxSpecTextBytes);
  const nlohmann::json cut = nlohmann::json::parse(split.spec_json);
  EXPECT_EQ(cut["list"][1], "short");
  EXPECT_EQ(cut["list"][2], std::string(kMaxSpecTextBytes, 'x') + "\u2026");
  EXPECT_EQ(*JoinTexts(*store_, split.spec_json, split.texts), spec);
}

TEST_F(SpecTextsTest, TextsAreCutAtTheEndOfACharacter) {
  for (const size_t before : {0u, 1u, 2u, 3u}) {
    std::string text(kMaxSpecTextBytes - before, 'x');
    for (int i = 0; i < 10; ++i) text += "\U0001F600";
    const SplitSpec split = *SplitTexts(*store_, CanonicalJson({{"text", text}}));
    EXPECT_EQ(nlohmann::json::parse(split.spec_json)["text"], std::string(kMaxSpecTextBytes - before, 'x') + "\u2026");
  }
}

TEST_F(SpecTextsTest, TextsThatAreMissingOrOfAnotherSpecAreDataLoss) {
  const SplitSpec split = *SplitTexts(*store_, CanonicalJson({{"text", long_}}));
  const auto code = [&](const std::string& spec, const Digest& texts) {
    return JoinTexts(*store_, spec, texts).status().code();
  };
  EXPECT_EQ(code(split.spec_json, Sha256Of("nothing")), absl::StatusCode::kDataLoss);
  EXPECT_EQ(code("{\"other\":\"x\"}", *split.texts), absl::StatusCode::kDataLoss);
  const Digest list = *PutBlob(*store_, std::as_bytes(std::span(std::string_view("[1]"))));
  EXPECT_EQ(code(split.spec_json, list), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace gwq
