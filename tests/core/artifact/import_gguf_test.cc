// GGUF files made here: names, row order, types and configuration of what they become, and refusals by field.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <nlohmann/json.hpp>

#include "core/artifact/gguf_layout.h"
#include "core/artifact/import.h"
#include "core/artifact/stored_model.h"
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
using testing::GgufBuilder;
using testing::IsOk;

// The weights of a Llama in GGUF's names and row order, from Hugging Face's.
struct GgufParts {
  std::string architecture = "llama";
  std::map<std::string, testing::TinyTensor> tensors;  // by GGUF name
  std::function<void(GgufBuilder&)> metadata = [](GgufBuilder& b) { testing::AddTinyMetadata(b); };
  std::function<void(GgufBuilder&)> tokenizer = testing::AddTinyTokenizer;
};

// What convert_hf_to_gguf.py does: in each head, rows (i, i + half) become neighbours.
std::string Permuted(const testing::TinyTensor& tensor, int64_t heads) {
  const auto rows = static_cast<size_t>(tensor.shape[0]);
  const size_t width = tensor.bytes.size() / rows;
  const size_t head_dim = rows / static_cast<size_t>(heads);
  std::string out;
  for (size_t head = 0; head < static_cast<size_t>(heads); ++head) {
    for (size_t i = 0; i < head_dim / 2; ++i) {
      for (const size_t row : {i, i + head_dim / 2}) {
        out += tensor.bytes.substr((head * head_dim + row) * width, width);
      }
    }
  }
  return out;
}

GgufParts FromHuggingFace(const testing::TinyTensors& weights) {
  GgufParts parts;
  for (const auto& [name, tensor] : weights) {
    testing::TinyTensor stored = tensor;
    if (name.find("q_proj") != std::string::npos) stored.bytes = Permuted(tensor, 4);
    if (name.find("k_proj") != std::string::npos) stored.bytes = Permuted(tensor, 2);
    parts.tensors[GgufTensorName(name)] = std::move(stored);
  }
  return parts;
}

std::string Build(const GgufParts& parts) {
  GgufBuilder builder;
  parts.metadata(builder);
  parts.tokenizer(builder);
  for (const auto& [name, tensor] : parts.tensors) {
    const GgmlType type = tensor.dtype == DType::kF32   ? GgmlType::kF32
                          : tensor.dtype == DType::kF16 ? GgmlType::kF16
                                                        : GgmlType::kBF16;
    builder.Tensor(name, tensor.shape, type, tensor.bytes);
  }
  return builder.Build();
}

class ImportGguf : public ::testing::Test {
 protected:
  ImportGguf() : store_(OpenLocalBlobStore(files_, folder_.path(), SystemClock()).value()) {}

  absl::StatusOr<Digest> Run(const GgufParts& parts, const std::function<void(Manifest&)>& bend = nullptr) {
    testing::UploadBuilder builder(*store_);
    builder.Gguf("model.gguf", Build(parts));
    Manifest upload = builder.Build();
    if (bend) bend(upload);
    return ImportModel(*store_, upload, NoProgress());
  }
  std::string Bytes(const StoredModel& model, const std::string& tensor) {
    return ReadBlob(*store_, model.Find(tensor)->digest, 1 << 20).value();
  }

  testing::TempFolder folder_;
  FaultFileSystem files_{LocalFileSystem()};  // does not wait for the disk
  const std::unique_ptr<BlobStore> store_;
};

TEST_F(ImportGguf, GivesBackTheHuggingFaceWeights) {
  json config = testing::TinyConfig();
  config["attention_bias"] = true;
  config["tie_word_embeddings"] = false;
  const testing::TinyTensors weights = testing::TinyWeights(config, DType::kF16);
  const auto digest = Run(FromHuggingFace(weights));
  ASSERT_THAT(digest, IsOk());
  const auto model = StoredModel::Open(*store_, *digest).value();
  EXPECT_EQ(model->manifest().shards[0].tensors.size(), weights.size());
  for (const auto& [name, tensor] : weights) EXPECT_EQ(Bytes(*model, name), tensor.bytes) << name;
  EXPECT_FALSE(model->model()->config().tied_head);
  EXPECT_TRUE(model->model()->config().attention_bias);
  EXPECT_EQ(model->model()->config().norm_epsilon, 1e-5F);
  EXPECT_THAT(model->Verify(NoProgress()), IsOk());
}

TEST_F(ImportGguf, LeavesQwen2sRowsInOrder) {
  const testing::TinyTensors weights = testing::TinyWeights(testing::TinyConfig("Qwen2ForCausalLM"), DType::kF16);
  GgufParts parts;
  parts.metadata = [](GgufBuilder& b) { testing::AddTinyMetadata(b, "qwen2"); };
  for (const auto& [name, tensor] : weights) parts.tensors[GgufTensorName(name)] = tensor;
  const auto digest = Run(parts);
  ASSERT_THAT(digest, IsOk());
  const auto model = StoredModel::Open(*store_, *digest).value();
  EXPECT_EQ(model->manifest().architecture, "Qwen2ForCausalLM");
  EXPECT_TRUE(model->model()->config().tied_head);
  for (const auto& [name, tensor] : weights) EXPECT_EQ(Bytes(*model, name), tensor.bytes) << name;
}

TEST_F(ImportGguf, TurnsLlama3sFactorsBackIntoTheScaling) {
  json config = testing::TinyConfig();
  config["rope_theta"] = 500000.0;
  const Rope plain = ParseModelConfig(config.dump())->rope;
  config["rope_scaling"] = {{"rope_type", "llama3"},
                            {"factor", 32.0},
                            {"low_freq_factor", 1.0},
                            {"high_freq_factor", 4.0},
                            {"original_max_position_embeddings", 8192}};
  const Rope scaled = ParseModelConfig(config.dump())->rope;
  // Wavelengths 6, 167, 4443 and 118141: two kept, one blended, one divided by 32.
  std::string factors;
  for (size_t i = 0; i < 4; ++i) {
    GgufBuilder::Put(factors, plain.inverse_frequencies[i] / scaled.inverse_frequencies[i]);
  }
  GgufParts parts = FromHuggingFace(testing::TinyWeights(testing::TinyConfig()));
  parts.metadata = [](GgufBuilder& b) { testing::AddTinyMetadata(b, "llama", 500000.0F); };
  parts.tensors["rope_freqs.weight"] = {{4}, DType::kF32, factors};
  const auto digest = Run(parts);
  ASSERT_THAT(digest, IsOk());
  const auto model = StoredModel::Open(*store_, *digest).value();
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_FLOAT_EQ(model->model()->config().rope.inverse_frequencies[i], scaled.inverse_frequencies[i]);
  }
}

TEST_F(ImportGguf, ReadsLinearScaling) {
  GgufParts parts = FromHuggingFace(testing::TinyWeights(testing::TinyConfig()));
  parts.metadata = [](GgufBuilder& b) {
    testing::AddTinyMetadata(b);
    b.Text("llama.rope.scaling.type", "linear");
    b.F32("llama.rope.scaling.factor", 4.0F);
  };
  const auto digest = Run(parts);
  ASSERT_THAT(digest, IsOk());
  const auto model = StoredModel::Open(*store_, *digest).value();
  EXPECT_FLOAT_EQ(model->model()->config().rope.inverse_frequencies[0], 0.25F);
}

// Random blocks; scales and minima are small enough for FP16.
std::string RandomBlocks(GgmlType type, int64_t elements, std::mt19937& random) {
  std::string bytes;
  for (int64_t block = 0; block < elements / GgmlBlockElements(type); ++block) {
    GgufBuilder::Put(bytes, FloatToHalf(static_cast<float>(random() % 1000) / 4096.0F));
    if (type == GgmlType::kQ4_1) GgufBuilder::Put(bytes, FloatToHalf(-static_cast<float>(random() % 1000) / 512.0F));
    while (bytes.size() % GgmlBlockBytes(type) != 0) bytes.push_back(static_cast<char>(random()));
  }
  return bytes;
}

TEST_F(ImportGguf, BlocksOfEveryTypeBecomeTheirValuesInFp16) {
  const testing::TinyTensors shapes = testing::TinyWeights(testing::TinyConfig());
  for (const GgmlType type : {GgmlType::kQ8_0, GgmlType::kQ4_0, GgmlType::kQ4_1}) {
    std::mt19937 random(5);
    GgufBuilder builder;
    testing::AddTinyMetadata(builder);
    testing::AddTinyTokenizer(builder);
    std::map<std::string, std::string> halves;
    for (const auto& [name, tensor] : shapes) {
      std::vector<float> values(tensor.bytes.size() / 4);
      const std::string blocks = RandomBlocks(type, std::ssize(values), random);
      builder.Tensor(GgufTensorName(name), tensor.shape, type, blocks);
      DequantizeGgml(type, std::as_bytes(std::span(blocks)), values);
      for (const float value : values) GgufBuilder::Put(halves[name], FloatToHalf(value));
    }
    testing::UploadBuilder upload(*store_);
    upload.Gguf("model.gguf", builder.Build());
    const auto digest = ImportModel(*store_, upload.Build(), NoProgress());
    ASSERT_THAT(digest, IsOk()) << GgmlTypeName(type);
    const auto model = StoredModel::Open(*store_, *digest).value();
    for (const auto& [name, tensor] : shapes) {
      std::string read = Bytes(*model, name);
      if (name.find("q_proj") != std::string::npos) read = Permuted({tensor.shape, DType::kF16, read}, 4);
      if (name.find("k_proj") != std::string::npos) read = Permuted({tensor.shape, DType::kF16, read}, 2);
      EXPECT_EQ(read, halves[name]) << GgmlTypeName(type) << " " << name;
    }
  }
}

TEST_F(ImportGguf, ConvertsTheSameFileToTheSameDigest) {
  const GgufParts parts = FromHuggingFace(testing::TinyWeights(testing::TinyConfig()));
  EXPECT_EQ(Run(parts).value(), Run(parts).value());
}

struct Refused {
  const char* what;
  std::function<void(GgufParts&)> bend;
  const char* field;
};

class RefusedGguf : public ImportGguf, public ::testing::WithParamInterface<Refused> {};

TEST_P(RefusedGguf, NamesTheField) {
  GgufParts parts = FromHuggingFace(testing::TinyWeights(testing::TinyConfig()));
  GetParam().bend(parts);
  EXPECT_THAT(Run(parts), FailsAt(GetParam().field));
  EXPECT_TRUE(LocalFileSystem().List(folder_ / "temporary")->empty());
}

// Metadata with one more key, or one key in another form.
std::function<void(GgufParts&)> With(const std::function<void(GgufBuilder&)>& more) {
  return [more](GgufParts& parts) {
    parts.metadata = [more](GgufBuilder& b) {
      testing::AddTinyMetadata(b);
      more(b);
    };
  };
}

std::string Float(float value) { return {reinterpret_cast<const char*>(&value), 4}; }

INSTANTIATE_TEST_SUITE_P(
    All, RefusedGguf,
    ::testing::Values(
        Refused{"NoArchitecture", [](GgufParts& p) { p.metadata = [](GgufBuilder&) {}; },
                "metadata[general.architecture]"},
        Refused{"UnknownArchitecture",
                [](GgufParts& p) { p.metadata = [](GgufBuilder& b) { testing::AddTinyMetadata(b, "mamba"); }; },
                "metadata[general.architecture]"},
        Refused{"ArchitectureNoText",
                [](GgufParts& p) { p.metadata = [](GgufBuilder& b) { b.U32("general.architecture", 1); }; },
                "metadata[general.architecture]"},
        Refused{"NoBlockCount",
                [](GgufParts& p) { p.metadata = [](GgufBuilder& b) { b.Text("general.architecture", "llama"); }; },
                "metadata[llama.block_count]"},
        Refused{"Experts", With([](GgufBuilder& b) { b.U32("llama.expert_count", 8); }),
                "metadata[llama.expert_count]"},
        Refused{"PartialRotary", With([](GgufBuilder& b) { b.U32("llama.rope.dimension_count", 4); }),
                "metadata[llama.rope.dimension_count]"},
        Refused{"ScalingUnknown", With([](GgufBuilder& b) { b.Text("llama.rope.scaling.type", "longrope"); }),
                "metadata[llama.rope.scaling.type]"},
        Refused{"ScalingWithoutFactor", With([](GgufBuilder& b) { b.Text("llama.rope.scaling.type", "linear"); }),
                "metadata[llama.rope.scaling.factor]"},
        Refused{"KeyLengthText", With([](GgufBuilder& b) { b.Text("llama.attention.key_length", "8"); }),
                "metadata[llama.attention.key_length]"},
        Refused{"NoEmbedding", [](GgufParts& p) { p.tensors.erase("token_embd.weight"); },
                "tensors[token_embd.weight]"},
        Refused{"MissingTensor", [](GgufParts& p) { p.tensors.erase("blk.1.ffn_up.weight"); },
                "tensors[blk.1.ffn_up.weight]"},
        Refused{"WrongShape",
                [](GgufParts& p) { p.tensors["blk.0.attn_norm.weight"] = {{8}, DType::kF32, std::string(32, '\0')}; },
                "tensors[blk.0.attn_norm.weight].shape"},
        Refused{"PastFp16", [](GgufParts& p) { p.tensors["output_norm.weight"].bytes.replace(8, 4, Float(70000.0F)); },
                "tensors[output_norm.weight]"},
        Refused{"NotFinite", [](GgufParts& p) { p.tensors["output_norm.weight"].bytes.replace(8, 4, Float(NAN)); },
                "tensors[output_norm.weight]"},
        Refused{"NoTokenizer", [](GgufParts& p) { p.tokenizer = [](GgufBuilder&) {}; }, "tokenizer.ggml.model"},
        Refused{"FactorsForOtherHeads",
                [](GgufParts& p) { p.tensors["rope_freqs.weight"] = {{2}, DType::kF32, Float(1) + Float(2)}; },
                "tensors[rope_freqs.weight].shape"},
        Refused{"FactorsOfAnotherScaling",
                [](GgufParts& p) {
                  p.tensors["rope_freqs.weight"] = {{4}, DType::kF32, Float(1) + Float(2) + Float(3) + Float(4)};
                },
                "tensors[rope_freqs.weight]"}),
    [](const auto& info) { return std::string(info.param.what); });

TEST_F(ImportGguf, RefusesCutsThatTheHeaderDoesNotDescribe) {
  const GgufParts parts = FromHuggingFace(testing::TinyWeights(testing::TinyConfig()));
  EXPECT_THAT(Run(parts, [](Manifest& m) { m.shards[0].tensors[1].name = "other"; }),
              FailsAt("shards[0].tensors[1].name"));
  EXPECT_THAT(Run(parts, [](Manifest& m) { m.shards[0].tensors.pop_back(); }), FailsAt("shards[0].tensors"));
  EXPECT_THAT(Run(parts, [](Manifest& m) { m.shards.push_back({"model2.gguf", 8, Sha256Of("x"), 8, {}}); }),
              FailsAt("shards"));
}

TEST(GgufNames, AreThoseOfTheConverter) {
  EXPECT_EQ(GgufTensorName("model.embed_tokens.weight"), "token_embd.weight");
  EXPECT_EQ(GgufTensorName("model.layers.12.self_attn.o_proj.bias"), "blk.12.attn_output.bias");
  EXPECT_EQ(GgufTensorName("model.layers.3.post_attention_layernorm.weight"), "blk.3.ffn_norm.weight");
  for (const char* const name : {"", "lm_head", "model.layers.3", "model.layers.3.weight", "x.weight"}) {
    EXPECT_EQ(GgufTensorName(name), "") << name;
  }
}

TEST(GgufRows, StoredRowUndoesThePairing) {
  // Two heads of 4: stored 0 2 1 3 | 4 6 5 7.
  const int64_t stored[] = {0, 2, 1, 3, 4, 6, 5, 7};
  for (int64_t row = 0; row < 8; ++row) {
    EXPECT_EQ(StoredRow(row, 8, 2), stored[row]);
    EXPECT_EQ(StoredRow(row, 8, 0), row);
  }
}

}  // namespace
}  // namespace gwq
