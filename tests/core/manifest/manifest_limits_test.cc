// Manifests at the ends of what is allowed, one step past them, and back from their text.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "core/format/format.h"
#include "core/io/gguf.h"
#include "core/io/safetensors.h"
#include "core/manifest/limits.h"
#include "core/manifest/manifest.h"
#include "tests/support/status_matchers.h"

namespace gwq {
namespace {

using testing::FailsAt;
using testing::HasCode;
using ::testing::HasSubstr;
using testing::IsOk;

Manifest WithFiles(const std::string& kind, const std::vector<std::string>& paths) {
  Manifest manifest;
  manifest.kind = kind;
  for (const std::string& path : paths) manifest.files.push_back({path, path.size(), Sha256Of(path)});
  if (kind == "artifact") {
    manifest.architecture = "LlamaForCausalLM";
    manifest.source = Sha256Of("source");
    manifest.recipe_json = R"({"bits":4})";
  }
  return manifest;
}

// An upload of one tensor of four bytes.
Manifest Upload(const std::string& path = "model.safetensors") {
  Manifest manifest = WithFiles("model", {"config.json"});
  ManifestTensor tensor;
  tensor.name = "w";
  tensor.size = 4;
  tensor.digest = Sha256Of("w");
  manifest.shards.push_back({path, 64 + 4, Sha256Of("header"), 64, {tensor}});
  return manifest;
}

void ExpectReadBack(const Manifest& manifest) {
  ASSERT_THAT(CheckManifest(manifest), IsOk());
  const std::string text = ManifestJson(manifest);
  const auto read = ParseManifest(text);
  ASSERT_THAT(read, IsOk()) << text;
  EXPECT_EQ(ManifestJson(*read), text);
}

// A number of a manifest whose largest value is `most`.
struct Limit {
  const char* what;
  std::function<Manifest(uint64_t)> make;
  uint64_t most;
  std::string field;
};

class ManifestLimit : public ::testing::TestWithParam<Limit> {};

TEST_P(ManifestLimit, IsTakenAndOneMoreIsRefusedByTheLimitsNumber) {
  const Limit& limit = GetParam();
  ExpectReadBack(limit.make(limit.most));
  const absl::Status status = CheckManifest(limit.make(limit.most + 1));
  EXPECT_THAT(status, FailsAt(limit.field));
  EXPECT_THAT(std::string(MessageOf(status)), HasSubstr(std::to_string(limit.most)));
}

Manifest WithHeader(const std::string& path, uint64_t size) {
  Manifest manifest = Upload(path);
  manifest.shards[0].header_size = size;
  manifest.shards[0].size = size + 4;
  return manifest;
}

INSTANTIATE_TEST_SUITE_P(
    All, ManifestLimit,
    ::testing::Values(Limit{"Path", [](uint64_t n) { return WithFiles("model", {std::string(n - 5, 'p') + ".json"}); },
                            255, "files[0].path"},
                      Limit{"Files",
                            [](uint64_t n) {
                              std::vector<std::string> paths;
                              for (uint64_t i = 0; i < n; ++i) paths.push_back(std::to_string(100'000 + i) + ".txt");
                              return WithFiles("dataset", paths);
                            },
                            10'000, "files"},
                      Limit{"FileSize",
                            [](uint64_t n) {
                              Manifest manifest = WithFiles("model", {"config.json"});
                              manifest.files[0].size = n;
                              return manifest;
                            },
                            kMaxSmallFileBytes, "files[0].size"},
                      Limit{"Architecture",
                            [](uint64_t n) {
                              Manifest manifest = WithFiles("model", {"config.json"});
                              manifest.architecture = std::string(n, 'A');
                              return manifest;
                            },
                            128, "architecture"},
                      Limit{"TensorName",
                            [](uint64_t n) {
                              Manifest manifest = Upload();
                              manifest.shards[0].tensors[0].name = std::string(n, 'n');
                              return manifest;
                            },
                            1024, "shards[0].tensors[0].name"},
                      Limit{"ShardSize",
                            [](uint64_t n) {
                              Manifest manifest = Upload();
                              manifest.shards[0].size = n;
                              manifest.shards[0].tensors[0].size = n - 64;
                              return manifest;
                            },
                            uint64_t{1} << 50, "shards[0].size"},
                      Limit{"SafetensorsHeader", [](uint64_t n) { return WithHeader("m.safetensors", n); },
                            8 + kMaxSafetensorsHeader, "shards[0].header_size"},
                      Limit{"GgufHeader", [](uint64_t n) { return WithHeader("m.gguf", n); }, kMaxGgufHeader,
                            "shards[0].header_size"}),
    [](const auto& info) { return std::string(info.param.what); });

// Which kinds of manifests take a file that ends so.
struct FileType {
  std::string suffix;
  bool model, dataset, evaluation;
};

TEST(ManifestFileTypes, AreThoseOfTheKindInSmallAndCapitalLetters) {
  const std::vector<FileType> types = {
      {".json", true, false, true},     {".jsonl", false, true, true},     {".txt", true, true, false},
      {".md", true, true, true},        {".html", false, false, true},     {".jinja", true, false, false},
      {".model", true, false, false},   {".tiktoken", true, false, false}, {".png", false, true, false},
      {".jpg", false, true, false},     {".jpeg", false, true, false},     {".webp", false, true, false},
      {".gif", false, false, false},    {".py", false, false, false},      {".bin", false, false, false},
      {".pt", false, false, false},     {".pth", false, false, false},     {".pkl", false, false, false},
      {".pickle", false, false, false}, {".ckpt", false, false, false},    {".joblib", false, false, false},
      {".npy", false, false, false},    {".npz", false, false, false},     {".h5", false, false, false},
      {".msgpack", false, false, false}};
  for (const FileType& type : types) {
    std::string capitals = type.suffix;
    for (char& letter : capitals) letter = static_cast<char>(std::toupper(letter));
    for (const std::string& path : {"a" + type.suffix, "sub/A" + capitals}) {
      EXPECT_EQ(CheckManifest(WithFiles("model", {path})).ok(), type.model) << path;
      EXPECT_EQ(CheckManifest(WithFiles("artifact", {path})).ok(), type.model) << path;
      EXPECT_EQ(CheckManifest(WithFiles("dataset", {path})).ok(), type.dataset) << path;
      EXPECT_EQ(CheckManifest(WithFiles("evaluation", {path})).ok(), type.evaluation) << path;
    }
  }
}

TEST(ManifestFileTypes, AnErrorListsTheTypesOfTheManifestsOwnKind) {
  const auto text = [](const std::string& kind) {
    return std::string(CheckManifest(WithFiles(kind, {"a.exe"})).message());
  };
  EXPECT_THAT(text("model"), HasSubstr(".json, .txt, .md, .jinja"));
  EXPECT_THAT(text("dataset"), HasSubstr(".jsonl, .txt, .md, .png"));
  EXPECT_THAT(text("evaluation"), HasSubstr("an evaluation holds: .json, .jsonl, .md and .html are"));
}

TEST(ManifestText, AMatrixOfEveryFormatAndWidthIsReadBack) {
  for (const Format* const format : KnownFormats()) {
    for (const int bits : {2, 3, 4, 5, 6, 7, 8}) {
      for (const int scale_bits : {8, 16}) {
        const PackedShape shape{5, 41, bits, 24, 7, scale_bits, format};
        if (!CheckPackedShape(shape).ok()) continue;
        Manifest manifest = WithFiles("artifact", {"config.json"});
        manifest.shards = Upload().shards;
        ManifestTensor& tensor = manifest.shards[0].tensors[0];
        tensor.size = LayoutOf(shape).total;
        tensor.dtype = "U8";
        tensor.shape = {static_cast<int64_t>(tensor.size)};
        tensor.kind = "linear";
        tensor.part = "vision";
        tensor.packed = shape;
        manifest.shards[0].size = 64 + tensor.size;
        ExpectReadBack(manifest);
        const auto read = ParseManifest(ManifestJson(manifest));
        EXPECT_EQ(TensorIndex(*read).Find("w")->packed, shape);
      }
    }
  }
}

// What CheckManifest takes can be read again: a manifest that cannot would be lost in the store.
TEST(ManifestText, ARecipeAndAProducerOfAnyDepthAreRefusedOrReadBack) {
  for (size_t depth = 1; depth <= 40; ++depth) {
    std::string text = "{}";
    for (size_t level = 1; level < depth; ++level) text = R"({"k":)" + text + "}";
    for (std::string Manifest::* const part : {&Manifest::recipe_json, &Manifest::producer_json}) {
      Manifest manifest = WithFiles("artifact", {"config.json"});
      manifest.*part = text;
      EXPECT_EQ(CheckManifest(manifest).ok(), ParseManifest(ManifestJson(manifest)).ok()) << depth;
      EXPECT_EQ(CheckManifest(manifest).ok(), depth <= 15) << depth;
    }
  }
}

TEST(ManifestText, EveryChangedByteIsRefusedAtOneFieldOrMakesAnotherManifest) {
  Manifest upload = Upload();
  upload.producer_json = R"({"threads":2})";
  const std::string good = ManifestJson(upload);
  for (size_t i = 0; i < good.size(); ++i) {
    for (const char value :
         {'\0', '\xFF', '9', '"', '}', ',', static_cast<char>(good[i] ^ 1), static_cast<char>(good[i] ^ 0x20)}) {
      if (value == good[i]) continue;
      std::string bent = good;
      bent[i] = value;
      const auto read = ParseManifest(bent);
      if (read.ok()) {
        EXPECT_NE(ManifestDigest(*read), ManifestDigest(upload)) << bent;
        ExpectReadBack(*read);
      } else {
        ASSERT_THAT(read, HasCode(absl::StatusCode::kInvalidArgument)) << bent;
        EXPECT_EQ(FieldViolations(read.status()).size(), 1u) << bent;
      }
    }
  }
}

}  // namespace
}  // namespace gwq
