#include "core/manifest/manifest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "core/format/format.h"
#include "tests/support/status_matchers.h"

namespace gwq {
namespace {

using nlohmann::json;
using testing::FailsAt;
using testing::IsOk;

std::string Sha(char digit) { return std::string(64, digit); }

// An upload: two files, one shard with two tensors, nothing known of their types.
json UploadTree() {
  return {{"format", "gwq-manifest-1"},
          {"kind", "model"},
          {"files",
           {{{"path", "config.json"}, {"sha256", Sha('1')}, {"size", 100}},
            {{"path", "tokenizer.json"}, {"sha256", Sha('2')}, {"size", 200}}}},
          {"shards",
           {{{"path", "model.safetensors"},
             {"size", 64 + 12},
             {"header_sha256", Sha('3')},
             {"header_size", 64},
             {"tensors",
              {{{"name", "a"}, {"offset", 0}, {"size", 4}, {"sha256", Sha('4')}},
               {{"name", "b"}, {"offset", 4}, {"size", 8}, {"sha256", Sha('5')}}}}}}}};
}

constexpr PackedShape kPacked{.rows = 4, .cols = 16, .bits = 4, .group_size = 8, .outliers = 1};

// An artifact: one packed and one dense tensor.
json ArtifactTree(const PackedShape& packed = kPacked) {
  const uint64_t bytes = LayoutOf(packed).total;
  json tree = UploadTree();
  tree["kind"] = "artifact";
  tree["architecture"] = "LlamaForCausalLM";
  tree["source"] = Sha('6');
  tree["recipe"] = {{"bits", 4}};
  tree["producer"] = {{"threads", 2}};
  tree["shards"][0]["size"] = 64 + 8 + bytes;
  tree["shards"][0]["tensors"] = {
      {{"name", "a"},
       {"dtype", "F32"},
       {"shape", {2}},
       {"kind", "norm"},
       {"part", "language"},
       {"offset", 0},
       {"size", 8},
       {"sha256", Sha('4')}},
      {{"name", "b"},
       {"dtype", "U8"},
       {"shape", {bytes}},
       {"kind", "linear"},
       {"part", "language"},
       {"offset", 8},
       {"size", bytes},
       {"sha256", Sha('5')},
       {"packed", {{"rows", 4}, {"cols", 16}, {"bits", 4}, {"group_size", 8}, {"outliers", 1}}}}};
  return tree;
}

TEST(ManifestJson, IsReadAndWrittenBackByteForByte) {
  for (const json& tree : {UploadTree(), ArtifactTree()}) {
    const std::string text = tree.dump();
    const auto manifest = ParseManifest(text);
    ASSERT_THAT(manifest, IsOk());
    EXPECT_EQ(ManifestJson(*manifest), text);
    EXPECT_EQ(ManifestDigest(*manifest), Sha256Of(text));
  }
}

json& Packed(json& tree) { return tree["shards"][0]["tensors"][1]["packed"]; }

// Version 2 of the packed format, scales of 8 bits.
json Version2Tree() {
  PackedShape shape = kPacked;
  shape.scale_bits = 8;
  shape.format = &kAffine2;
  json tree = ArtifactTree(shape);
  Packed(tree).update({{"format", "affine"}, {"version", 2}, {"scale_bits", 8}});
  return tree;
}

TEST(ManifestJson, FormatAndVersionOfAMatrixAreWrittenFromVersion2On) {
  const std::string text = Version2Tree().dump();
  const auto manifest = ParseManifest(text);
  ASSERT_THAT(manifest, IsOk());
  EXPECT_EQ(TensorIndex(*manifest).Find("b")->packed->format, &kAffine2);
  EXPECT_EQ(TensorIndex(*manifest).Find("b")->packed->scale_bits, 8);
  EXPECT_EQ(ManifestJson(*manifest), text);
  const std::string first = ManifestJson(*ParseManifest(ArtifactTree().dump()));
  EXPECT_THAT(first, ::testing::HasSubstr(R"("packed":{"bits":4,"cols":16,"group_size":8,"outliers":1,"rows":4})"));
}

struct WrongFormat {
  std::string field;
  std::function<void(json&)> change;
  std::string says;
};

TEST(ManifestJson, AnUnknownFormatIsRefusedByName) {
  const std::vector<WrongFormat> cases = {
      {"format", [](json& packed) { packed["format"] = "codebook"; }, "'codebook' is not a known format"},
      {"version", [](json& packed) { packed["version"] = 7; }, "7 of format 'affine' is not known"},
      {"version", [](json& packed) { packed["version"] = 1; }, "written without format and version"},
      {"version", [](json& packed) { packed.erase("version"); }, "missing"},
      {"version", [](json& packed) { packed["version"] = uint64_t{1} << 63; }, "larger"},
      {"format", [](json& packed) { packed.erase("format"); }, "missing"},
      {"format", [](json& packed) { packed["format"] = 2; }, "wrong type"},
      {"scale_bits", [](json& packed) { packed.erase("scale_bits"); }, "missing"},
  };
  for (const WrongFormat& wrong : cases) {
    json tree = Version2Tree();
    wrong.change(Packed(tree));
    const auto manifest = ParseManifest(tree.dump());
    EXPECT_THAT(manifest, FailsAt("shards[0].tensors[1].packed." + wrong.field));
    EXPECT_THAT(std::string(manifest.status().message()), ::testing::HasSubstr(wrong.says));
  }
  json tree = Version2Tree();
  Packed(tree)["scale_bits"] = 4;
  EXPECT_THAT(ParseManifest(tree.dump()), FailsAt("shards[0].tensors[1].packed"));
  tree = ArtifactTree();
  Packed(tree)["scale_bits"] = 16;
  EXPECT_THAT(ParseManifest(tree.dump()), FailsAt("shards[0].tensors[1].packed.scale_bits"));
}

TEST(ManifestJson, TheTextDoesNotDependOnTheOrderOfKeys) {
  const std::string text = R"({"shards":[],"kind":"model","format":"gwq-manifest-1", "files":[]})";
  const auto manifest = ParseManifest(text);
  ASSERT_THAT(manifest, IsOk());
  EXPECT_EQ(ManifestJson(*manifest), R"({"files":[],"format":"gwq-manifest-1","kind":"model","shards":[]})");
}

TEST(ManifestJson, HoldsEveryField) {
  const auto manifest = ParseManifest(ArtifactTree().dump());
  ASSERT_THAT(manifest, IsOk());
  EXPECT_EQ(manifest->recipe_json, R"({"bits":4})");
  EXPECT_EQ(manifest->producer_json, R"({"threads":2})");
  EXPECT_EQ(manifest->source->Hex(), Sha('6'));
  const ManifestTensor* const tensor = TensorIndex(*manifest).Find("b");
  ASSERT_NE(tensor, nullptr);
  EXPECT_EQ(tensor->packed, (PackedShape{.rows = 4, .cols = 16, .bits = 4, .group_size = 8, .outliers = 1}));
  EXPECT_EQ(TensorIndex(*manifest).Find("c"), nullptr);
  EXPECT_EQ(manifest->FindFile("tokenizer.json")->size, 200u);
}

TEST(ManifestJson, KeepsAQualityGateAndIsAsBeforeWithoutOne) {
  EXPECT_EQ(ManifestJson(*ParseManifest(ArtifactTree().dump())).find("quality"), std::string::npos);
  json tree = ArtifactTree();
  tree["quality"] = {{"contract", {{"max_bits", 4.5}}}, {"measures", {{"bits", 4.25}}}};
  const auto manifest = ParseManifest(tree.dump());
  ASSERT_THAT(manifest, IsOk());
  EXPECT_EQ(manifest->quality_json, tree["quality"].dump());
  EXPECT_EQ(ManifestJson(*manifest), tree.dump());
}

TEST(Manifest, CountsEachBlobOnce) {
  json tree = UploadTree();
  tree["files"][1]["sha256"] = Sha('1');
  tree["files"][1]["size"] = 100;
  const auto manifest = ParseManifest(tree.dump());
  ASSERT_THAT(manifest, IsOk());
  EXPECT_EQ(manifest->Blobs().size(), 4u);
  EXPECT_EQ(manifest->StoredBytes(), 100u + 64 + 4 + 8);
}

TEST(Manifest, AGgufFileMayHavePaddingBetweenTensors) {
  json tree = UploadTree();
  tree["shards"][0]["path"] = "model.gguf";
  tree["shards"][0]["tensors"][1]["offset"] = 32;
  tree["shards"][0]["size"] = 64 + 64;
  EXPECT_THAT(ParseManifest(tree.dump()), IsOk());
  tree["shards"][0]["size"] = 64 + 40 + 65536;
  EXPECT_THAT(ParseManifest(tree.dump()), FailsAt("shards[0].size"));
}

struct Malformed {
  const char* what;
  std::function<void(json&)> bend;
  const char* field;
  bool artifact = false;
};

class MalformedManifest : public ::testing::TestWithParam<Malformed> {};

TEST_P(MalformedManifest, IsRefusedAtTheField) {
  json tree = GetParam().artifact ? ArtifactTree() : UploadTree();
  GetParam().bend(tree);
  EXPECT_THAT(ParseManifest(tree.dump(-1, ' ', false, json::error_handler_t::ignore)), FailsAt(GetParam().field));
}

json& Tensor(json& tree, int index) { return tree["shards"][0]["tensors"][index]; }

INSTANTIATE_TEST_SUITE_P(
    Structure, MalformedManifest,
    ::testing::Values(
        Malformed{"NoObject", [](json& t) { t = json::array(); }, "manifest"},
        Malformed{"Format", [](json& t) { t["format"] = "gwq-manifest-2"; }, "format"},
        Malformed{"UnknownField", [](json& t) { t["extra"] = 1; }, "extra"},
        Malformed{"NoKind", [](json& t) { t.erase("kind"); }, "kind"},
        Malformed{"UnknownKind", [](json& t) { t["kind"] = "upload"; }, "kind"},
        Malformed{"FilesNoList", [](json& t) { t["files"] = 1; }, "files"},
        Malformed{"FileNoObject", [](json& t) { t["files"][0] = 1; }, "files[0]"},
        Malformed{"FileUnknownField", [](json& t) { t["files"][1]["mode"] = 7; }, "files[1].mode"},
        Malformed{"FileNegativeSize", [](json& t) { t["files"][0]["size"] = -1; }, "files[0].size"},
        Malformed{"FileFractionalSize", [](json& t) { t["files"][0]["size"] = 1.5; }, "files[0].size"},
        Malformed{"FileTooLarge", [](json& t) { t["files"][0]["size"] = 1 << 30; }, "files[0].size"},
        Malformed{"DigestShort", [](json& t) { t["files"][0]["sha256"] = "ab"; }, "files[0].sha256"},
        Malformed{"DigestUpperCase", [](json& t) { t["files"][0]["sha256"] = Sha('A'); }, "files[0].sha256"},
        Malformed{"OneBlobTwoSizes", [](json& t) { t["files"][1]["sha256"] = Sha('1'); }, "files[1].size"},
        Malformed{"HeaderDigest", [](json& t) { t["shards"][0]["header_sha256"] = 5; }, "shards[0].header_sha256"},
        Malformed{"TensorNoSize", [](json& t) { Tensor(t, 1).erase("size"); }, "shards[0].tensors[1].size"},
        Malformed{"TensorUnknownField", [](json& t) { Tensor(t, 1)["x"] = 1; }, "shards[0].tensors[1].x"},
        Malformed{"ShapeWithoutType", [](json& t) { Tensor(t, 1)["shape"] = {8}; }, "shards[0].tensors[1].dtype"},
        Malformed{"RecipeOfAModel", [](json& t) { t["recipe"] = json::object(); }, "recipe"},
        Malformed{"QualityOfAModel", [](json& t) { t["quality"] = {{"contract", json::object()}}; }, "quality"},
        Malformed{"QualityNoObject", [](json& t) { t["quality"] = "good"; }, "quality", true},
        Malformed{"RecipeNoObject", [](json& t) { t["recipe"] = 1; }, "recipe", true},
        Malformed{"ArtifactWithoutRecipe", [](json& t) { t.erase("recipe"); }, "recipe", true},
        Malformed{"ArtifactWithoutSource", [](json& t) { t.erase("source"); }, "source", true},
        Malformed{"ArtifactWithoutArchitecture", [](json& t) { t.erase("architecture"); }, "architecture", true}),
    [](const auto& info) { return std::string(info.param.what); });

INSTANTIATE_TEST_SUITE_P(
    Paths, MalformedManifest,
    ::testing::Values(
        Malformed{"Empty", [](json& t) { t["files"][0]["path"] = ""; }, "files[0].path"},
        Malformed{"Absolute", [](json& t) { t["files"][0]["path"] = "/etc/a.json"; }, "files[0].path"},
        Malformed{"Traversal", [](json& t) { t["files"][0]["path"] = "../a.json"; }, "files[0].path"},
        Malformed{"TraversalInside", [](json& t) { t["files"][0]["path"] = "a/../../b.json"; }, "files[0].path"},
        Malformed{"EmptyPart", [](json& t) { t["files"][0]["path"] = "a//b.json"; }, "files[0].path"},
        Malformed{"Dot", [](json& t) { t["files"][0]["path"] = "./b.json"; }, "files[0].path"},
        Malformed{"EndsWithSlash", [](json& t) { t["files"][0]["path"] = "a.json/"; }, "files[0].path"},
        Malformed{"Backslash", [](json& t) { t["files"][0]["path"] = "a\\b.json"; }, "files[0].path"},
        Malformed{"Control", [](json& t) { t["files"][0]["path"] = "a\n.json"; }, "files[0].path"},
        Malformed{"Long", [](json& t) { t["files"][0]["path"] = std::string(300, 'a') + ".json"; }, "files[0].path"},
        Malformed{"Pickle", [](json& t) { t["files"][0]["path"] = "a.bin"; }, "files[0].path"},
        Malformed{"PickleInCapitals", [](json& t) { t["files"][0]["path"] = "A.PT"; }, "files[0].path"},
        Malformed{"Numpy", [](json& t) { t["files"][0]["path"] = "a.npy"; }, "files[0].path"},
        Malformed{"UnknownType", [](json& t) { t["files"][0]["path"] = "a.exe"; }, "files[0].path"},
        Malformed{"Python", [](json& t) { t["files"][0]["path"] = "modeling_x.py"; }, "files[0].path"},
        Malformed{"Twice", [](json& t) { t["files"][1]["path"] = "config.json"; }, "files[1].path"},
        Malformed{"Unsorted", [](json& t) { t["files"][1]["path"] = "a.json"; }, "files[1].path"},
        Malformed{"FileAndFolder", [](json& t) { t["files"][1]["path"] = "config.json/x.json"; }, "files[1].path"},
        Malformed{"ShardPickle", [](json& t) { t["shards"][0]["path"] = "pytorch_model.bin"; }, "shards[0].path"},
        Malformed{"ShardUnknown", [](json& t) { t["shards"][0]["path"] = "model.onnx"; }, "shards[0].path"}),
    [](const auto& info) { return std::string(info.param.what); });

INSTANTIATE_TEST_SUITE_P(
    Tensors, MalformedManifest,
    ::testing::Values(
        Malformed{"HeaderTooSmall", [](json& t) { t["shards"][0]["header_size"] = 7; }, "shards[0].header_size"},
        Malformed{"HeaderPastTheFile", [](json& t) { t["shards"][0]["header_size"] = 77; }, "shards[0].header_size"},
        Malformed{"ShardTooLarge", [](json& t) { t["shards"][0]["size"] = uint64_t{1} << 60; }, "shards[0].size"},
        Malformed{"Overlap", [](json& t) { Tensor(t, 1)["offset"] = 3; }, "shards[0].tensors[1].offset"},
        Malformed{"Gap", [](json& t) { Tensor(t, 1)["offset"] = 5; }, "shards[0].tensors[1].offset"},
        Malformed{"PastTheEnd", [](json& t) { Tensor(t, 1)["size"] = 9; }, "shards[0].tensors[1].size"},
        Malformed{"OffsetWraps", [](json& t) { Tensor(t, 1)["size"] = ~uint64_t{0}; }, "shards[0].tensors[1].size"},
        Malformed{"BytesLeft", [](json& t) { t["shards"][0]["size"] = 80; }, "shards[0].size"},
        Malformed{"NameTwice", [](json& t) { Tensor(t, 1)["name"] = "a"; }, "shards[0].tensors[1].name"},
        Malformed{"NameEmpty", [](json& t) { Tensor(t, 1)["name"] = ""; }, "shards[0].tensors[1].name"},
        Malformed{"NameControl", [](json& t) { Tensor(t, 1)["name"] = "a\tb"; }, "shards[0].tensors[1].name"},
        Malformed{"NameLong", [](json& t) { Tensor(t, 1)["name"] = std::string(2000, 'n'); },
                  "shards[0].tensors[1].name"},
        Malformed{"DtypeUnknown", [](json& t) { Tensor(t, 0)["dtype"] = "F99"; }, "shards[0].tensors[0].dtype", true},
        Malformed{"ShapeDisagrees", [](json& t) { Tensor(t, 0)["shape"] = {3}; }, "shards[0].tensors[0].size", true},
        Malformed{"DimensionTooLarge", [](json& t) { Tensor(t, 0)["shape"] = {uint64_t{1} << 63}; },
                  "shards[0].tensors[0].shape", true},
        Malformed{"KindUnknown", [](json& t) { Tensor(t, 0)["kind"] = "x"; }, "shards[0].tensors[0].kind", true},
        Malformed{"PartUnknown", [](json& t) { Tensor(t, 0)["part"] = "x"; }, "shards[0].tensors[0].part", true},
        Malformed{"NoDtypeAfterImport",
                  [](json& t) {
                    Tensor(t, 0).erase("dtype");
                    Tensor(t, 0).erase("shape");
                  },
                  "shards[0].tensors[0].dtype", true},
        Malformed{"PackedBits", [](json& t) { Tensor(t, 1)["packed"]["bits"] = 9; }, "shards[0].tensors[1].packed",
                  true},
        Malformed{"PackedRowsOverflow", [](json& t) { Tensor(t, 1)["packed"]["rows"] = uint64_t{1} << 62; },
                  "shards[0].tensors[1].packed", true},
        Malformed{"PackedPast63Bits", [](json& t) { Tensor(t, 1)["packed"]["cols"] = uint64_t{1} << 63; },
                  "shards[0].tensors[1].packed.cols", true},
        Malformed{"PackedSize", [](json& t) { Tensor(t, 1)["packed"]["outliers"] = 60; }, "shards[0].tensors[1].size",
                  true},
        Malformed{"PackedUnknownField", [](json& t) { Tensor(t, 1)["packed"]["x"] = 1; },
                  "shards[0].tensors[1].packed.x", true},
        Malformed{"PackedInAModel",
                  [](json& t) {
                    t["kind"] = "model";
                    t.erase("recipe");
                  },
                  "shards[0].tensors[1].packed", true}),
    [](const auto& info) { return std::string(info.param.what); });

TEST(MalformedManifestText, IsRefusedAsAWhole) {
  for (const std::string text : {"", "{", "[]x", R"({"kind":"model","kind":"model"})", "\xff"}) {
    EXPECT_THAT(ParseManifest(text), FailsAt("manifest")) << text;
  }
  EXPECT_THAT(ParseManifest(std::string(2000, '[')), FailsAt("manifest"));
}

TEST(RelativePath, GoodOnesPass) {
  for (const char* const path : {"a", "config.json", "a/b.json", "..a", "a..b/.c", "é.json"}) {
    EXPECT_THAT(CheckRelativePath("f", path), IsOk()) << path;
  }
}

}  // namespace
}  // namespace gwq
