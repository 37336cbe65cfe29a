#include "client/library/recipe_file.h"

#include <fmt/format.h>
#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "client/library/input_file.h"
#include "client/library/key_values.h"
#include "core/base/status.h"
#include "core/io/json.h"
#include "core/spec/recipe.h"

namespace gwq::client {
namespace {

// The proto's JSON reader wants enum names as they are declared: upper case.
void UpperCaseEnums(nlohmann::json& node) {
  if (node.is_array()) {
    for (nlohmann::json& item : node) UpperCaseEnums(item);
  }
  if (!node.is_object()) return;
  for (auto& [key, value] : node.items()) {
    const bool is_enum = key == "method" || key == "select" || key == "loss" || key == "source";
    if (is_enum && value.is_string()) {
      std::string name = value.get<std::string>();
      std::transform(name.begin(), name.end(), name.begin(),
                     [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
      value = name;
    } else {
      UpperCaseEnums(value);
    }
  }
}

absl::Status ParseRule(const std::string& text, v1::RecipeRule& rule) {
  const size_t colon = text.find(':');
  if (colon == std::string::npos) {
    return InvalidField("rule", fmt::format("'{}' has no ':'; write PATTERN:key=value[,key=value...]", text));
  }
  GWQ_ASSIGN_OR_RETURN(const auto values, ParseKeyValues("rule", std::string_view(text).substr(colon + 1)));
  nlohmann::json object;
  for (const auto& [key, value] : values) object[key] = value;
  if (object.contains("pattern")) {
    return InvalidField("rule", fmt::format("'pattern' is given twice in '{}': it is the text before ':'", text));
  }
  object["pattern"] = text.substr(0, colon);
  UpperCaseEnums(object);
  const auto status = google::protobuf::util::JsonStringToMessage(object.dump(), &rule);
  if (!status.ok()) return InvalidField("rule", fmt::format("'{}': {}", text, std::string(status.message())));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<v1::Recipe> ParseRecipeFile(const std::string& json) {
  nlohmann::json tree = nlohmann::json::parse(json, nullptr, false);
  if (!tree.is_object()) return absl::InvalidArgumentError("the recipe is not a JSON object");
  UpperCaseEnums(tree);
  v1::Recipe recipe;
  const auto status = google::protobuf::util::JsonStringToMessage(tree.dump(), &recipe);
  if (!status.ok()) return absl::InvalidArgumentError(fmt::format("recipe: {}", std::string(status.message())));
  return recipe;
}

absl::Status AddPart(std::string_view text, v1::Recipe& recipe) {
  constexpr std::string_view kField = "calibration-part";
  GWQ_ASSIGN_OR_RETURN(const auto values, ParseKeyValues(kField, text));
  nlohmann::json object = nlohmann::json::object();
  for (const auto& [key, value] : values) object[key] = value;
  if (const auto file = object.find("text_file"); file != object.end()) {
    if (object.contains("text")) return InvalidField(kField, "has a text and a text_file; give one of them");
    auto read = ReadInputFile(file->get<std::string>(), kMaxRecipeTextBytes);
    if (!read.ok()) return AsField(read.status(), kField);
    if (!IsValidUtf8(*read)) {
      return InvalidField(kField, fmt::format("{} is not valid UTF-8 text", file->get<std::string>()));
    }
    object.erase(file);
    object["text"] = *std::move(read);
  }
  for (const auto& [key, source] : {std::pair("dataset", "dataset"), {"blob", "file"}, {"text", "text"}}) {
    if (object.contains(key) && !object.contains("source")) object["source"] = source;
  }
  UpperCaseEnums(object);
  v1::CalibrationPart part;
  const auto status = google::protobuf::util::JsonStringToMessage(object.dump(), &part);
  if (!status.ok()) return InvalidField(kField, fmt::format("'{}': {}", text, std::string(status.message())));
  // NAME stands for datasets/NAME.
  if (!part.dataset().empty() && part.dataset().find('/') == std::string::npos) {
    part.set_dataset("datasets/" + part.dataset());
  }
  *recipe.mutable_calibration()->add_parts() = std::move(part);
  return absl::OkStatus();
}

absl::Status AddRule(std::string_view text, v1::Recipe& recipe) {
  return ParseRule(std::string(text), *recipe.add_rules());
}

}  // namespace gwq::client
