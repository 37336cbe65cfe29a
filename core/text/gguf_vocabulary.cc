#include "core/text/gguf_vocabulary.h"

#include <fmt/format.h>

#include <algorithm>
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

// Text that pre-tokenizers cut in different ways: contractions in both cases, digits, blanks, line ends, signs, letters
// of several scripts, marks and symbols.
constexpr char kProbe[] =
    "Hello World, it's I'LL we'Ve 7 42 1234567 x2y3 3.14!\n\n \t  two   blanks\r\n  CamelCase HTTPServer snake_case "
    "caf\u00e9 na\u00efve \u4f60\u597d\uff0c\u4e16\u754c \u041f\u0440\u0438\u0432\u0435\u0442 "
    "\u0645\u0631\u062d\u0628\u0627 \u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35 \U0001F600\U0001F680 a/b\\c #!$%^&*() "
    "<tag attr=\"v\">'s 't -- ... ?!? \u00bd \u2167 e=mc\u00b2\n";

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

absl::StatusOr<std::vector<int32_t>> Probe(const json& tokenizer) {
  GWQ_ASSIGN_OR_RETURN(const auto loaded, Tokenizer::Load(tokenizer.dump()));
  return loaded->Encode(kProbe, false);
}

// The first name whose cutting gives the probe's tokens.
absl::StatusOr<std::string> FindPre(json tokenizer) {
  GWQ_ASSIGN_OR_RETURN(const std::vector<int32_t> wanted, Probe(tokenizer));
  const bool ignore_merges = tokenizer["model"].value("ignore_merges", false);
  tokenizer["normalizer"] = nullptr;
  for (const std::string_view name : DistinctGgufPreTokenizers()) {
    GWQ_ASSIGN_OR_RETURN(GgufPreTokenizer pre, FindGgufPreTokenizer(name));
    if (pre.ignore_merges != ignore_merges) continue;
    tokenizer["pre_tokenizer"] = std::move(pre.pre_tokenizer);
    GWQ_ASSIGN_OR_RETURN(const std::vector<int32_t> found, Probe(tokenizer));
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
  const json normalizer = tokenizer.value("normalizer", json());
  out.add_space_prefix = normalizer.dump().find("\"Prepend\"") != std::string::npos;
  return absl::OkStatus();
}

absl::Status CheckKind(const json& tokenizer) {
  const json model = tokenizer.value("model", json::object());
  if (!model.is_object() || model.value("type", "") != "BPE") return NotDescribed("is not a BPE");
  if (!model.contains("vocab") || !model["vocab"].is_object()) return InvalidField(kFile, "has no vocabulary");
  return absl::OkStatus();
}

// What the description makes must cut the probe as the model does.
absl::Status CheckWayBack(const Files& files, const GgufTokenizer& described) {
  GWQ_ASSIGN_OR_RETURN(const auto made, BuildTokenizerFiles(described));
  GWQ_ASSIGN_OR_RETURN(const auto back, Tokenizer::Load(made.at(kFile)));
  GWQ_ASSIGN_OR_RETURN(const auto own, Tokenizer::Load(files.at(kFile)));
  GWQ_ASSIGN_OR_RETURN(const std::vector<int32_t> wanted, own->Encode(kProbe, false));
  GWQ_ASSIGN_OR_RETURN(const std::vector<int32_t> found, back->Encode(kProbe, false));
  if (found == wanted) return absl::OkStatus();
  return NotDescribed("makes other tokens of a probe text than its description");
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

absl::StatusOr<GgufTokenizer> Describe(const Files& files, int64_t vocab_size) {
  GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<const ModelText> text, ModelText::Load(files));
  GWQ_ASSIGN_OR_RETURN(const json tokenizer, ReadTextObject(files, kFile));
  GWQ_RETURN_IF_ERROR(CheckKind(tokenizer));
  GgufTokenizer out;
  out.tokens.resize(static_cast<size_t>(vocab_size));
  out.token_types.assign(out.tokens.size(), kUnused);
  GWQ_RETURN_IF_ERROR(ReadIds(files, *text, out));
  GWQ_ASSIGN_OR_RETURN(out.chat_template, ReadChatTemplate(files));
  const bool sentence_piece = tokenizer["model"].value("byte_fallback", false);
  GWQ_RETURN_IF_ERROR(sentence_piece ? DescribeSentencePiece(tokenizer, out) : DescribeByteLevel(tokenizer, out));
  GWQ_RETURN_IF_ERROR(CheckWayBack(files, out));
  return out;
}

}  // namespace

absl::StatusOr<GgufTokenizer> DescribeTokenizer(const Files& files, int64_t vocab_size) {
  try {
    return Describe(files, vocab_size);
  } catch (const json::exception& error) {
    // A field of another type than the format gives it.
    return InvalidField(kFile, error.what());
  }
}

}  // namespace gwq
