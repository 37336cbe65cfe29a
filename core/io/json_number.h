// Numbers that JSON cannot write. As protobuf's JSON does, they become the texts "Infinity", "-Infinity" and "NaN".
#pragma once

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

namespace gwq {

// `value` itself if it is finite, else its text. (nlohmann's own conversion writes null.)
[[nodiscard]] inline nlohmann::json JsonNumber(double value) {
  if (std::isfinite(value)) return value;
  if (std::isnan(value)) return "NaN";
  return value > 0 ? "Infinity" : "-Infinity";
}

// What JsonNumber wrote; nothing for any other value.
[[nodiscard]] inline std::optional<double> NumberOf(const nlohmann::json& json) {
  if (json.is_number()) return json.get<double>();
  if (!json.is_string()) return std::nullopt;
  const auto& text = json.get_ref<const std::string&>();
  if (text == "Infinity") return std::numeric_limits<double>::infinity();
  if (text == "-Infinity") return -std::numeric_limits<double>::infinity();
  if (text == "NaN") return std::numeric_limits<double>::quiet_NaN();
  return std::nullopt;
}

}  // namespace gwq
