#include "core/jobs/spec_texts.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <span>
#include <utility>

#include "core/base/status.h"
#include "core/io/json.h"

namespace gwq {
namespace {

// Kinds take specs of half of that.
constexpr JsonLimits kLimits{.max_bytes = size_t{128} << 20};

std::string Beginning(const std::string& text) {
  size_t end = kMaxSpecTextBytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end) + "\u2026";
}

// Calls `visit` for each text below `value`, whose place is `at`.
template <class Visit>
void VisitTexts(nlohmann::json& value, const nlohmann::json::json_pointer& at, const Visit& visit) {
  if (value.is_string()) {
    visit(at.to_string(), value.get_ref<std::string&>());
  } else if (value.is_object()) {
    for (const auto& [key, inner] : value.items()) VisitTexts(inner, at / key, visit);
  } else if (value.is_array()) {
    for (size_t i = 0; i < value.size(); ++i) VisitTexts(value[i], at / i, visit);
  }
}

// Each of `texts` to its place, where the spec has the beginning of it.
absl::Status Join(nlohmann::json& spec, const nlohmann::json& texts) {
  size_t joined = 0;
  VisitTexts(spec, nlohmann::json::json_pointer(), [&](const std::string& place, std::string& text) {
    const auto whole = texts.find(place);
    if (whole == texts.end() || !whole->is_string()) return;
    text = whole->get_ref<const std::string&>();
    ++joined;
  });
  if (joined == texts.size()) return absl::OkStatus();
  return InvalidField("texts", fmt::format("only {} of {} have a place in the spec", joined, texts.size()));
}

}  // namespace

absl::StatusOr<SplitSpec> SplitTexts(BlobStore& store, std::string_view spec_json) {
  GWQ_ASSIGN_OR_RETURN(nlohmann::json spec, ParseJson("spec", spec_json, kLimits));
  nlohmann::json texts = nlohmann::json::object();
  VisitTexts(spec, nlohmann::json::json_pointer(), [&](const std::string& place, std::string& text) {
    if (text.size() <= kMaxSpecTextBytes) return;
    std::string beginning = Beginning(text);
    texts[place] = std::exchange(text, std::move(beginning));
  });
  if (texts.empty()) return SplitSpec{std::string(spec_json), std::nullopt};
  const std::string json = CanonicalJson(texts);
  GWQ_ASSIGN_OR_RETURN(const Digest digest, PutBlob(store, std::as_bytes(std::span(json))));
  return SplitSpec{CanonicalJson(spec), digest};
}

absl::StatusOr<std::string> JoinTexts(BlobStore& store, std::string_view spec_json,
                                      const std::optional<Digest>& texts) {
  if (!texts.has_value()) return std::string(spec_json);
  const auto lost = [&](const absl::Status& why) {
    return absl::DataLossError(fmt::format("the texts {} of the job's spec: {}", texts->Hex(), MessageOf(why)));
  };
  const auto json = ReadBlob(store, *texts, kLimits.max_bytes);
  if (!json.ok()) return absl::IsNotFound(json.status()) ? lost(json.status()) : json.status();
  const auto read = ParseJson("texts", *json, kLimits);
  if (!read.ok()) return lost(read.status());
  GWQ_ASSIGN_OR_RETURN(nlohmann::json spec, ParseJson("spec", spec_json, kLimits));
  if (const absl::Status joined = Join(spec, *read); !joined.ok()) return lost(joined);
  return CanonicalJson(spec);
}

}  // namespace gwq
