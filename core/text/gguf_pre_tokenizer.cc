#include "core/text/gguf_pre_tokenizer.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <initializer_list>
#include <iterator>
#include <string>
#include <vector>

#include "core/base/status.h"

namespace gwq {
namespace {

using nlohmann::json;

// Ways to cut text into pieces within which merges happen; several patterns cut one after the other.
enum class Cut { kGpt2, kDigitsThenGpt2, kLlama3, kQwen2, kGpt4o, kTekken, kDefault };

struct Entry {
  std::string_view name;
  Cut cut;
  bool ignore_merges = false;
  bool add_bos = false;
};

constexpr Entry kEntries[] = {
    {"default", Cut::kDefault},
    {"gpt-2", Cut::kGpt2},
    {"phi-2", Cut::kGpt2},
    {"mpt", Cut::kGpt2},
    {"olmo", Cut::kGpt2},
    {"jais", Cut::kGpt2},
    {"trillion", Cut::kGpt2},
    {"smollm", Cut::kDigitsThenGpt2},
    {"starcoder", Cut::kDigitsThenGpt2},
    {"refact", Cut::kDigitsThenGpt2},
    {"command-r", Cut::kDigitsThenGpt2},
    {"codeshell", Cut::kDigitsThenGpt2},
    {"exaone", Cut::kDigitsThenGpt2},
    {"minerva-7b", Cut::kDigitsThenGpt2},
    {"llama-bpe", Cut::kLlama3, true, true},
    {"llama3", Cut::kLlama3, true, true},
    {"llama-v3", Cut::kLlama3, true, true},
    {"falcon3", Cut::kLlama3, true, true},
    {"pixtral", Cut::kLlama3, true, true},
    {"dbrx", Cut::kLlama3},
    {"smaug-bpe", Cut::kLlama3},
    {"glm4", Cut::kLlama3, true},
    {"chatglm-bpe", Cut::kLlama3},
    {"qwen2", Cut::kQwen2},
    {"deepseek-r1-qwen", Cut::kQwen2},
    {"stablelm2", Cut::kQwen2},
    {"hunyuan", Cut::kQwen2},
    {"gpt-4o", Cut::kGpt4o},
    {"llama4", Cut::kGpt4o},
    {"tekken", Cut::kTekken, true, true},
};

// The patterns are those of the models' own tokenizer.json.
constexpr char kGpt2Pattern[] = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr char kContractions[] = R"((?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD]))";
constexpr char kWordPattern[] = R"([^\r\n\p{L}\p{N}]?\p{L}+)";
constexpr char kRestPattern[] = R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
// Words that are cased: capitals, then small letters.
constexpr char kUpperRun[] = R"([\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}])";
constexpr char kLowerRun[] = R"([\p{Ll}\p{Lm}\p{Lo}\p{M}])";
constexpr char kCasedRest[] = R"( ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

std::string CasedPattern(std::string_view suffix, std::string_view digits) {
  constexpr std::string_view kLead = R"([^\r\n\p{L}\p{N}]?)";
  return fmt::format("{0}{1}*{2}+{3}|{0}{1}+{2}*{3}|{4}|{5}", kLead, kUpperRun, kLowerRun, suffix, digits, kCasedRest);
}

std::vector<std::string> Patterns(Cut cut) {
  switch (cut) {
    case Cut::kGpt2:
      return {kGpt2Pattern};
    case Cut::kDigitsThenGpt2:
      return {R"(\p{N})", kGpt2Pattern};
    case Cut::kLlama3:
      return {fmt::format(R"({}|{}|\p{{N}}{{1,3}}|{})", kContractions, kWordPattern, kRestPattern)};
    case Cut::kQwen2:
      return {fmt::format(R"({}|{}|\p{{N}}|{})", kContractions, kWordPattern, kRestPattern)};
    case Cut::kGpt4o:
      return {CasedPattern(std::string(kContractions) + "?", R"(\p{N}{1,3})")};
    case Cut::kTekken:
      return {CasedPattern("", R"(\p{N})")};
    case Cut::kDefault:
      return {R"([\p{P}\$\+<=>\^~\|]+)", kGpt2Pattern, R"(\p{N}+)", "[0-9][0-9][0-9]"};
  }
  return {};
}

json ToJson(Cut cut) {
  json steps = json::array();
  for (const std::string& pattern : Patterns(cut)) {
    steps.push_back(
        {{"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", "Isolated"}, {"invert", false}});
  }
  steps.push_back({{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", false}});
  return {{"type", "Sequence"}, {"pretokenizers", std::move(steps)}};
}

// The last is that of dbrx without ignore_merges; llama-bpe has it.
constexpr std::string_view kDistinct[] = {"llama-bpe", "qwen2",  "smollm",  "gpt-2",
                                          "gpt-4o",    "tekken", "default", "dbrx"};

}  // namespace

std::span<const std::string_view> DistinctGgufPreTokenizers() { return kDistinct; }

absl::StatusOr<GgufPreTokenizer> FindGgufPreTokenizer(std::string_view name) {
  if (name.empty()) name = "default";
  const auto entry =
      std::find_if(std::begin(kEntries), std::end(kEntries), [&](const Entry& e) { return e.name == name; });
  if (entry == std::end(kEntries)) {
    std::vector<std::string_view> known;
    for (const Entry& e : kEntries) known.push_back(e.name);
    return InvalidField("tokenizer.ggml.pre",
                        fmt::format("is '{}'; known are {}", name.substr(0, 64), fmt::join(known, ", ")));
  }
  return GgufPreTokenizer{ToJson(entry->cut), entry->ignore_merges, entry->add_bos};
}

}  // namespace gwq
