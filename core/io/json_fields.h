// Fields of JSON that another process or version wrote. Nothing throws: what has another type counts as missing.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "core/io/json_number.h"

namespace gwq {

// Null where `object` is none or has no such field.
[[nodiscard]] inline const nlohmann::json* FieldIn(const nlohmann::json& object, const char* name) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(name);
  return found == object.end() ? nullptr : &*found;
}

// Empty if it is missing.
[[nodiscard]] inline std::string TextIn(const nlohmann::json& object, const char* name) {
  const nlohmann::json* const value = FieldIn(object, name);
  return value != nullptr && value->is_string() ? value->get_ref<const std::string&>() : std::string();
}

[[nodiscard]] inline std::optional<uint64_t> UintIn(const nlohmann::json& object, const char* name) {
  const nlohmann::json* const value = FieldIn(object, name);
  if (value == nullptr || !value->is_number_unsigned()) return std::nullopt;
  return value->get<uint64_t>();
}

// "Infinity" and its like are numbers too.
[[nodiscard]] inline std::optional<double> NumberIn(const nlohmann::json& object, const char* name) {
  const nlohmann::json* const value = FieldIn(object, name);
  return value == nullptr ? std::nullopt : NumberOf(*value);
}

// A list's entries; none where it is missing or no list.
[[nodiscard]] inline const nlohmann::json& ListIn(const nlohmann::json& object, const char* name) {
  static const nlohmann::json empty = nlohmann::json::array();
  const nlohmann::json* const value = FieldIn(object, name);
  return value != nullptr && value->is_array() ? *value : empty;
}

}  // namespace gwq
