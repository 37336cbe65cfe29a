#include "core/text/gguf_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "core/text/gguf_metadata.h"
#include "core/text/model_text.h"
#include "core/text/stream_decoder.h"
#include "tests/core/text/goldens.h"

namespace gwq {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Ids = std::vector<int32_t>;

// Byte-level BPE over a, b, blank and digits; <s> and </s> are control tokens, [U] is the user's.
GgufTokenizer ByteLevel(const std::string& pre) {
  GgufTokenizer out;
  out.model = "gpt2";
  out.pre = pre;
  out.tokens = {"<s>", "</s>",     "a",  "b",   "\u0120", "1",      "2",
                "ab",  "\u0120ab", "12", "[U]", "\u00e2", "\u0124", "\u00ac"};
  out.token_types = {3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 4, 1, 1, 1};
  out.merges = {"a b", "\u0120 ab", "1 2"};
  out.bos_id = 0;
  out.eos_id = 1;
  return out;
}

// SentencePiece: scores, bytes for what is missing.
GgufTokenizer SentencePiece() {
  GgufTokenizer out;
  out.model = "llama";
  out.pre = "default";
  out.tokens = {"<unk>", "<s>", "</s>", "<0x0A>",  "<0xC3>", "<0xA9>", "\u2581",
                "a",     "b",   "c",    "\u2581a", "ab",     "bc",     "abc"};
  out.token_types = {2, 3, 3, 6, 6, 6, 1, 1, 1, 1, 1, 1, 1, 1};
  out.scores = {0, 0, 0, 0, 0, 0, -9, -10, -11, -12, -3, -2, -1, -4};
  out.bos_id = 1;
  out.eos_id = 2;
  out.unk_id = 0;
  return out;
}

std::unique_ptr<const ModelText> Build(const GgufTokenizer& metadata) {
  const auto files = BuildTokenizerFiles(metadata);
  EXPECT_TRUE(files.ok()) << files.status();
  auto text = ModelText::Load(*files);
  EXPECT_TRUE(text.ok()) << text.status();
  return *std::move(text);
}

Ids Encode(const ModelText& text, const std::string& input, bool add_special = false) {
  return text.tokenizer().Encode(input, add_special).value();
}

TEST(GgufTokenizer, MergesByteLevelTokensAndFindsSpecialOnes) {
  const auto text = Build(ByteLevel("gpt-2"));
  EXPECT_THAT(Encode(*text, "ab ab 12"), ElementsAre(7, 8, 4, 9));
  EXPECT_THAT(Encode(*text, "a<s>b[U]</s>"), ElementsAre(2, 0, 3, 10, 1));
  EXPECT_EQ(text->tokenizer().Decode(Ids{0, 8, 10, 1}, true).value(), " ab[U]") << "the user's tokens are not special";
  EXPECT_THAT(Encode(*text, "\u20ac"), ElementsAre(11, 12, 13)) << "the bytes E2 82 AC";
  EXPECT_EQ(text->tokenizer().Decode(Ids{11, 12, 13}, true).value(), "\u20ac");
}

TEST(GgufTokenizer, PreTokenizersCutDigitsAsTheirModelsDo) {
  EXPECT_THAT(Encode(*Build(ByteLevel("gpt-2")), "12"), ElementsAre(9));
  EXPECT_THAT(Encode(*Build(ByteLevel("smollm")), "12"), ElementsAre(5, 6));
  EXPECT_THAT(Encode(*Build(ByteLevel("qwen2")), "12"), ElementsAre(5, 6));
  EXPECT_THAT(Encode(*Build(ByteLevel("llama-bpe")), "12"), ElementsAre(9));
}

TEST(GgufTokenizer, AddsBosAndEosAsTheMetadataSaysOrThePreTokenizerImplies) {
  EXPECT_THAT(Encode(*Build(ByteLevel("gpt-2")), "a", true), ElementsAre(2));
  EXPECT_THAT(Encode(*Build(ByteLevel("llama-bpe")), "a", true), ElementsAre(0, 2));
  GgufTokenizer metadata = ByteLevel("llama-bpe");
  metadata.add_bos = false;
  metadata.add_eos = true;
  EXPECT_THAT(Encode(*Build(metadata), "a", true), ElementsAre(2, 1));
  EXPECT_TRUE(Build(ByteLevel("llama-bpe"))->adds_bos());
}

TEST(GgufTokenizer, SentencePieceMergesByScoreWithABlankInFront) {
  const auto text = Build(SentencePiece());
  // bc (-1) goes before ab (-2); then ▁a (-3) before abc (-4).
  EXPECT_THAT(Encode(*text, "abc", true), ElementsAre(1, 10, 12));
  EXPECT_THAT(Encode(*text, "a</s>a"), ElementsAre(10, 2, 10));
  EXPECT_THAT(Encode(*text, "\n\u00e9"), ElementsAre(6, 3, 4, 5));
  EXPECT_EQ(text->tokenizer().Decode(Ids{1, 10, 12, 4, 5, 6, 7}, true).value(), "abc\u00e9 a");
  GgufTokenizer metadata = SentencePiece();
  metadata.add_space_prefix = false;
  EXPECT_THAT(Encode(*Build(metadata), "abc", true), ElementsAre(1, 13)) << "without ▁a, a and bc make abc";
}

TEST(GgufTokenizer, StreamsRunsOfByteTokensAsDecodeDoes) {
  const auto text = Build(SentencePiece());
  const std::vector<Ids> runs = {{10, 4, 5, 12},    {4, 7},    {4, 5, 4, 7}, {10, 5}, {6, 6, 7},
                                 {1, 10, 1, 10, 4}, {3, 3, 10}};
  for (const Ids& ids : runs) {
    for (const bool skip : {false, true}) {
      auto stream = StreamDecoder::Create(text->tokenizer(), skip);
      std::string all;
      for (const int32_t id : ids) all += stream->Push(id).value();
      all += stream->Flush().value();
      EXPECT_EQ(all, text->tokenizer().Decode(ids, skip).value());
    }
  }
}

TEST(GgufTokenizer, WritesTheEndsOfTextAndTheTemplate) {
  GgufTokenizer metadata = ByteLevel("gpt-2");
  metadata.eot_id = 10;
  metadata.chat_template = "{{ bos_token }}{{ messages[0].content }}";
  const auto text = Build(metadata);
  EXPECT_THAT(text->stop_ids(), ElementsAre(1, 10));
  const std::vector<ChatMessage> messages = {{"user", "ab"}};
  EXPECT_THAT(text->EncodeChat(messages, {}).value(), ElementsAre(0, 7));
}

struct Fault {
  const char* field;
  std::function<void(GgufTokenizer&)> make;
};

TEST(GgufTokenizer, NamesTheKeyAtFault) {
  const std::vector<Fault> faults = {
      {"tokenizer.ggml.model", [](GgufTokenizer& m) { m.model = "bert"; }},
      {"tokenizer.ggml.model", [](GgufTokenizer& m) { m.model = ""; }},
      {"tokenizer.ggml.pre", [](GgufTokenizer& m) { m.pre = "nonsense"; }},
      {"tokenizer.ggml.tokens", [](GgufTokenizer& m) { m.tokens.clear(); }},
      {"tokenizer.ggml.tokens[3]", [](GgufTokenizer& m) { m.tokens[3] = "a"; }},
      {"tokenizer.ggml.tokens", [](GgufTokenizer& m) { m.tokens[3] = "\xff"; }},
      {"tokenizer.ggml.token_type", [](GgufTokenizer& m) { m.token_types.pop_back(); }},
      {"tokenizer.ggml.scores", [](GgufTokenizer& m) { m.model = "llama"; }},
      {"tokenizer.ggml.merges[1]", [](GgufTokenizer& m) { m.merges[1] = "ab"; }},
      {"tokenizer.ggml.merges[0]", [](GgufTokenizer& m) { m.merges[0] = "a "; }},
      {"tokenizer.ggml.merges[2]", [](GgufTokenizer& m) { m.merges[2] = ""; }},
      {"tokenizer.ggml.bos_token_id", [](GgufTokenizer& m) { m.bos_id = 14; }},
      {"tokenizer.ggml.eos_token_id", [](GgufTokenizer& m) { m.eos_id = -1; }},
      {"tokenizer.ggml.eot_token_id", [](GgufTokenizer& m) { m.eot_id = int64_t{1} << 40; }},
  };
  for (const Fault& fault : faults) {
    GgufTokenizer metadata = ByteLevel("gpt-2");
    fault.make(metadata);
    const auto files = BuildTokenizerFiles(metadata);
    EXPECT_TRUE(absl::IsInvalidArgument(files.status())) << fault.field;
    ASSERT_EQ(FieldViolations(files.status()).size(), 1u) << fault.field;
    EXPECT_EQ(FieldViolations(files.status())[0].field, fault.field);
  }
  GgufTokenizer metadata = ByteLevel("nonsense");
  EXPECT_THAT(std::string(BuildTokenizerFiles(metadata).status().message()), HasSubstr("known are default, gpt-2"));
}

TEST(GgufTokenizer, ReadsTheMetadataOfAHeader) {
  GgufHeader header;
  header.metadata["tokenizer.ggml.model"] = std::string("llama");
  header.metadata["tokenizer.ggml.tokens"] = GgufArray(std::vector<std::string>{"a", "b"});
  header.metadata["tokenizer.ggml.scores"] = GgufArray(std::vector<double>{0.5, -1});
  header.metadata["tokenizer.ggml.bos_token_id"] = int64_t{1};
  header.metadata["tokenizer.ggml.add_bos_token"] = true;
  const auto metadata = ReadGgufTokenizer(header);
  ASSERT_TRUE(metadata.ok()) << metadata.status();
  EXPECT_THAT(metadata->tokens, ElementsAre("a", "b"));
  EXPECT_THAT(metadata->scores, ElementsAre(0.5f, -1.0f));
  EXPECT_EQ(metadata->bos_id, 1);
  EXPECT_EQ(metadata->add_bos, true);
  EXPECT_EQ(metadata->eos_id, std::nullopt);
  header.metadata["tokenizer.ggml.tokens"] = GgufArray(std::vector<int64_t>{1});
  EXPECT_TRUE(absl::IsInvalidArgument(ReadGgufTokenizer(header).status()));
}

TEST(GgufTokenizer, WritesTheSameBytesEveryTime) {
  EXPECT_EQ(*BuildTokenizerFiles(SentencePiece()), *BuildTokenizerFiles(SentencePiece()));
}

}  // namespace
}  // namespace gwq
