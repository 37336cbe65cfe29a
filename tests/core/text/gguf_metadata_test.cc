// Each key of a header under tokenizer.*, and each pre-tokenizer that a header may name.
#include "core/text/gguf_metadata.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>
#include <string>
#include <vector>

#include "core/text/gguf_pre_tokenizer.h"
#include "core/text/gguf_tokenizer.h"
#include "core/text/tokenizer.h"
#include "tests/support/status_matchers.h"

namespace gwq {
namespace {

using testing::FailsAt;
using ::testing::Gt;
using ::testing::HasSubstr;
using testing::IsOk;
using ::testing::SizeIs;

TEST(GgufMetadata, EachKeyOfAnotherTypeIsNamed) {
  for (const char* name :
       {"ggml.model", "ggml.pre", "chat_template", "ggml.tokens", "ggml.token_type", "ggml.scores", "ggml.merges",
        "ggml.bos_token_id", "ggml.eos_token_id", "ggml.eot_token_id", "ggml.unknown_token_id", "ggml.padding_token_id",
        "ggml.add_bos_token", "ggml.add_eos_token", "ggml.add_space_prefix"}) {
    GgufHeader header;
    const std::string key = std::string("tokenizer.") + name;
    header.metadata[key] = double{1.5};  // no key is a number with a fraction
    EXPECT_THAT(ReadGgufTokenizer(header), FailsAt(key));
    header.metadata[key] = GgufArray(std::vector<bool>{true});
    EXPECT_THAT(ReadGgufTokenizer(header), FailsAt(key)) << "an array of truth values";
  }
}

TEST(GgufMetadata, AKeyThatIsAbsentLeavesItsMemberEmpty) {
  const auto metadata = ReadGgufTokenizer(GgufHeader());
  ASSERT_THAT(metadata, IsOk());
  EXPECT_TRUE(metadata->model.empty() && metadata->tokens.empty() && metadata->scores.empty());
  EXPECT_FALSE(metadata->pad_id.has_value() || metadata->add_space_prefix.has_value());
  EXPECT_THAT(BuildTokenizerFiles(*metadata), FailsAt("tokenizer.ggml.model"));
}

// GPT-2's letter for each byte.
std::vector<std::string> ByteLetters() {
  std::vector<std::string> letters;
  int shifted = 0;
  for (int byte = 0; byte < 256; ++byte) {
    const bool printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte != 0xad);
    const int code = printable ? byte : 0x100 + shifted++;
    letters.push_back(code < 0x80 ? std::string(1, static_cast<char>(code))
                                  : fmt::format("{}{}", static_cast<char>(0xc0 | (code >> 6)),
                                                static_cast<char>(0x80 | (code & 0x3f))));
  }
  return letters;
}

GgufTokenizer Bytes(std::string pre) {
  GgufTokenizer out;
  out.model = "gpt2";
  out.pre = std::move(pre);
  out.tokens = ByteLetters();
  return out;
}

std::vector<std::string> KnownPreTokenizers() {
  const absl::Status refused = FindGgufPreTokenizer("nonsense").status();
  std::string list(MessageOf(refused));
  list = list.substr(list.find("known are ") + 10);
  std::vector<std::string> names;
  std::istringstream words(list);
  for (std::string name; std::getline(words >> std::ws, name, ',');) names.push_back(name);
  return names;
}

TEST(GgufPreTokenizer, EachThatIsKnownCutsTextsWithoutLosingAByte) {
  const std::vector<std::string> names = KnownPreTokenizers();
  EXPECT_THAT(names, SizeIs(Gt(20)));
  std::string ascii;
  for (int byte = 0; byte < 0x80; ++byte) ascii += static_cast<char>(byte);
  for (const std::string& name : names) {
    const auto files = BuildTokenizerFiles(Bytes(name));
    ASSERT_THAT(files, IsOk()) << name;
    const auto tokenizer = Tokenizer::Load(files->at("tokenizer.json"));
    ASSERT_THAT(tokenizer, IsOk()) << name;
    for (const std::string& text :
         std::vector<std::string>{"", " ", ascii, "I'll, we'RE  ok\r\n\t x", "1234567 ٣٤ 4,5", "日本語 Größe ǅ ÉTÉ",
                                  "\U0001F600\u0301!", "a+b<=c^~|$", "   trailing   "}) {
      const auto ids = (*tokenizer)->Encode(text, false);
      ASSERT_THAT(ids, IsOk()) << name;
      EXPECT_EQ(ids->size(), text.size()) << name << ": without merges each byte is a token";
      EXPECT_EQ((*tokenizer)->Decode(*ids, false).value(), text) << name;
    }
  }
}

TEST(GgufPreTokenizer, TheEmptyNameIsTheDefaultAndAnotherIsQuotedInPart) {
  EXPECT_EQ(FindGgufPreTokenizer("")->pre_tokenizer, FindGgufPreTokenizer("default")->pre_tokenizer);
  const auto refused = FindGgufPreTokenizer(std::string(100'000, 'x'));
  EXPECT_THAT(refused, FailsAt("tokenizer.ggml.pre"));
  EXPECT_LT(MessageOf(refused.status()).size(), 1000U);
}

TEST(GgufTokenizerSizes, ATokenOfMegabytesIsRefusedBeforeItIsSplit) {
  GgufTokenizer metadata = Bytes("gpt-2");
  metadata.tokens.emplace_back(1024, 'a');
  EXPECT_THAT(BuildTokenizerFiles(metadata), IsOk());
  // As SentencePiece every cut of it is looked up: hours, without the limit.
  metadata.model = "llama";
  metadata.tokens.back() = std::string(16 << 20, 'a');
  metadata.scores.assign(metadata.tokens.size(), 0);
  const auto refused = BuildTokenizerFiles(metadata);
  EXPECT_THAT(refused, FailsAt("tokenizer.ggml.tokens[256]"));
  EXPECT_THAT(std::string(MessageOf(refused.status())), HasSubstr("16777216 bytes, the limit is 1024"));
}

TEST(GgufTokenizerSizes, EmptyTokensGetNamesThatNoOtherMayHave) {
  GgufTokenizer metadata = Bytes("gpt-2");
  metadata.tokens[3] = metadata.tokens[9] = "";
  const auto tokenizer = Tokenizer::Load(BuildTokenizerFiles(metadata)->at("tokenizer.json"));
  EXPECT_EQ((*tokenizer)->IdToToken(9), "[EMPTY_9]");
  EXPECT_EQ((*tokenizer)->vocab_size(), 256);
  metadata.tokens[20] = "[EMPTY_9]";
  EXPECT_THAT(BuildTokenizerFiles(metadata), FailsAt("tokenizer.ggml.tokens[20]"));
}

}  // namespace
}  // namespace gwq
