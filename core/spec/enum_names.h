// Names of enumerations in JSON, flags and documents: lower case, one table each.
//
// A table of an enumeration E is an array of EnumEntry<E> that NamesOf(E) returns.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace gwq {

template <class E>
struct EnumEntry {
  E value;
  std::string_view name;
};

template <class E>
[[nodiscard]] constexpr std::string_view EnumText(E value) {
  for (const auto& entry : NamesOf(value)) {
    if (entry.value == value) return entry.name;
  }
  return "";
}

template <class E>
[[nodiscard]] constexpr std::optional<E> EnumOf(std::string_view name) {
  for (const auto& entry : NamesOf(E{})) {
    if (entry.name == name) return entry.value;
  }
  return std::nullopt;
}

// "gwq, rtn, keep".
template <class E>
[[nodiscard]] std::string EnumChoices() {
  std::string out;
  for (const auto& entry : NamesOf(E{})) {
    if (!out.empty()) out += ", ";
    out += entry.name;
  }
  return out;
}

}  // namespace gwq
