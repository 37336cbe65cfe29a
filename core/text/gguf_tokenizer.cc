#include "core/text/gguf_tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "core/base/status.h"
#include "core/text/gguf_pre_tokenizer.h"

namespace gwq {
namespace {

using nlohmann::json;

constexpr size_t kMaxTokens = size_t{1} << 21;
// Finding the merges of scores costs the square of a token's length; published tokens have at most a few hundred bytes.
constexpr size_t kMaxTokenBytes = 1024;
constexpr char kBlank[] = "\u2581";

enum TokenType : int32_t { kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4 };

// What the steps below share.
struct Vocabulary {
  const GgufTokenizer& metadata;
  std::vector<std::string> tokens;  // without empty ones
  std::unordered_map<std::string_view, int32_t> ids;

  int32_t Type(size_t id) const { return metadata.token_types.empty() ? kNormal : metadata.token_types[id]; }
};

absl::Status CheckId(std::string_view key, const std::optional<int64_t>& id, size_t count) {
  if (!id.has_value() || (*id >= 0 && static_cast<uint64_t>(*id) < count)) return absl::OkStatus();
  return InvalidField(key, fmt::format("is {}, but there are {} tokens", *id, count));
}

absl::Status CheckSizes(const GgufTokenizer& metadata) {
  const size_t count = metadata.tokens.size();
  if (count == 0) return InvalidField("tokenizer.ggml.tokens", "is missing or empty");
  if (count > kMaxTokens) {
    return InvalidField("tokenizer.ggml.tokens", fmt::format("has {} tokens, the limit is {}", count, kMaxTokens));
  }
  if (!metadata.token_types.empty() && metadata.token_types.size() != count) {
    return InvalidField("tokenizer.ggml.token_type",
                        fmt::format("has {} entries for {} tokens", metadata.token_types.size(), count));
  }
  if (metadata.model == "llama" && metadata.scores.size() != count) {
    return InvalidField("tokenizer.ggml.scores",
                        fmt::format("has {} entries for {} tokens", metadata.scores.size(), count));
  }
  GWQ_RETURN_IF_ERROR(CheckId("tokenizer.ggml.bos_token_id", metadata.bos_id, count));
  GWQ_RETURN_IF_ERROR(CheckId("tokenizer.ggml.eos_token_id", metadata.eos_id, count));
  GWQ_RETURN_IF_ERROR(CheckId("tokenizer.ggml.eot_token_id", metadata.eot_id, count));
  GWQ_RETURN_IF_ERROR(CheckId("tokenizer.ggml.unknown_token_id", metadata.unk_id, count));
  return CheckId("tokenizer.ggml.padding_token_id", metadata.pad_id, count);
}

absl::Status IndexTokens(Vocabulary& vocabulary) {
  vocabulary.tokens = vocabulary.metadata.tokens;
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    std::string& token = vocabulary.tokens[id];
    if (token.empty()) token = fmt::format("[EMPTY_{}]", id);
    if (token.size() > kMaxTokenBytes) {
      return InvalidField(
          fmt::format("tokenizer.ggml.tokens[{}]", id),
          fmt::format("has {} bytes, the limit is {}; convert the model anew", token.size(), kMaxTokenBytes));
    }
    const auto [place, added] = vocabulary.ids.emplace(token, static_cast<int32_t>(id));
    if (!added) {
      return InvalidField(fmt::format("tokenizer.ggml.tokens[{}]", id),
                          fmt::format("is the same as tokens[{}]; tokens must differ", place->second));
    }
  }
  return absl::OkStatus();
}

json AddedTokens(const Vocabulary& vocabulary) {
  json added = json::array();
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    const int32_t type = vocabulary.Type(id);
    if (type != kControl && type != kUnknown && type != kUserDefined) continue;
    added.push_back({{"id", id},
                     {"content", vocabulary.tokens[id]},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", type != kUserDefined}});
  }
  return added;
}

absl::StatusOr<json> ReadMerges(const Vocabulary& vocabulary) {
  json merges = json::array();
  const std::vector<std::string>& lines = vocabulary.metadata.merges;
  for (size_t i = 0; i < lines.size(); ++i) {
    const size_t blank = lines[i].find(' ', 1);
    if (blank == std::string::npos || blank + 1 == lines[i].size()) {
      return InvalidField(fmt::format("tokenizer.ggml.merges[{}]", i), "is not two tokens with a blank between them");
    }
    merges.push_back(json::array({lines[i].substr(0, blank), lines[i].substr(blank + 1)}));
  }
  return merges;
}

struct Merge {
  float score;
  int32_t token;
  size_t left_bytes;
};

// SentencePiece joins the pair whose result has the best score. As ranked merges: every way to cut a token into two
// tokens, in the order of the tokens' scores; of one token's, the longest left part first.
json MergesByScore(const Vocabulary& vocabulary) {
  std::vector<Merge> found;
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    const std::string_view token = vocabulary.tokens[id];
    if (vocabulary.Type(id) != kNormal) continue;
    for (size_t cut = 1; cut < token.size(); ++cut) {
      if ((static_cast<unsigned char>(token[cut]) & 0xC0) == 0x80) continue;
      if (!vocabulary.ids.contains(token.substr(0, cut)) || !vocabulary.ids.contains(token.substr(cut))) continue;
      found.push_back({vocabulary.metadata.scores[id], static_cast<int32_t>(id), cut});
    }
  }
  std::stable_sort(found.begin(), found.end(), [](const Merge& a, const Merge& b) {
    if (a.score != b.score) return a.score > b.score;
    return a.token != b.token ? a.token < b.token : a.left_bytes > b.left_bytes;
  });
  json merges = json::array();
  for (const Merge& merge : found) {
    const std::string& token = vocabulary.tokens[merge.token];
    merges.push_back(json::array({token.substr(0, merge.left_bytes), token.substr(merge.left_bytes)}));
  }
  return merges;
}

json Model(const Vocabulary& vocabulary, json merges) {
  json ids = json::object();
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) ids[vocabulary.tokens[id]] = id;
  return {{"type", "BPE"},
          {"dropout", nullptr},
          {"unk_token", nullptr},
          {"continuing_subword_prefix", nullptr},
          {"end_of_word_suffix", nullptr},
          {"fuse_unk", false},
          {"byte_fallback", false},
          {"ignore_merges", false},
          {"vocab", std::move(ids)},
          {"merges", std::move(merges)}};
}

// Puts a BOS before and an EOS behind the text where the model wants them; null if it wants neither.
json PostProcessor(const Vocabulary& vocabulary, bool add_bos, bool add_eos) {
  const GgufTokenizer& metadata = vocabulary.metadata;
  json single = json::array();
  json special = json::object();
  const auto add = [&](int64_t id) {
    const std::string& token = vocabulary.tokens[static_cast<size_t>(id)];
    single.push_back({{"SpecialToken", {{"id", token}, {"type_id", 0}}}});
    special[token] = {{"id", token}, {"ids", json::array({id})}, {"tokens", json::array({token})}};
  };
  if (add_bos && metadata.bos_id.has_value()) add(*metadata.bos_id);
  single.push_back({{"Sequence", {{"id", "A"}, {"type_id", 0}}}});
  if (add_eos && metadata.eos_id.has_value()) add(*metadata.eos_id);
  if (special.empty()) return nullptr;
  json pair = single;
  pair.push_back({{"Sequence", {{"id", "B"}, {"type_id", 1}}}});
  return {{"type", "TemplateProcessing"}, {"single", single}, {"pair", pair}, {"special_tokens", special}};
}

json Frame(const Vocabulary& vocabulary) {
  return {{"version", "1.0"},      {"truncation", nullptr},
          {"padding", nullptr},    {"added_tokens", AddedTokens(vocabulary)},
          {"normalizer", nullptr}, {"pre_tokenizer", nullptr}};
}

absl::StatusOr<json> ByteLevelTokenizer(const Vocabulary& vocabulary) {
  const GgufTokenizer& metadata = vocabulary.metadata;
  GWQ_ASSIGN_OR_RETURN(GgufPreTokenizer pre, FindGgufPreTokenizer(metadata.pre));
  GWQ_ASSIGN_OR_RETURN(json merges, ReadMerges(vocabulary));
  json out = Frame(vocabulary);
  out["pre_tokenizer"] = std::move(pre.pre_tokenizer);
  out["post_processor"] =
      PostProcessor(vocabulary, metadata.add_bos.value_or(pre.add_bos), metadata.add_eos.value_or(false));
  out["decoder"] = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", false}};
  out["model"] = Model(vocabulary, std::move(merges));
  out["model"]["ignore_merges"] = pre.ignore_merges;
  return out;
}

json Replace(std::string_view from, std::string_view to) {
  return {{"type", "Replace"}, {"pattern", {{"String", from}}}, {"content", to}};
}

json SentencePieceTokenizer(const Vocabulary& vocabulary) {
  const GgufTokenizer& metadata = vocabulary.metadata;
  const bool prefix = metadata.add_space_prefix.value_or(true);
  json normalizers = json::array();
  if (prefix) normalizers.push_back({{"type", "Prepend"}, {"prepend", kBlank}});
  normalizers.push_back(Replace(" ", kBlank));
  json decoders = json::array({Replace(kBlank, " "), {{"type", "ByteFallback"}}, {{"type", "Fuse"}}});
  if (prefix) decoders.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  json out = Frame(vocabulary);
  out["normalizer"] = {{"type", "Sequence"}, {"normalizers", std::move(normalizers)}};
  out["post_processor"] = PostProcessor(vocabulary, metadata.add_bos.value_or(true), metadata.add_eos.value_or(false));
  out["decoder"] = {{"type", "Sequence"}, {"decoders", std::move(decoders)}};
  out["model"] = Model(vocabulary, MergesByScore(vocabulary));
  out["model"]["byte_fallback"] = vocabulary.ids.contains("<0x0A>");
  out["model"]["fuse_unk"] = true;
  if (metadata.unk_id.has_value()) out["model"]["unk_token"] = vocabulary.tokens[static_cast<size_t>(*metadata.unk_id)];
  return out;
}

json TokenizerConfig(const Vocabulary& vocabulary) {
  const GgufTokenizer& metadata = vocabulary.metadata;
  json config = {{"tokenizer_class", "PreTrainedTokenizerFast"}, {"clean_up_tokenization_spaces", false}};
  const auto name = [&](const char* key, const std::optional<int64_t>& id) {
    if (id.has_value()) config[key] = vocabulary.tokens[static_cast<size_t>(*id)];
  };
  name("bos_token", metadata.bos_id);
  name("eos_token", metadata.eos_id);
  name("unk_token", metadata.unk_id);
  name("pad_token", metadata.pad_id);
  if (!metadata.chat_template.empty()) config["chat_template"] = metadata.chat_template;
  return config;
}

json GenerationConfig(const GgufTokenizer& metadata) {
  json config = json::object();
  if (metadata.bos_id.has_value()) config["bos_token_id"] = *metadata.bos_id;
  if (metadata.pad_id.has_value()) config["pad_token_id"] = *metadata.pad_id;
  json ends = json::array();
  if (metadata.eos_id.has_value()) ends.push_back(*metadata.eos_id);
  if (metadata.eot_id.has_value() && metadata.eot_id != metadata.eos_id) ends.push_back(*metadata.eot_id);
  if (!ends.empty()) config["eos_token_id"] = ends.size() == 1 ? ends[0] : ends;
  return config;
}

}  // namespace

absl::StatusOr<std::map<std::string, std::string>> BuildTokenizerFiles(const GgufTokenizer& metadata) {
  if (metadata.model != "gpt2" && metadata.model != "llama") {
    return InvalidField("tokenizer.ggml.model",
                        fmt::format("is '{}'; known are gpt2, llama", metadata.model.substr(0, 64)));
  }
  GWQ_RETURN_IF_ERROR(CheckSizes(metadata));
  Vocabulary vocabulary{metadata, {}, {}};
  GWQ_RETURN_IF_ERROR(IndexTokens(vocabulary));
  json tokenizer;
  if (metadata.model == "gpt2") {
    GWQ_ASSIGN_OR_RETURN(tokenizer, ByteLevelTokenizer(vocabulary));
  } else {
    tokenizer = SentencePieceTokenizer(vocabulary);
  }
  try {
    return std::map<std::string, std::string>{{"tokenizer.json", tokenizer.dump()},
                                              {"tokenizer_config.json", TokenizerConfig(vocabulary).dump(2)},
                                              {"generation_config.json", GenerationConfig(metadata).dump(2)}};
  } catch (const json::exception&) {
    // The only thing dump refuses.
    return InvalidField("tokenizer.ggml.tokens",
                        "tokens, merges or the chat template hold text that is not valid UTF-8");
  }
}

}  // namespace gwq
