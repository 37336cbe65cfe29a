#include "client/library/recipe_file.h"

#include <fmt/format.h>
#include <google/protobuf/util/json_util.h>

#include <nlohmann/json.hpp>

#include "absl/strings/ascii.h"
#include "client/library/input_file.h"
#include "client/library/key_values.h"
#include "core/base/status.h"
#include "core/io/json.h"
#include "core/spec/recipe.h"

namespace gwq::client {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;

// "gwq, rtn or keep": what stands for "not given" is left out.
std::string ValuesOf(const EnumDescriptor& type) {
  std::string out;
  for (int i = 1; i < type.value_count(); ++i) {
    out += i == 1 ? "" : i + 1 == type.value_count() ? " or " : ", ";
    out += absl::AsciiStrToLower(type.value(i)->name());
  }
  return out;
}

// The proto's JSON reader wants enum names as they are declared: upper case. INVALID_ARGUMENT at `path` for one that is
// not declared.
absl::Status NameEnums(const Descriptor& message, const std::string& path, nlohmann::json& node) {
  if (!node.is_object()) return absl::OkStatus();
  for (auto& [key, value] : node.items()) {
    const FieldDescriptor* const field = message.FindFieldByName(key);
    if (field == nullptr) continue;
    const std::string name = path.empty() ? key : path + "." + key;
    if (field->enum_type() != nullptr && value.is_string()) {
      const std::string upper = absl::AsciiStrToUpper(value.get<std::string>());
      if (field->enum_type()->FindValueByName(upper) == nullptr) {
        return InvalidField(name, fmt::format("is '{}', not {}", value.get<std::string>().substr(0, 64),
                                              ValuesOf(*field->enum_type())));
      }
      value = upper;
    }
    if (field->message_type() == nullptr) continue;
    if (value.is_array()) {
      for (size_t i = 0; i < value.size(); ++i) {
        GWQ_RETURN_IF_ERROR(NameEnums(*field->message_type(), fmt::format("{}[{}]", name, i), value[i]));
      }
    } else {
      GWQ_RETURN_IF_ERROR(NameEnums(*field->message_type(), name, value));
    }
  }
  return absl::OkStatus();
}

// Reads what a flag's text gave. INVALID_ARGUMENT at `flag`.
absl::Status ReadFlag(nlohmann::json& object, std::string_view flag, std::string_view text,
                      google::protobuf::Message& out) {
  absl::Status status = NameEnums(*out.GetDescriptor(), "", object);
  if (status.ok()) {
    const auto read = google::protobuf::util::JsonStringToMessage(object.dump(), &out);
    if (read.ok()) return absl::OkStatus();
    status = absl::InvalidArgumentError(std::string(read.message()));
  }
  return InvalidField(flag, fmt::format("'{}': {}", text, MessageOf(status)));
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
  return ReadFlag(object, "rule", text, rule);
}

}  // namespace

absl::StatusOr<v1::Recipe> ParseRecipeFile(const std::string& json) {
  nlohmann::json tree = nlohmann::json::parse(json, nullptr, false);
  if (!tree.is_object()) return absl::InvalidArgumentError("the recipe is not a JSON object");
  v1::Recipe recipe;
  GWQ_RETURN_IF_ERROR(NameEnums(*recipe.GetDescriptor(), "recipe", tree));
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
  v1::CalibrationPart part;
  GWQ_RETURN_IF_ERROR(ReadFlag(object, kField, text, part));
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
