// Tokenizers described for GGUF: the description makes the tokenizer again, and what no description fits is refused.
#include "core/text/gguf_vocabulary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/text/gguf_pre_tokenizer.h"
#include "tests/core/text/goldens.h"
#include "tests/support/status_matchers.h"

namespace gwq {
namespace {

using ::testing::AllOf;
using testing::FailsAt;
using ::testing::HasSubstr;
using testing::IsOk;
using ::testing::Not;
using Files = std::map<std::string, std::string>;

// A token for each byte, in GPT-2's letters, and a few more.
GgufTokenizer ByteLevel(const std::string& pre) {
  GgufTokenizer out;
  out.model = "gpt2";
  out.pre = pre;
  const auto put = [&](uint32_t letter) {
    std::string text;
    if (letter < 0x80) {
      text = static_cast<char>(letter);
    } else {
      text = {static_cast<char>(0xC0 | letter >> 6), static_cast<char>(0x80 | (letter & 0x3F))};
    }
    out.tokens.push_back(text);
  };
  uint32_t other = 256;
  for (uint32_t byte = 0; byte < 256; ++byte) {
    const bool shown = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    put(shown ? byte : other++);
  }
  // Merges that a cut between their parts keeps from happening.
  for (const char* merge : {"1 2", "12 3", "l l", "e l", "' s", "o \u0120", "\u0120 \u0120", "\u010A \u010A", "' I"}) {
    out.merges.emplace_back(merge);
    std::string joined = merge;
    joined.erase(joined.find(' '), 1);
    out.tokens.push_back(joined);
  }
  out.tokens.insert(out.tokens.end(), {"<s>", "</s>", "[U]"});
  out.token_types.assign(out.tokens.size() - 3, 1);
  out.token_types.insert(out.token_types.end(), {3, 3, 4});
  out.bos_id = std::ssize(out.tokens) - 3;
  out.eos_id = std::ssize(out.tokens) - 2;
  out.pad_id = out.eos_id;
  out.add_bos = true;
  out.add_eos = false;
  out.chat_template = "{{ messages[0].content }}";
  return out;
}

GgufTokenizer SentencePiece() {
  GgufTokenizer out;
  out.model = "llama";
  out.pre = "default";
  out.tokens = {"<unk>", "<s>", "</s>", "<0x0A>", "\u2581", "a", "b", "c", "\u2581a", "ab", "bc", "abc"};
  out.token_types = {2, 3, 3, 6, 1, 1, 1, 1, 1, 1, 1, 1};
  out.scores = {0, 0, 0, 0, -9, -10, -11, -12, -3, -2, -1, -4};
  out.bos_id = 1;
  out.eos_id = 2;
  out.unk_id = 0;
  out.add_bos = true;
  out.add_eos = false;
  out.add_space_prefix = true;
  return out;
}

void ExpectSame(const GgufTokenizer& described, const GgufTokenizer& made) {
  EXPECT_EQ(described.model, made.model);
  EXPECT_EQ(described.tokens, made.tokens);
  EXPECT_EQ(described.token_types, made.token_types);
  EXPECT_EQ(described.merges, made.merges);
  EXPECT_EQ(described.bos_id, made.bos_id);
  EXPECT_EQ(described.eos_id, made.eos_id);
  EXPECT_EQ(described.unk_id, made.unk_id);
  EXPECT_EQ(described.pad_id, made.pad_id);
  EXPECT_EQ(described.add_bos, made.add_bos);
  EXPECT_EQ(described.add_space_prefix, made.add_space_prefix);
  EXPECT_EQ(described.chat_template, made.chat_template);
}

TEST(GgufVocabulary, AByteLevelTokenizerIsDescribedAsItWasMade) {
  for (const std::string_view pre : DistinctGgufPreTokenizers()) {
    const GgufTokenizer made = ByteLevel(std::string(pre));
    const Files files = BuildTokenizerFiles(made).value();
    const auto described = DescribeTokenizer(files, std::ssize(made.tokens));
    ASSERT_THAT(described, IsOk()) << pre;
    EXPECT_EQ(described->tokenizer.pre, pre);
    ExpectSame(described->tokenizer, made);
  }
}

TEST(GgufVocabulary, ScoresOfSentencePieceKeepTheOrderOfMerges) {
  const GgufTokenizer made = SentencePiece();
  const Files files = BuildTokenizerFiles(made).value();
  const auto described = DescribeTokenizer(files, std::ssize(made.tokens));
  ASSERT_THAT(described, IsOk());
  ExpectSame(described->tokenizer, made);
  const Files again = BuildTokenizerFiles(described->tokenizer).value();
  EXPECT_EQ(nlohmann::json::parse(again.at("tokenizer.json"))["model"],
            nlohmann::json::parse(files.at("tokenizer.json"))["model"]);
}

// As SmolLM2's own tokenizer.json writes it.
TEST(GgufVocabulary, AnotherWayToWriteTheSameCutsIsFound) {
  const GgufTokenizer made = ByteLevel("smollm");
  Files files = BuildTokenizerFiles(made).value();
  nlohmann::json tokenizer = nlohmann::json::parse(files.at("tokenizer.json"));
  tokenizer["pre_tokenizer"] = {
      {"type", "Sequence"},
      {"pretokenizers",
       {{{"type", "Digits"}, {"individual_digits", true}},
        {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}}}}};
  files["tokenizer.json"] = tokenizer.dump();
  const auto described = DescribeTokenizer(files, std::ssize(made.tokens));
  ASSERT_THAT(described, IsOk());
  EXPECT_EQ(described->tokenizer.pre, "smollm");
}

// As newer files of Llama 2 and Mistral have it, and older ones.
TEST(GgufVocabulary, AMetaspacePutsABlankBeforeATextAndTheDifferenceIsTold) {
  GgufTokenizer made = SentencePiece();
  made.tokens.emplace_back("\u2581\u2581");
  made.token_types.push_back(1);
  made.scores.push_back(-5);
  Files files = BuildTokenizerFiles(made).value();
  nlohmann::json tokenizer = nlohmann::json::parse(files.at("tokenizer.json"));
  tokenizer["normalizer"] = nullptr;
  const auto describe = [&](const nlohmann::json& settings) {
    tokenizer["pre_tokenizer"] = {{"type", "Metaspace"}, {"replacement", "\u2581"}};
    tokenizer["pre_tokenizer"].update(settings);
    files["tokenizer.json"] = tokenizer.dump();
    return DescribeTokenizer(files, std::ssize(made.tokens));
  };
  const auto first = describe({{"prepend_scheme", "first"}, {"split", false}});
  ASSERT_THAT(first, IsOk());
  ExpectSame(first->tokenizer, made);
  EXPECT_THAT(first->difference, HasSubstr("behind a special token"));
  const auto always = describe({{"prepend_scheme", "always"}, {"split", false}});
  ASSERT_THAT(always, IsOk());
  EXPECT_THAT(always->difference, AllOf(HasSubstr("begins with one"), Not(HasSubstr("special token"))));
  const auto never = describe({{"prepend_scheme", "never"}, {"split", false}});
  ASSERT_THAT(never, IsOk());
  EXPECT_FALSE(*never->tokenizer.add_space_prefix);
  EXPECT_EQ(never->difference, "");
  EXPECT_THAT(describe({{"prepend_scheme", "first"}, {"split", true}}).status(), FailsAt("tokenizer.json"))
      << "blanks are never joined";
}

TEST(GgufVocabulary, RowsWithoutATokenGetUnusedOnes) {
  const GgufTokenizer made = SentencePiece();
  const auto described = DescribeTokenizer(BuildTokenizerFiles(made).value(), std::ssize(made.tokens) + 2);
  ASSERT_THAT(described, IsOk());
  EXPECT_EQ(described->tokenizer.tokens.back(), "[PAD13]");
  EXPECT_EQ(described->tokenizer.token_types.back(), 5);
  EXPECT_EQ(described->tokenizer.scores.size(), described->tokenizer.tokens.size());
}

TEST(GgufVocabulary, MoreTokensThanRowsAreRefused) {
  const GgufTokenizer made = SentencePiece();
  const auto described = DescribeTokenizer(BuildTokenizerFiles(made).value(), std::ssize(made.tokens) - 1);
  EXPECT_THAT(described.status(), FailsAt("tokenizer.json"));
}

TEST(GgufVocabulary, AnUnknownWayToCutIsRefused) {
  const GgufTokenizer made = ByteLevel("smollm");
  Files files = BuildTokenizerFiles(made).value();
  nlohmann::json tokenizer = nlohmann::json::parse(files.at("tokenizer.json"));
  tokenizer["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = "l";  // each l alone
  files["tokenizer.json"] = tokenizer.dump();
  const absl::Status status = DescribeTokenizer(files, std::ssize(made.tokens)).status();
  EXPECT_THAT(status, FailsAt("tokenizer.json"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("no known name"));
}

TEST(GgufVocabulary, ATokenizerThatIsNoBpeIsRefused) {
  const Files files = {{"tokenizer.json",
                        R"({"version":"1.0","truncation":null,"padding":null,"added_tokens":[],"normalizer":null,
                            "pre_tokenizer":null,"post_processor":null,"decoder":null,
                            "model":{"type":"WordLevel","vocab":{"a":0},"unk_token":"a"}})"}};
  EXPECT_THAT(DescribeTokenizer(files, 1).status(), FailsAt("tokenizer.json"));
}

TEST(GgufVocabulary, SmolLm2IsDescribedAsItsGgufFileDescribesIt) {
  if (SmolLm2Files().empty()) GTEST_SKIP() << "the dependencies lack SmolLM2";
  const auto described = DescribeTokenizer(SmolLm2Files(), 49152);
  ASSERT_THAT(described, IsOk());
  EXPECT_EQ(described->tokenizer.pre, "smollm");
  EXPECT_EQ(described->tokenizer.merges.size(), 48900u);
}

}  // namespace
}  // namespace gwq
