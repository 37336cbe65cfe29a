// The names of a recipe's enumerations in JSON, flags and documents: lower case, one table each.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/spec/recipe.h"

namespace gwq {

template <class E>
struct EnumEntry {
  E value;
  std::string_view name;
};

inline constexpr EnumEntry<Method> kMethodNames[] = {
    {Method::kGwq, "gwq"}, {Method::kRtn, "rtn"}, {Method::kKeep, "keep"}};
inline constexpr EnumEntry<Select> kSelectNames[] = {
    {Select::kGradient, "gradient"}, {Select::kMagnitude, "magnitude"}, {Select::kRandom, "random"}};
inline constexpr EnumEntry<Loss> kLossNames[] = {{Loss::kLast, "last"}, {Loss::kAll, "all"}};
inline constexpr EnumEntry<CalibrationSource> kCalibrationSourceNames[] = {
    {CalibrationSource::kGenerated, "generated"}, {CalibrationSource::kText, "text"},
    {CalibrationSource::kChat, "chat"},           {CalibrationSource::kTokenIds, "token_ids"},
    {CalibrationSource::kFile, "file"},           {CalibrationSource::kImage, "image"}};

constexpr const auto& NamesOf(Method) { return kMethodNames; }
constexpr const auto& NamesOf(Select) { return kSelectNames; }
constexpr const auto& NamesOf(Loss) { return kLossNames; }
constexpr const auto& NamesOf(CalibrationSource) { return kCalibrationSourceNames; }

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
