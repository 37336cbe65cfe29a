// config.json with sizes at their bounds, odd types and fields that contradict each other.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string_view>

#include "core/base/status.h"
#include "core/base/tensor_view.h"
#include "core/models/cache_shape.h"
#include "core/models/config.h"
#include "core/models/model.h"
#include "tests/core/models/small_llama.h"
#include "tests/support/status_matchers.h"

namespace gwq {
namespace {

using nlohmann::json;
using testing::FailsAt;
using testing::HasCode;
using ::testing::HasSubstr;
using testing::IsOk;

absl::StatusOr<ModelConfig> Parse(const json& patch, const char* architecture = "LlamaForCausalLM") {
  json config = testing::SmallLlama();
  config["architectures"] = {architecture};
  config.update(patch);
  return ParseModelConfig(config.dump());
}

struct Bound {
  const char* field;
  int64_t high;
};

// As many heads as there may be make heads of their own width, so `head_dim` is given.
const json kOneHead = {{"head_dim", 16}, {"num_key_value_heads", 1}};

TEST(ModelConfig, ASizeIsTakenAtItsBoundAndRefusedAboveIt) {
  const Bound bounds[] = {{"vocab_size", 1 << 22},         {"hidden_size", 1 << 17},
                          {"intermediate_size", 1 << 19},  {"num_hidden_layers", 1024},
                          {"num_attention_heads", 4096},   {"head_dim", 1024},
                          {"bos_token_id", (1 << 22) - 1}, {"max_position_embeddings", 1 << 30}};
  for (const auto& [field, high] : bounds) {
    json patch = kOneHead;
    patch[field] = high;
    EXPECT_THAT(Parse(patch), IsOk()) << field;
    patch[field] = high + 2;  // even, as head_dim must be
    const auto refused = Parse(patch);
    EXPECT_THAT(refused, FailsAt(std::string("config.") + field));
    EXPECT_THAT(std::string(MessageOf(refused.status())), HasSubstr(std::to_string(high)));
  }
}

TEST(ModelConfig, TheLargestModelOverflowsNoProduct) {
  const auto config = Parse({{"vocab_size", 1 << 22},
                             {"hidden_size", 1 << 17},
                             {"intermediate_size", 1 << 19},
                             {"num_hidden_layers", 1024},
                             {"num_attention_heads", 4096},
                             {"num_key_value_heads", 4096},
                             {"head_dim", 1024}});
  ASSERT_THAT(config, IsOk());
  EXPECT_EQ(CacheTokenBytes(*config, config->blocks), int64_t{2} * 1024 * 4096 * 1024 * 4);
  const auto model = CreateModel(*config);
  ASSERT_THAT(model, IsOk());
  double bytes = 0;
  for (const TensorSpec& spec : (*model)->tensors()) {
    const auto elements = ElementCount(spec.shape);
    ASSERT_THAT(elements, IsOk()) << spec.name;
    bytes += static_cast<double>(*elements) * 8;
  }
  EXPECT_LT(bytes, 0x1p62) << "the sum of all sizes is an int64";
}

struct Odd {
  const char* field;  // behind "config."
  json value;
  const char* architecture = "LlamaForCausalLM";
};

TEST(ModelConfig, AFieldOfAnotherTypeIsRefusedByName) {
  const Odd odd[] = {{"vocab_size", true},
                     {"vocab_size", {1000}},
                     {"hidden_size", 64.0},
                     {"num_attention_heads", "4"},
                     {"num_key_value_heads", 0},
                     {"num_key_value_heads", 8},
                     {"head_dim", 0},
                     {"head_dim", 1},
                     {"head_dim", json::object()},
                     {"max_position_embeddings", 0},
                     {"rms_norm_eps", "1e-5"},
                     {"rms_norm_eps", 1.5},
                     {"hidden_act", {"silu"}},
                     {"tie_word_embeddings", 1},
                     {"attention_bias", "no"},
                     {"mlp_bias", 0},
                     {"eos_token_id", "2"},
                     {"eos_token_id", {{2}}},
                     {"eos_token_id", {2.5}},
                     {"eos_token_id", true},
                     {"bos_token_id", {1}},
                     {"bos_token_id", -1},
                     {"layer_types", "full_attention", "Qwen2ForCausalLM"},
                     {"use_sliding_window", 1, "Qwen2ForCausalLM"}};
  for (const auto& [field, value, architecture] : odd) {
    EXPECT_THAT(Parse({{field, value}}, architecture), FailsAt(std::string("config.") + field)) << value;
  }
}

TEST(ModelConfig, ATextConfigThatIsNoObjectIsRefusedWhateverStandsBesideIt) {
  for (const json& value : {json(3), json("text"), json(false), json::array({json::object()})}) {
    EXPECT_THAT(Parse({{"text_config", value}}), FailsAt("config.text_config")) << value;
    EXPECT_THAT(Parse({{"text_config", value}, {"vocab_size", nullptr}}), FailsAt("config.text_config")) << value;
  }
  EXPECT_THAT(Parse({{"text_config", nullptr}}), IsOk());
}

TEST(ModelConfig, TwoArchitecturesAreRefusedWithTheirNumber) {
  json config = testing::SmallLlama();
  config["architectures"] = {"LlamaForCausalLM", "Qwen2ForCausalLM"};
  const auto refused = ParseModelConfig(config.dump());
  EXPECT_THAT(refused, FailsAt("config.architectures"));
  EXPECT_THAT(std::string(MessageOf(refused.status())), HasSubstr("has 2 entries"));
}

TEST(ModelConfig, ANumberThatNoDoubleHoldsIsRefused) {
  constexpr std::string_view kVocabulary = "\"vocab_size\":";
  for (const char* number : {"1e999", "-1e999", "123456789012345678901234567890"}) {
    std::string text = testing::SmallLlama().dump();
    text.replace(text.find(kVocabulary) + kVocabulary.size(), 4, number);
    EXPECT_THAT(ParseModelConfig(text), HasCode(absl::StatusCode::kInvalidArgument)) << number;
  }
}

// What the language model's part says goes before the whole, and an end outside the vocabulary is found in both.
TEST(ModelConfig, TheEndOfAnAnswerIsReadInsideAndOutside) {
  json inside = testing::SmallLlama();
  const auto parse = [&](const json& inner, const json& outer) {
    inside["eos_token_id"] = inner;
    return Parse({{"text_config", inside}, {"eos_token_id", outer}});
  };
  EXPECT_THAT(parse(7, 9)->eos_token_ids, ::testing::ElementsAre(7));
  EXPECT_THAT(parse(nullptr, 9)->eos_token_ids, ::testing::ElementsAre(9));
  EXPECT_THAT(parse(7, 1000), FailsAt("config.eos_token_id"));
  EXPECT_THAT(parse(1000, 9), FailsAt("config.text_config.eos_token_id"));
}

}  // namespace
}  // namespace gwq
