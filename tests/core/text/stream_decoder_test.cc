// Every short sequence of ids, decoded in pieces and whole, by each kind of decoder.
#include "core/text/stream_decoder.h"

#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "core/io/json.h"
#include "tests/support/status_matchers.h"

namespace gwq {
namespace {

using nlohmann::json;
using testing::FailsAt;
using testing::IsOk;
using Ids = std::vector<int32_t>;

// A tokenizer of these tokens, the last of which is special, with this decoder.
std::unique_ptr<const Tokenizer> Make(const std::vector<std::string>& tokens, json decoder) {
  json vocabulary = json::object();
  for (size_t id = 0; id < tokens.size(); ++id) vocabulary[tokens[id]] = id;
  const json special = {{"id", tokens.size() - 1}, {"content", tokens.back()}, {"single_word", false},
                        {"lstrip", false},         {"rstrip", false},          {"normalized", false},
                        {"special", true}};
  const json tokenizer = {{"version", "1.0"},
                          {"added_tokens", json::array({special})},
                          {"decoder", std::move(decoder)},
                          {"model", {{"type", "BPE"}, {"vocab", vocabulary}, {"merges", json::array()}}}};
  auto loaded = Tokenizer::Load(tokenizer.dump());
  EXPECT_THAT(loaded, IsOk());
  return *std::move(loaded);
}

// Bytes of é (C3 A9) and of an emoji (F0 9F 98 80), in GPT-2's letters.
std::unique_ptr<const Tokenizer> ByteLevel() {
  return Make({"a", "Ġ", "Ã", "©", "ðŁ", "ĺĢ", "aÃ", "<e>"},
              {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", false}});
}

// SentencePiece: a blank in front of a text is dropped, bytes stand for themselves.
std::unique_ptr<const Tokenizer> ByteFallback() {
  const json blank = {{"type", "Replace"}, {"pattern", {{"String", "▁"}}}, {"content", " "}};
  const json strip = {{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}};
  return Make({"▁", "▁a", "b", "<0xC3>", "<0xA9>", "<0x0A>", "\uFFFD", "<e>"},
              {{"type", "Sequence"},
               {"decoders", json::array({blank, {{"type", "ByteFallback"}}, {{"type", "Fuse"}}, strip})}});
}

// WordPiece puts a blank before each word but the first, and none before punctuation.
std::unique_ptr<const Tokenizer> WordPiece() {
  return Make({"a", "##b", "é", ".", "n't", "##", "<e>"}, {{"type", "WordPiece"}, {"prefix", "##"}, {"cleanup", true}});
}

std::unique_ptr<const Tokenizer> Metaspace() {
  return Make({"▁a", "b", "▁", "▁▁", "é", "<e>"},
              {{"type", "Metaspace"}, {"replacement", "▁"}, {"prepend_scheme", "always"}, {"split", true}});
}

std::string InPieces(StreamDecoder& stream, const Ids& ids) {
  std::string all;
  const auto add = [&](const absl::StatusOr<std::string>& piece) {
    ASSERT_THAT(piece, IsOk());
    EXPECT_TRUE(IsValidUtf8(*piece)) << ::testing::PrintToString(ids);
    all += *piece;
  };
  for (const int32_t id : ids) add(stream.Push(id));
  add(stream.Flush());
  return all;
}

// Counts `ids` up like a number in base `base`; false after the last.
bool Next(Ids& ids, int32_t base) {
  for (int32_t& id : ids) {
    if (++id < base) return true;
    id = 0;
  }
  return false;
}

class StreamDecoderTest : public ::testing::TestWithParam<std::unique_ptr<const Tokenizer> (*)()> {
 protected:
  const std::unique_ptr<const Tokenizer> tokenizer_ = GetParam()();
};

TEST_P(StreamDecoderTest, ThePiecesOfEverySequenceJoinToItsText) {
  const int32_t ids_and_one = tokenizer_->vocab_size() + 1;  // one id more, which names no token
  for (size_t length = 0; length <= 4; ++length) {
    Ids ids(length, 0);
    do {
      for (const bool skip : {false, true}) {
        auto stream = StreamDecoder::Create(*tokenizer_, skip);
        ASSERT_THAT(stream, IsOk());
        ASSERT_EQ(InPieces(*stream, ids), tokenizer_->Decode(ids, skip).value())
            << ::testing::PrintToString(ids) << skip;
      }
    } while (Next(ids, ids_and_one));
  }
}

TEST_P(StreamDecoderTest, AnIdBelowZeroIsRefusedAndLeavesTheTextAsItIs) {
  auto stream = StreamDecoder::Create(*tokenizer_, false);
  ASSERT_THAT(stream->Push(0), IsOk());
  EXPECT_THAT(stream->Push(-1), FailsAt("id"));
  auto again = StreamDecoder::Create(*tokenizer_, false);
  ASSERT_THAT(again->Push(0), IsOk());
  EXPECT_EQ(InPieces(*stream, {1, 0}), InPieces(*again, {1, 0}));
}

TEST_P(StreamDecoderTest, OutlivesItsTokenizerAndMayMove) {
  auto own = GetParam()();
  auto stream = StreamDecoder::Create(*own, false);
  own.reset();
  std::string text = stream->Push(0).value();
  StreamDecoder moved = *std::move(stream);
  auto other = StreamDecoder::Create(*tokenizer_, true);
  *other = std::move(moved);
  EXPECT_EQ(text + InPieces(*other, {1, 2}), tokenizer_->Decode(Ids{0, 1, 2}, false).value());
}

TEST_P(StreamDecoderTest, StreamsOfOneTokenizerRunSideBySide) {
  const Ids ids = {0, 1, 2, 3, 4, 2, 3, 0};
  const std::string whole = tokenizer_->Decode(ids, false).value();
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 50; ++round) {
        auto stream = StreamDecoder::Create(*tokenizer_, false);
        EXPECT_EQ(InPieces(*stream, ids), whole);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

INSTANTIATE_TEST_SUITE_P(Decoders, StreamDecoderTest, ::testing::Values(ByteLevel, ByteFallback, WordPiece, Metaspace));

}  // namespace
}  // namespace gwq
