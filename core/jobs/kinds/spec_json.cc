#include "core/jobs/kinds/spec_json.h"

#include <fmt/format.h>

#include "core/base/status.h"
#include "core/io/json.h"

namespace gwq {
namespace {

constexpr JsonLimits kSpecLimits{.max_bytes = size_t{64} << 20};

}  // namespace

absl::StatusOr<nlohmann::json> ParseSpecObject(std::string_view json) {
  GWQ_ASSIGN_OR_RETURN(nlohmann::json value, ParseJson("spec", json, kSpecLimits));
  if (!value.is_object()) return InvalidField("spec", "not a JSON object");
  return value;
}

absl::StatusOr<std::string> SpecText(const nlohmann::json& spec, const char* key) {
  const auto found = spec.find(key);
  if (found == spec.end() || !found->is_string()) {
    return InvalidField(fmt::format("spec.{}", key), "missing or not a string");
  }
  return found->get<std::string>();
}

absl::StatusOr<Digest> SpecDigest(const nlohmann::json& spec, const char* key) {
  GWQ_ASSIGN_OR_RETURN(const std::string hex, SpecText(spec, key));
  const auto digest = Digest::Parse(hex);
  if (!digest.ok()) return AsField(digest.status(), fmt::format("spec.{}", key));
  return digest;
}

}  // namespace gwq
