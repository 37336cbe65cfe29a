// Uploads of Hugging Face directories: what becomes a model, and what is refused at which field.
#include "core/artifact/import.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>

#include "core/artifact/stored_model.h"
#include "core/base/status.h"
#include "core/io/fault_file_system.h"
#include "core/storage/local_blob_store.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"
#include "tests/support/tiny_upload.h"
#include "tests/support/upload_builder.h"

namespace gwq {
namespace {

using nlohmann::json;
using testing::FailsAt;
using testing::HasCode;
using testing::IsOk;
using testing::kTinyVocab;
using testing::TinyConfig;
using testing::TinyTensors;
using testing::TinyWeights;

// The parts of an upload before it is cut, for a test to bend, and the manifest after.
struct Parts {
  std::map<std::string, std::string> files;
  std::map<std::string, TinyTensors> shards;
  std::function<void(Manifest&)> bend;
};

Parts GoodParts(const std::string& architecture = "LlamaForCausalLM", DType dtype = DType::kBF16) {
  const json config = TinyConfig(architecture);
  return {{{"config.json", config.dump()}, {"tokenizer.json", testing::TinyTokenizer()}},
          {{"model.safetensors", TinyWeights(config, dtype)}},
          nullptr};
}

// Two shards and their index.
Parts ShardedParts() {
  Parts parts = GoodParts();
  TinyTensors all = std::exchange(parts.shards["model.safetensors"], {});
  parts.shards.clear();
  json map;
  for (auto& [name, tensor] : all) {
    const std::string shard =
        map.size() % 2 == 0 ? "model-00001-of-00002.safetensors" : "model-00002-of-00002.safetensors";
    map[name] = shard;
    parts.shards[shard][name] = std::move(tensor);
  }
  parts.files["model.safetensors.index.json"] = json{{"metadata", json::object()}, {"weight_map", map}}.dump();
  return parts;
}

class LogLines final : public Progress {
 public:
  void Step(std::string_view, int64_t, int64_t) override {}
  void Log(std::string_view line) override { text += std::string(line) + "\n"; }
  absl::Status Check() override { return absl::OkStatus(); }
  std::string text;
};

class Import : public ::testing::Test {
 protected:
  Import() : store_(OpenLocalBlobStore(files_, folder_ / "store", clock_).value()) {}

  absl::StatusOr<Digest> Run(const Parts& parts) {
    testing::UploadBuilder builder(*store_);
    for (const auto& [path, text] : parts.files) builder.File(path, text);
    for (const auto& [path, tensors] : parts.shards) builder.Safetensors(path, testing::SafetensorsFile(tensors));
    upload_ = builder.Build();
    if (parts.bend) parts.bend(upload_);
    return ImportModel(*store_, upload_, log_);
  }

  // After a refusal the collector frees everything, so that no file is left.
  void ExpectNothingLeft() {
    EXPECT_TRUE(LocalFileSystem().List(folder_ / "store/temporary")->empty());
    EXPECT_TRUE(LocalFileSystem().List(folder_ / "store/partial")->empty());
    EXPECT_THAT(store_->CollectGarbage({}, clock_.WallMillis() + 1), IsOk());
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_ / "store/blobs")) {
      EXPECT_FALSE(entry.is_regular_file()) << entry.path();
    }
  }

  testing::TempFolder folder_;
  FaultFileSystem files_{LocalFileSystem()};  // does not wait for the disk
  FakeClock clock_;
  const std::unique_ptr<BlobStore> store_;
  Manifest upload_;
  LogLines log_;
};

TEST_F(Import, FillsInTypesShapesAndRolesAndKeepsTheFiles) {
  for (const char* const architecture : {"LlamaForCausalLM", "Qwen2ForCausalLM"}) {
    const auto digest = Run(GoodParts(architecture));
    ASSERT_THAT(digest, IsOk());
    const auto model = StoredModel::Open(*store_, *digest);
    ASSERT_THAT(model, IsOk());
    const Manifest& manifest = (*model)->manifest();
    EXPECT_EQ(manifest.architecture, architecture);
    EXPECT_EQ(manifest.shards[0].header, upload_.shards[0].header);
    ASSERT_EQ(manifest.shards[0].tensors.size(), upload_.shards[0].tensors.size());
    for (size_t i = 0; i < manifest.shards[0].tensors.size(); ++i) {
      EXPECT_EQ(manifest.shards[0].tensors[i].digest, upload_.shards[0].tensors[i].digest);
      EXPECT_EQ(manifest.shards[0].tensors[i].offset, upload_.shards[0].tensors[i].offset);
    }
    const ManifestTensor* const norm = TensorIndex(manifest).Find("model.layers.1.input_layernorm.weight");
    EXPECT_EQ(norm->kind, "norm");
    EXPECT_EQ(norm->dtype, "BF16");
    EXPECT_EQ(TensorIndex(manifest).Find("model.layers.0.mlp.up_proj.weight")->shape, (Shape{64, 32}));
    EXPECT_THAT((*model)->Verify(NoProgress()), IsOk());
  }
}

TEST_F(Import, TheSameUploadGivesTheSameDigest) {
  const Digest first = Run(GoodParts()).value();
  clock_.Advance(12345);
  EXPECT_EQ(Run(GoodParts()).value(), first);
}

TEST_F(Import, TakesShardsWithTheirIndexAndEveryWeightType) {
  EXPECT_THAT(Run(ShardedParts()), IsOk());
  EXPECT_THAT(Run(GoodParts("LlamaForCausalLM", DType::kF16)), IsOk());
  EXPECT_THAT(Run(GoodParts("LlamaForCausalLM", DType::kF32)), IsOk());
}

TEST_F(Import, KeepsTensorsThatTheFamilyDoesNotUseAndSaysSo) {
  Parts parts = GoodParts();
  parts.shards["model.safetensors"]["rotary.inv_freq"] = {{2}, DType::kI64, std::string(16, 'x')};
  const auto digest = Run(parts);
  ASSERT_THAT(digest, IsOk());
  const auto model = StoredModel::Open(*store_, *digest).value();
  EXPECT_EQ(model->Find("rotary.inv_freq")->kind, "extra");
  EXPECT_THAT(log_.text, ::testing::HasSubstr("rotary.inv_freq"));
}

TEST_F(Import, AnEndOutsideTheVocabularyIsNamedWithTheVocabularysSize) {
  Parts parts = GoodParts();
  parts.files["generation_config.json"] = R"({"eos_token_id": [1, 1000000]})";
  EXPECT_EQ(MessageOf(Run(parts).status()),
            "generation_config.json: eos_token_id: token 1000000 is outside the vocabulary of 24 (vocab_size of "
            "config.json); name the token that ends an answer");
  parts.files["generation_config.json"] = R"({"eos_token_id": [1, 23]})";
  EXPECT_THAT(Run(parts), IsOk());
}

struct Refused {
  const char* what;
  std::function<void(Parts&)> bend;
  const char* field;
};

class RefusedImport : public Import, public ::testing::WithParamInterface<Refused> {};

TEST_P(RefusedImport, NamesTheFieldAndLeavesNothing) {
  Parts parts = GoodParts();
  GetParam().bend(parts);
  EXPECT_THAT(Run(parts), FailsAt(GetParam().field));
  ExpectNothingLeft();
}

void EditConfig(Parts& parts, const char* key, const json& value) {
  json config = json::parse(parts.files["config.json"]);
  config[key] = value;
  parts.files["config.json"] = config.dump();
}

// The tiny tokenizer and one token more.
std::string TokenizerWith(const char* token, int64_t id) {
  json tokenizer = json::parse(testing::TinyTokenizer());
  tokenizer["model"]["vocab"][token] = id;
  return tokenizer.dump();
}

TinyTensors& Weights(Parts& parts) { return parts.shards["model.safetensors"]; }

constexpr char kNorm[] = "model.norm.weight";

INSTANTIATE_TEST_SUITE_P(
    All, RefusedImport,
    ::testing::Values(
        Refused{"NoConfig", [](Parts& p) { p.files.erase("config.json"); }, "files"},
        Refused{"ConfigNoJson", [](Parts& p) { p.files["config.json"] = "{"; }, "config"},
        Refused{"UnknownArchitecture", [](Parts& p) { EditConfig(p, "architectures", {"MambaForCausalLM"}); },
                "config.architectures"},
        Refused{"HugeVocabulary", [](Parts& p) { EditConfig(p, "vocab_size", int64_t{1} << 40); }, "config.vocab_size"},
        Refused{"EosOutsideTheVocabulary", [](Parts& p) { EditConfig(p, "eos_token_id", {1, kTinyVocab}); },
                "config.eos_token_id"},
        Refused{"GenerationEosOutsideTheVocabulary",
                [](Parts& p) { p.files["generation_config.json"] = R"({"eos_token_id": [1, 1000000]})"; },
                "generation_config.json: eos_token_id"},
        Refused{"TokenizerEosOutsideTheVocabulary",
                [](Parts& p) {
                  p.files["tokenizer.json"] = TokenizerWith("<end>", kTinyVocab);
                  p.files["tokenizer_config.json"] = R"({"eos_token": "<end>"})";
                },
                "tokenizer_config.json: eos_token"},
        Refused{"NoTokenizer", [](Parts& p) { p.files.erase("tokenizer.json"); }, "files"},
        Refused{"BrokenTokenizer", [](Parts& p) { p.files["tokenizer.json"] = "{}"; }, "tokenizer.json"},
        Refused{"NoWeights", [](Parts& p) { p.shards.clear(); }, "shards"},
        Refused{"MissingTensor", [](Parts& p) { Weights(p).erase(kNorm); }, "tensors[model.norm.weight]"},
        Refused{"WrongShape", [](Parts& p) { Weights(p)[kNorm] = {{16}, DType::kBF16, std::string(32, 'x')}; },
                "tensors[model.norm.weight].shape"},
        Refused{"IntegerWeights", [](Parts& p) { Weights(p)[kNorm] = {{32}, DType::kI16, std::string(64, 'x')}; },
                "tensors[model.norm.weight].dtype"},
        Refused{"HeadIsMissing", [](Parts& p) { EditConfig(p, "tie_word_embeddings", false); },
                "tensors[lm_head.weight]"},
        Refused{"ShardsWithoutIndex",
                [](Parts& p) {
                  p = ShardedParts();
                  p.files.erase("model.safetensors.index.json");
                },
                "files"},
        Refused{"IndexNoJson",
                [](Parts& p) {
                  p = ShardedParts();
                  p.files["model.safetensors.index.json"] = "[";
                },
                "model.safetensors.index.json"},
        Refused{"IndexWithoutMap",
                [](Parts& p) {
                  p = ShardedParts();
                  p.files["model.safetensors.index.json"] = "{}";
                },
                "model.safetensors.index.json.weight_map"},
        Refused{"IndexNamesTheWrongShard",
                [](Parts& p) {
                  p = ShardedParts();
                  json index = json::parse(p.files["model.safetensors.index.json"]);
                  index["weight_map"][kNorm] = "model-00009-of-00002.safetensors";
                  p.files["model.safetensors.index.json"] = index.dump();
                },
                "model.safetensors.index.json.weight_map[model.norm.weight]"},
        Refused{"IndexForgetsATensor",
                [](Parts& p) {
                  p = ShardedParts();
                  json index = json::parse(p.files["model.safetensors.index.json"]);
                  index["weight_map"].erase(kNorm);
                  p.files["model.safetensors.index.json"] = index.dump();
                },
                "model.safetensors.index.json.weight_map"},
        Refused{"DeclaredNameDiffers",
                [](Parts& p) { p.bend = [](Manifest& m) { m.shards[0].tensors[3].name = "other"; }; },
                "shards[0].tensors[3].name"},
        Refused{"DeclaredPlaceDiffers",
                [](Parts& p) {
                  p.bend = [](Manifest& m) { std::swap(m.shards[0].tensors[0].name, m.shards[0].tensors[1].name); };
                },
                "shards[0].tensors[0].offset"},
        Refused{"BlobMissing",
                [](Parts& p) { p.bend = [](Manifest& m) { m.shards[0].tensors[2].digest = Sha256Of("never sent"); }; },
                "shards[0].tensors[2]"},
        Refused{"HeaderBlobMissing",
                [](Parts& p) { p.bend = [](Manifest& m) { m.shards[0].header = Sha256Of("never sent"); }; },
                "shards[0].header"},
        Refused{"FileSizeDiffers", [](Parts& p) { p.bend = [](Manifest& m) { m.files[0].size += 1; }; }, "files[0]"},
        Refused{"HeaderIsAnotherBlob",
                [](Parts& p) {
                  p.bend = [](Manifest& m) {
                    ManifestShard& shard = m.shards[0];
                    const ManifestFile& file = m.files[1];  // tokenizer.json in the header's place
                    shard.size = shard.size - shard.header_size + file.size;
                    shard.header = file.digest;
                    shard.header_size = file.size;
                  };
                },
                "shards[0].header_size"},
        Refused{"PickleBeside", [](Parts& p) { p.files["pytorch_model.bin"] = "x"; }, "files[1].path"},
        Refused{"AnArtifact", [](Parts& p) { p.bend = [](Manifest& m) { m.kind = "artifact"; }; }, "architecture"}),
    [](const auto& info) { return std::string(info.param.what); });

TEST_F(Import, UnknownArchitecturesAreToldTheKnownOnes) {
  Parts parts = GoodParts();
  EditConfig(parts, "architectures", {"MambaForCausalLM"});
  const auto digest = Run(parts);
  for (const std::string& known : KnownArchitectures()) {
    EXPECT_THAT(std::string(MessageOf(digest.status())), ::testing::HasSubstr(known));
  }
}

}  // namespace
}  // namespace gwq
