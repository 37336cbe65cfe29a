#include "core/models/config.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/base/status.h"
#include "core/io/file_system.h"
#include "tests/core/models/small_llama.h"
#include "tests/support/golden_model.h"

namespace gwq {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

json Llama() { return testing::SmallLlama(); }

json Qwen2() {
  json config = Llama();
  config["architectures"] = {"Qwen2ForCausalLM"};
  config["sliding_window"] = 1024;
  config["max_window_layers"] = 2;
  config["use_sliding_window"] = false;
  return config;
}

absl::StatusOr<ModelConfig> Parse(const json& config) { return ParseModelConfig(config.dump()); }

TEST(ModelConfig, ReadsLlama) {
  const auto config = Parse(Llama());
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->architecture, "LlamaForCausalLM");
  EXPECT_EQ(config->vocab_size, 1000);
  EXPECT_EQ(config->hidden_size, 64);
  EXPECT_EQ(config->intermediate_size, 160);
  EXPECT_EQ(config->blocks, 3);
  EXPECT_EQ(config->attention.heads, 4);
  EXPECT_EQ(config->attention.kv_heads, 2);
  EXPECT_EQ(config->attention.head_dim, 16);
  EXPECT_EQ(config->attention.scale, 0.25F);
  EXPECT_EQ(config->norm_epsilon, 1e-5F);
  EXPECT_EQ(config->gate, Gate::kSilu);
  EXPECT_FALSE(config->tied_head);
  EXPECT_FALSE(config->attention_bias || config->output_bias || config->mlp_bias);
  EXPECT_EQ(config->max_positions, 2048);
  EXPECT_EQ(config->rope.inverse_frequencies.size(), 8u);
  EXPECT_THAT(config->eos_token_ids, ElementsAre(2));
  EXPECT_EQ(config->bos_token_id, 1);
}

TEST(ModelConfig, TakesTransformersDefaultsForWhatIsMissingOrNull) {
  json text = Llama();
  for (const char* name : {"num_key_value_heads", "rms_norm_eps", "rope_theta", "rope_scaling", "hidden_act",
                           "tie_word_embeddings", "attention_bias", "mlp_bias", "bos_token_id"}) {
    text.erase(name);
  }
  text["eos_token_id"] = nullptr;
  text["head_dim"] = nullptr;
  const auto config = Parse(text);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->attention.kv_heads, 4);
  EXPECT_EQ(config->attention.head_dim, 16);
  EXPECT_EQ(config->norm_epsilon, 1e-6F);
  EXPECT_EQ(config->bos_token_id, -1);
  EXPECT_TRUE(config->eos_token_ids.empty());
}

TEST(ModelConfig, ReadsBiasesTiedHeadAndExplicitHeadDimension) {
  json text = Llama();
  text["attention_bias"] = true;
  text["mlp_bias"] = true;
  text["tie_word_embeddings"] = true;
  text["head_dim"] = 24;
  text["eos_token_id"] = {2, 7};
  const auto config = Parse(text);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_TRUE(config->attention_bias && config->output_bias && config->mlp_bias && config->tied_head);
  EXPECT_EQ(config->attention.head_dim, 24);
  EXPECT_THAT(config->eos_token_ids, ElementsAre(2, 7));
}

TEST(ModelConfig, Qwen2HasBiasesOnQueriesKeysAndValuesOnly) {
  const auto config = Parse(Qwen2());
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_TRUE(config->attention_bias);
  EXPECT_FALSE(config->output_bias || config->mlp_bias);
}

TEST(ModelConfig, AnActiveSlidingWindowIsUnimplementedByName) {
  json version4 = Qwen2();
  version4["use_sliding_window"] = true;
  json version5 = Qwen2();
  version5["layer_types"] = {"full_attention", "sliding_attention", "full_attention"};
  for (const json& text : {version4, version5}) {
    const absl::Status status = Parse(text).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented);
    EXPECT_THAT(std::string(MessageOf(status)), HasSubstr("sliding window"));
  }
  version4["max_window_layers"] = 3;  // no block reaches it
  EXPECT_TRUE(Parse(version4).ok());
}

TEST(ModelConfig, AnUnknownArchitectureIsRefusedWithTheKnownOnes) {
  json text = Llama();
  text["architectures"] = {"GPT2LMHeadModel"};
  const absl::Status status = Parse(text).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(MessageOf(status)), HasSubstr("'GPT2LMHeadModel'"));
  EXPECT_THAT(std::string(MessageOf(status)),
              HasSubstr("LlamaForCausalLM, LlavaForConditionalGeneration, Qwen2ForCausalLM"));
  EXPECT_EQ(FieldViolations(status).at(0).field, "config.architectures");
}

struct Bad {
  const char* name;   // of the test
  const char* patch;  // merged into Llama()
  const char* field;  // of the violation; or of the message where UNIMPLEMENTED
  absl::StatusCode code = absl::StatusCode::kInvalidArgument;
};

constexpr auto kUnimplemented = absl::StatusCode::kUnimplemented;
const Bad kBad[] = {
    {"NoArchitecture", R"({"architectures": []})", "config.architectures"},
    {"ArchitectureNoList", R"({"architectures": "LlamaForCausalLM"})", "config.architectures"},
    {"ArchitectureNoString", R"({"architectures": [3]})", "config.architectures"},
    {"VocabularyMissing", R"({"vocab_size": null})", "config.vocab_size"},
    {"VocabularyHuge", R"({"vocab_size": 5000000000})", "config.vocab_size"},
    {"HiddenZero", R"({"hidden_size": 0})", "config.hidden_size"},
    {"HiddenNegative", R"({"hidden_size": -64})", "config.hidden_size"},
    {"HiddenText", R"({"hidden_size": "64"})", "config.hidden_size"},
    {"HiddenFraction", R"({"hidden_size": 64.5})", "config.hidden_size"},
    {"HiddenUnsigned", R"({"hidden_size": 18446744073709551615})", "config.hidden_size"},
    {"IntermediateHuge", R"({"intermediate_size": 99999999})", "config.intermediate_size"},
    {"BlocksHuge", R"({"num_hidden_layers": 100000})", "config.num_hidden_layers"},
    {"HeadsDoNotDivide", R"({"num_attention_heads": 5, "num_key_value_heads": 5})", "config.num_attention_heads"},
    {"KvHeadsDoNotDivide", R"({"num_key_value_heads": 3})", "config.num_key_value_heads"},
    {"HeadDimOdd", R"({"head_dim": 15})", "config.head_dim"},
    {"HeadDimDerivedOdd", R"({"num_attention_heads": 64, "num_key_value_heads": 64})", "config.head_dim"},
    {"EpsilonNegative", R"({"rms_norm_eps": -1})", "config.rms_norm_eps"},
    {"PositionsMissing", R"({"max_position_embeddings": null})", "config.max_position_embeddings"},
    {"TiedText", R"({"tie_word_embeddings": "yes"})", "config.tie_word_embeddings"},
    {"EosNegative", R"({"eos_token_id": [2, -3]})", "config.eos_token_id"},
    {"EosOutsideTheVocabulary", R"({"eos_token_id": 1000})", "config.eos_token_id"},
    {"OneEosOutsideTheVocabulary", R"({"eos_token_id": [2, 1000000]})", "config.eos_token_id"},
    {"ThetaZero", R"({"rope_theta": 0})", "config.rope_theta"},
    {"ScalingNoObject", R"({"rope_scaling": 3})", "config.rope_scaling"},
    {"LinearWithoutFactor", R"({"rope_scaling": {"type": "linear"}})", "config.rope_scaling.factor"},
    {"Llama3Reversed", R"({"rope_scaling": {"rope_type": "llama3", "factor": 8, "low_freq_factor": 4,
       "high_freq_factor": 1}})",
     "config.rope_scaling.high_freq_factor"},
    {"Dynamic", R"({"rope_scaling": {"type": "dynamic", "factor": 2}})", "rope_scaling.rope_type", kUnimplemented},
    {"LongRope", R"({"rope_parameters": {"rope_type": "longrope"}})", "rope_parameters.rope_type", kUnimplemented},
    {"RopeByLayer", R"({"rope_parameters": {"full_attention": {"rope_type": "default"}}})", "layer type",
     kUnimplemented},
    {"PartialRotary", R"({"partial_rotary_factor": 0.5, "rope_parameters": {"rope_type": "default"}})",
     "partial_rotary_factor", kUnimplemented},
    {"PartialRotaryVersion4", R"({"partial_rotary_factor": 0.5})", "partial_rotary_factor", kUnimplemented},
    {"Activation", R"({"hidden_act": "tanh"})", "'tanh' is not supported", kUnimplemented},
    {"Quantized", R"({"quantization_config": {"bits": 4}})", "quantized already", kUnimplemented},
};

class BadConfig : public ::testing::TestWithParam<Bad> {};

TEST_P(BadConfig, IsRefusedNamingTheField) {
  json text = Llama();
  text.update(json::parse(GetParam().patch));
  const absl::Status status = Parse(text).status();
  EXPECT_EQ(status.code(), GetParam().code) << status;
  EXPECT_THAT(std::string(MessageOf(status)), HasSubstr(GetParam().field));
  if (status.code() == absl::StatusCode::kInvalidArgument) {
    ASSERT_EQ(FieldViolations(status).size(), 1u);
    EXPECT_EQ(FieldViolations(status)[0].field, GetParam().field);
  }
}

INSTANTIATE_TEST_SUITE_P(Table, BadConfig, ::testing::ValuesIn(kBad), [](const auto& bad) { return bad.param.name; });

TEST(ModelConfig, ATokenOutsideTheVocabularyIsNamedWithTheVocabularysSize) {
  json text = Llama();
  text["eos_token_id"] = {2, 1000000};
  EXPECT_EQ(
      MessageOf(Parse(text).status()),
      "config.eos_token_id: token 1000000 is outside the vocabulary of 1000 (vocab_size); name the token that ends "
      "an answer");
  text["eos_token_id"] = 999;
  EXPECT_TRUE(Parse(text).ok()) << "the last row of the embedding, which may be padding";
}

TEST(ModelConfig, RefusesWhatIsNoObject) {
  for (const char* text : {"", "[]", "3", "{\"a\":", "{\"a\": 1, \"a\": 2}", "\xff"}) {
    EXPECT_EQ(ParseModelConfig(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

// Every scaling in the forms of transformers 5, 4 and the older key "type", with transformers' frequencies.
TEST(ModelConfig, RotaryFrequenciesEqualTransformers) {
  const auto text = ReadSmallFile(LocalFileSystem(), testing::GoldenPath("models/rope.json"), 1 << 20);
  ASSERT_TRUE(text.ok()) << text.status();
  const json cases = json::parse(*text);
  ASSERT_EQ(cases.size(), 21u);
  for (const json& golden : cases) {
    SCOPED_TRACE(golden["name"].get<std::string>());
    const auto config = Parse(golden["config"]);
    ASSERT_TRUE(config.ok()) << config.status();
    EXPECT_FLOAT_EQ(config->rope.attention_factor, golden["attention_factor"].get<float>());
    const auto want = golden["inverse_frequencies"].get<std::vector<float>>();
    ASSERT_EQ(config->rope.inverse_frequencies.size(), want.size());
    // 4 units in the last place: pow differs between libraries, and yarn blends two frequencies.
    for (size_t i = 0; i < want.size(); ++i) EXPECT_FLOAT_EQ(config->rope.inverse_frequencies[i], want[i]) << i;
  }
}

}  // namespace
}  // namespace gwq
