#include "core/text/gguf_vocabulary.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/base/status.h"
#include "core/text/gguf_pre_tokenizer.h"
#include "core/text/model_text.h"
#include "core/text/tokenizer.h"
#include "core/text/tokenizer_config.h"

namespace gwq {
namespace {

using nlohmann::json;
using Files = std::map<std::string, std::string>;

constexpr char kFile[] = "tokenizer.json";

// llama.cpp's types of tokens.
constexpr int32_t kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5, kByte = 6;

// Texts that pre-tokenizers cut in different ways: contractions in both cases, digits, blanks, line ends, signs,
// letters of several scripts, marks and symbols.
constexpr const char* kProbes[] = {"Hello World",
                                   "it's I'LL we'Ve",
                                   "x2y3 1234567",
                                   "3.14 1,000",
                                   " \n\n \t x",
                                   "  two   blanks ",
                                   "a  b   c ",
                                   "a\r\n b\n",
                                   "CamelCase HTTPServer",
                                   "snake_case",
                                   "(a) \"v\" <tag>",
                                   "'s 't 'x",
                                   "!?! ...\n\n--",
                                   "a/b\n/c\\d/\n",
                                   "$5 + 7 = ^12^ ~|",
                                   "caf\u00e9",
                                   "\u4f60\u597d\uff0c\u4e16\u754c",
                                   "\u0645\u0631\u062d\u0628\u0627",
                                   "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35",
                                   "\u041f\u0440\u0438\u0432\u0435\u0442 \u01c5a",
                                   "\U0001F600\U0001F680 x",
                                   "\u00bd \u2167\u00b2"};

absl::Status NotDescribed(std::string_view what) {
  return InvalidField(kFile, fmt::format("{}, which no GGUF file describes; use another format of export", what));
}

absl::Status AddToken(const std::string& text, const json& id, int32_t type, GgufTokenizer& out) {
  const auto rows = static_cast<int64_t>(out.tokens.size());
  if (!id.is_number_integer() || id < 0 || id >= rows) {
    return InvalidField(kFile, fmt::format("token '{}' has the id {}, and the embedding table {} rows",
                                           text.substr(0, 64), id.dump().substr(0, 24), rows));
  }
  out.tokens[id.get<size_t>()] = text;
  out.token_types[id.get<size_t>()] = type;
  return absl::OkStatus();
}

bool IsByteToken(std::string_view token) {
  return token.size() == 6 && token.starts_with("<0x") && token.ends_with('>');
}

absl::Status ReadTokens(const json& tokenizer, bool bytes, GgufTokenizer& out) {
  for (const auto& [text, id] : tokenizer["model"]["vocab"].items()) {
    GWQ_RETURN_IF_ERROR(AddToken(text, id, bytes && IsByteToken(text) ? kByte : kNormal, out));
  }
  for (const json& added : tokenizer.value("added_tokens", json::array())) {
    const std::string text = added.value("content", "");
    const int32_t type = added.value("special", false) ? kControl : kUserDefined;
    GWQ_RETURN_IF_ERROR(AddToken(text, added.value("id", json()), type, out));
  }
  for (size_t id = 0; id < out.tokens.size(); ++id) {
    if (out.token_types[id] == kUnused) out.tokens[id] = fmt::format("[PAD{}]", id);
  }
  return absl::OkStatus();
}

// Either "left right" or [left, right].
absl::StatusOr<std::vector<std::pair<std::string, std::string>>> ReadMerges(const json& model) {
  std::vector<std::pair<std::string, std::string>> out;
  for (const json& merge : model.value("merges", json::array())) {
    if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
      out.emplace_back(merge[0].get<std::string>(), merge[1].get<std::string>());
      continue;
    }
    const std::string text = merge.is_string() ? merge.get<std::string>() : "";
    const size_t blank = text.find(' ', 1);
    if (blank == std::string::npos) return InvalidField(kFile, "has a merge that is not two tokens");
    out.emplace_back(text.substr(0, blank), text.substr(blank + 1));
  }
  return out;
}

// How many pieces each probe is cut into: a model that knows no word gives one token for each.
absl::StatusOr<std::vector<size_t>> CountPieces(const json& pre_tokenizer) {
  const json tokenizer = {{"version", "1.0"},
                          {"truncation", nullptr},
                          {"padding", nullptr},
                          {"added_tokens", json::array()},
                          {"normalizer", nullptr},
                          {"pre_tokenizer", pre_tokenizer},
                          {"post_processor", nullptr},
                          {"decoder", nullptr},
                          {"model", {{"type", "WordLevel"}, {"vocab", {{"[UNK]", 0}}}, {"unk_token", "[UNK]"}}}};
  GWQ_ASSIGN_OR_RETURN(const auto loaded, Tokenizer::Load(tokenizer.dump()));
  std::vector<size_t> counts;
  for (const char* probe : kProbes) {
    GWQ_ASSIGN_OR_RETURN(const std::vector<int32_t> pieces, loaded->Encode(probe, false));
    counts.push_back(pieces.size());
  }
  return counts;
}

// The name whose way to cut is the tokenizer's.
absl::StatusOr<std::string> FindPre(const json& tokenizer) {
  GWQ_ASSIGN_OR_RETURN(const std::vector<size_t> wanted, CountPieces(tokenizer.value("pre_tokenizer", json())));
  const bool ignore_merges = tokenizer["model"].value("ignore_merges", false);
  for (const std::string_view name : DistinctGgufPreTokenizers()) {
    GWQ_ASSIGN_OR_RETURN(const GgufPreTokenizer pre, FindGgufPreTokenizer(name));
    if (pre.ignore_merges != ignore_merges) continue;
    GWQ_ASSIGN_OR_RETURN(const std::vector<size_t> found, CountPieces(pre.pre_tokenizer));
    if (found == wanted) return std::string(name);
  }
  return NotDescribed("cuts text in a way that has no known name in llama.cpp");
}

absl::Status DescribeByteLevel(const json& tokenizer, GgufTokenizer& out) {
  out.model = "gpt2";
  GWQ_RETURN_IF_ERROR(ReadTokens(tokenizer, false, out));
  GWQ_ASSIGN_OR_RETURN(const auto merges, ReadMerges(tokenizer["model"]));
  for (const auto& [left, right] : merges) out.merges.push_back(fmt::format("{} {}", left, right));
  GWQ_ASSIGN_OR_RETURN(out.pre, FindPre(tokenizer));
  return absl::OkStatus();
}

// How a pre-tokenizer Metaspace puts a blank before a text: "always" (behind special tokens too), "first" or "never".
// None if the pre-tokenizer is another one.
std::optional<std::string> MetaspacePrefix(const json& tokenizer) {
  const json pre = tokenizer.value("pre_tokenizer", json());
  if (!pre.is_object() || pre.value("type", "") != "Metaspace") return std::nullopt;
  // Files of before 2024 have "add_prefix_space".
  return pre.value("prepend_scheme", pre.value("add_prefix_space", true) ? "always" : "never");
}

// A normalizer or a Metaspace puts the blank before the text.
bool AddsSpacePrefix(const json& tokenizer) {
  const std::optional<std::string> metaspace = MetaspacePrefix(tokenizer);
  if (metaspace && *metaspace != "never") return true;
  return tokenizer.value("normalizer", json()).dump().find("\"Prepend\"") != std::string::npos;
}

// What llama.cpp does otherwise with the description; empty: nothing that is known.
std::string DifferenceOf(const json& tokenizer) {
  const std::optional<std::string> metaspace = MetaspacePrefix(tokenizer);
  if (!metaspace || *metaspace == "never") return "";
  std::string out = "llama.cpp puts a blank before a text that begins with one; this model's tokenizer puts none there";
  if (*metaspace == "first") out += ", nor behind a special token inside a text, where llama.cpp puts one";
  return out;
}

// SentencePiece joins the pair whose result has the best score: a token that the merges make earlier gets a better one.
absl::Status DescribeSentencePiece(const json& tokenizer, GgufTokenizer& out) {
  out.model = "llama";
  out.pre = "default";
  GWQ_RETURN_IF_ERROR(ReadTokens(tokenizer, true, out));
  GWQ_ASSIGN_OR_RETURN(const auto merges, ReadMerges(tokenizer["model"]));
  std::unordered_map<std::string, float> scores;
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    scores.try_emplace(merges[rank].first + merges[rank].second, -static_cast<float>(rank));
  }
  const float lowest = -static_cast<float>(merges.size()) - 1;
  for (size_t id = 0; id < out.tokens.size(); ++id) {
    const auto score = scores.find(out.tokens[id]);
    const bool special = out.token_types[id] != kNormal;
    out.scores.push_back(special ? 0 : score == scores.end() ? lowest : score->second);
  }
  const json unknown = tokenizer["model"].value("unk_token", json());
  const auto place = unknown.is_string() ? std::ranges::find(out.tokens, unknown.get<std::string>()) : out.tokens.end();
  if (place != out.tokens.end()) out.token_types[static_cast<size_t>(place - out.tokens.begin())] = kUnknown;
  out.add_space_prefix = AddsSpacePrefix(tokenizer);
  return absl::OkStatus();
}

absl::Status CheckKind(const json& tokenizer) {
  const json model = tokenizer.value("model", json::object());
  if (!model.is_object() || model.value("type", "") != "BPE") return NotDescribed("is not a BPE");
  if (!model.contains("vocab") || !model["vocab"].is_object()) return InvalidField(kFile, "has no vocabulary");
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::vector<int32_t>>> ProbeIds(std::string_view tokenizer_json) {
  GWQ_ASSIGN_OR_RETURN(const auto tokenizer, Tokenizer::Load(tokenizer_json));
  std::vector<std::vector<int32_t>> out;
  for (const char* probe : kProbes) {
    GWQ_ASSIGN_OR_RETURN(out.emplace_back(), tokenizer->Encode(probe, false));
  }
  return out;
}

// What the description makes must give the probes the model's tokens; where a difference is told, those that do not
// begin with a blank.
absl::Status CheckWayBack(const Files& files, const DescribedTokenizer& described) {
  GWQ_ASSIGN_OR_RETURN(const auto made, BuildTokenizerFiles(described.tokenizer));
  GWQ_ASSIGN_OR_RETURN(const auto found, ProbeIds(made.at(kFile)));
  GWQ_ASSIGN_OR_RETURN(const auto wanted, ProbeIds(files.at(kFile)));
  for (size_t i = 0; i < std::size(kProbes); ++i) {
    if (!described.difference.empty() && kProbes[i][0] == ' ') continue;
    if (found[i] != wanted[i]) return NotDescribed("makes other tokens of probe texts than its description");
  }
  return absl::OkStatus();
}

absl::Status ReadIds(const Files& files, const ModelText& text, GgufTokenizer& out) {
  GWQ_ASSIGN_OR_RETURN(const TemplateTokens tokens, ReadSpecialTokens(files));
  const auto id = [&](const std::optional<std::string>& token) -> std::optional<int64_t> {
    return token ? text.tokenizer().TokenToId(*token) : std::nullopt;
  };
  out.bos_id = text.bos_id();
  out.eos_id = text.eos_id();
  out.unk_id = id(tokens.unk_token);
  out.pad_id = id(tokens.pad_token);
  for (const int32_t stop : text.stop_ids()) {
    if (stop != text.eos_id()) out.eot_id = stop;
  }
  out.add_bos = text.adds_bos();
  out.add_eos = false;
  return absl::OkStatus();
}

absl::StatusOr<DescribedTokenizer> Describe(const Files& files, int64_t vocab_size) {
  GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<const ModelText> text, ModelText::Load(files));
  GWQ_ASSIGN_OR_RETURN(const json tokenizer, ReadTextObject(files, kFile));
  GWQ_RETURN_IF_ERROR(CheckKind(tokenizer));
  DescribedTokenizer described;
  GgufTokenizer& out = described.tokenizer;
  out.tokens.resize(static_cast<size_t>(vocab_size));
  out.token_types.assign(out.tokens.size(), kUnused);
  GWQ_RETURN_IF_ERROR(ReadIds(files, *text, out));
  GWQ_ASSIGN_OR_RETURN(out.chat_template, ReadChatTemplate(files));
  const bool sentence_piece = tokenizer["model"].value("byte_fallback", false);
  GWQ_RETURN_IF_ERROR(sentence_piece ? DescribeSentencePiece(tokenizer, out) : DescribeByteLevel(tokenizer, out));
  described.difference = DifferenceOf(tokenizer);
  GWQ_RETURN_IF_ERROR(CheckWayBack(files, described));
  return described;
}

}  // namespace

absl::StatusOr<DescribedTokenizer> DescribeTokenizer(const Files& files, int64_t vocab_size) {
  try {
    return Describe(files, vocab_size);
  } catch (const json::exception& error) {
    // A field of another type than the format gives it.
    return InvalidField(kFile, error.what());
  }
}

}  // namespace gwq
