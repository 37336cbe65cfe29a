#include "client/cli/recipe_flags.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/ascii.h"
#include "client/library/input_file.h"
#include "client/library/recipe_file.h"
#include "core/base/status.h"
#include "core/io/json.h"
#include "core/spec/recipe.h"

namespace gwq::cli {
namespace {

using Json = nlohmann::json;

constexpr uint64_t kMaxRecipeFileBytes = 16ULL << 20;

// Rules, dialogues and parts are no scalars: they have flags of their own.
bool HasOwnFlag(const RecipeField& field) {
  return !field.name.starts_with("rules") && !field.name.starts_with("calibration.messages") &&
         !field.name.starts_with("calibration.parts");
}

absl::StatusOr<std::string> ReadText(const std::string& path, uint64_t limit) {
  GWQ_ASSIGN_OR_RETURN(std::string text, client::ReadInputFile(path, limit));
  if (!IsValidUtf8(text)) return absl::InvalidArgumentError(fmt::format("{} is not valid UTF-8 text", path));
  return text;
}

// JSON and protos hold UTF-8 alone.
absl::Status CheckGiven(const RecipeArguments& arguments) {
  for (const auto& [field, text] : arguments.fields) {
    if (!IsValidUtf8(text)) return InvalidField(field, "is not valid UTF-8 text");
  }
  for (const std::string& rule : arguments.rules) {
    if (!IsValidUtf8(rule)) return InvalidField("rule", "is not valid UTF-8 text");
  }
  for (const std::string& part : arguments.parts) {
    if (!IsValidUtf8(part)) return InvalidField("calibration-part", "is not valid UTF-8 text");
  }
  const auto& given = arguments.fields;
  if (given.contains("bits") && (given.contains("target.bits") || given.contains("target.bytes"))) {
    return InvalidField("bits",
                        "has no effect beside a target, which chooses the bits of every matrix; leave one of them "
                        "out, or give some modules their bits with --rule");
  }
  return absl::OkStatus();
}

absl::StatusOr<Json> ValueOf(const RecipeField& field, const std::string& text) {
  if (field.type == "string" || field.type == "enum") return Json(text);
  const bool list = field.type == "repeated", flag = field.type == "bool";
  Json value = Json::parse(list ? "[" + text + "]" : text, nullptr, false);
  const bool fits = list ? value.is_array() : flag ? value.is_boolean() : value.is_number();
  if (!fits) {
    const char* const wanted = list ? "a list of numbers" : flag ? "true or false" : "a number";
    return InvalidField(field.name, fmt::format("'{}' is not {}", text, wanted));
  }
  return value;
}

// INVALID_ARGUMENT where the recipe's file has something else in the place of a group.
absl::Status SetPath(Json& tree, std::string_view path, Json value) {
  const std::string first(path.substr(0, path.find('.')));
  Json& node = tree[first];
  if (first.size() == path.size()) {
    node = std::move(value);
    return absl::OkStatus();
  }
  if (!node.is_null() && !node.is_object()) {
    return InvalidField(first, fmt::format("is a {} in the recipe's file, not an object: {} has no place in it",
                                           node.type_name(), path));
  }
  return SetPath(node, path.substr(first.size() + 1), std::move(value));
}

// `path`, the file of a flag that says itself what the source is: "--calibration-file" gives the source "text".
absl::StatusOr<std::string> ReadSample(const Json& tree, std::string_view flag, std::string_view source,
                                       const std::string& path) {
  const Json::json_pointer place("/calibration/source");
  const Json given = tree.contains(place) ? tree[place] : Json(source);
  if (!given.is_string() || absl::AsciiStrToLower(given.get_ref<const std::string&>()) != source) {
    return absl::InvalidArgumentError(
        fmt::format("{} gives a calibration whose source is '{}', but --calibration-source or the recipe's file says "
                    "{}: leave that out",
                    flag, source, given.dump()));
  }
  auto text = ReadText(path, kMaxRecipeTextBytes);
  if (text.ok() || !absl::IsInvalidArgument(text.status())) return text;
  return absl::InvalidArgumentError(
      fmt::format("{}: {}; shorten it, or push it as a .jsonl dataset and give --calibration-dataset", flag,
                  MessageOf(text.status())));
}

absl::Status SetFiles(const RecipeArguments& arguments, Json& tree) {
  if (!arguments.calibration_file.empty()) {
    GWQ_ASSIGN_OR_RETURN(const std::string text,
                         ReadSample(tree, "--calibration-file", "text", arguments.calibration_file));
    GWQ_RETURN_IF_ERROR(SetPath(tree, "calibration.text", text));
  }
  if (!arguments.calibration_chat_file.empty()) {
    GWQ_ASSIGN_OR_RETURN(const std::string text,
                         ReadSample(tree, "--calibration-messages", "chat", arguments.calibration_chat_file));
    GWQ_ASSIGN_OR_RETURN(const Json turns, ParseJson("calibration.messages", text));
    if (!turns.is_array())
      return InvalidField("calibration.messages", "the file holds no JSON array of {\"role\", \"content\"}");
    GWQ_RETURN_IF_ERROR(SetPath(tree, "calibration.messages", turns));
  }
  return absl::OkStatus();
}

struct OldEvaluationField {
  const char* name;
  bool number;
  const char* now;  // what gwq quantize --evaluate has in its place
};
constexpr OldEvaluationField kOldEvaluationFields[] = {
    {"evaluation_text", false, "--evaluate kind=text,text_file=FILE"},
    {"evaluation_tokens", true, "--evaluate kind=text,tokens=N, or --no-evaluation for 0"},
    {"evaluation_window", true, "--evaluate kind=text,window=N"}};

std::string OldEvaluationNote(std::string_view given, const OldEvaluationField& field) {
  return fmt::format("{} is now {}; the next version will not know the old name", given, field.now);
}

std::vector<std::string> OldEvaluationNotes(const Json& recipe) {
  std::vector<std::string> notes;
  for (const OldEvaluationField& field : kOldEvaluationFields) {
    if (recipe.contains(field.name)) notes.push_back(OldEvaluationNote(fmt::format("recipe.{}", field.name), field));
  }
  return notes;
}

absl::Status SetOldEvaluation(const RecipeArguments& arguments, Json& tree) {
  for (const OldEvaluationField& field : kOldEvaluationFields) {
    const auto given = arguments.fields.find(field.name);
    if (given == arguments.fields.end()) continue;
    GWQ_ASSIGN_OR_RETURN(tree[field.name], ValueOf({field.name, field.number ? "int" : "string", ""}, given->second));
  }
  if (arguments.evaluation_file.empty()) return absl::OkStatus();
  GWQ_ASSIGN_OR_RETURN(tree["evaluation_text"], ReadText(arguments.evaluation_file, kMaxRecipeTextBytes));
  return absl::OkStatus();
}

// What holds where the flag is not given; empty if that is nothing.
std::string DefaultText(const Json& defaults, std::string field) {
  std::ranges::replace(field, '.', '/');
  const Json value = defaults.value(Json::json_pointer("/" + field), Json());
  if (value.is_string()) return value.get<std::string>();
  return value.is_number() || value.is_boolean() ? value.dump() : "";
}

// NAME stands for datasets/NAME, in a calibration and in each of its parts.
void NameDatasets(Json& calibration) {
  if (!calibration.is_object()) return;
  if (const auto dataset = calibration.find("dataset"); dataset != calibration.end() && dataset->is_string()) {
    const auto name = dataset->get<std::string>();
    if (!name.empty() && name.find('/') == std::string::npos) *dataset = "datasets/" + name;
  }
  const auto parts = calibration.find("parts");
  if (parts == calibration.end() || !parts->is_array()) return;
  for (Json& part : *parts) NameDatasets(part);
}

// Giving a sample says what its source is.
void InferSource(Json& tree) {
  if (!tree.contains("calibration") || tree["calibration"].contains("source")) return;
  const Json& calibration = tree["calibration"];
  for (const auto& [field, source] : {std::pair("text", "text"),
                                      {"messages", "chat"},
                                      {"token_ids", "token_ids"},
                                      {"blob", "file"},
                                      {"question", "image"},
                                      {"answer", "image"},
                                      {"dataset", "dataset"},
                                      {"parts", "mix"}}) {
    if (calibration.contains(field)) tree["calibration"]["source"] = source;
  }
}

}  // namespace

std::string RecipeFlagName(std::string_view field) {
  std::string name = "--" + std::string(field);
  std::replace_if(name.begin(), name.end(), [](char c) { return c == '.' || c == '_'; }, '-');
  return name;
}

namespace {

// The names that flags had one version ago: not listed by --help, and told where they are used.
void AddOldFlags(CLI::App& command, RecipeArguments& arguments) {
  for (const char* const field : {"outlier_ratio", "select", "loss"}) {
    command
        .add_option_function<std::string>(
            RecipeFlagName(field),
            [&arguments, field](const std::string& text) {
              const std::string moved = fmt::format("gwq.{}", field);
              arguments.fields.try_emplace(moved, text);
              arguments.notes.push_back(fmt::format("{} is now {}; the next version will not know the old name",
                                                    RecipeFlagName(field), RecipeFlagName(moved)));
            })
        ->group("");
  }
  for (const OldEvaluationField& field : kOldEvaluationFields) {
    command
        .add_option_function<std::string>(
            RecipeFlagName(field.name),
            [&arguments, field](const std::string& text) {
              arguments.fields[field.name] = text;
              arguments.notes.push_back(OldEvaluationNote(RecipeFlagName(field.name), field));
            })
        ->group("");
  }
  command
      .add_option_function<std::string>(
          "--evaluation-file",
          [&arguments](const std::string& path) {
            arguments.evaluation_file = path;
            arguments.notes.push_back(OldEvaluationNote("--evaluation-file", kOldEvaluationFields[0]));
          })
      ->check(CLI::ExistingFile)
      ->group("");
}

}  // namespace

void AddRecipeFlags(CLI::App& command, RecipeArguments& arguments) {
  command.add_option("--recipe", arguments.recipe_file, "recipe as JSON; the flags below override it")
      ->check(CLI::ExistingFile);
  const Json defaults = Json::parse(RecipeJson(Recipe{}), nullptr, /*allow_exceptions=*/false);
  for (const RecipeField& field : RecipeFields()) {
    if (!HasOwnFlag(field)) continue;
    const std::string name(field.name);
    command
        .add_option_function<std::string>(
            RecipeFlagName(name), [&arguments, name](const std::string& text) { arguments.fields[name] = text; },
            std::string(field.help))
        ->default_str(DefaultText(defaults, name));
  }
  AddOldFlags(command, arguments);
  command.add_option("--calibration-file", arguments.calibration_file, "file with the sample's text")
      ->check(CLI::ExistingFile);
  command
      .add_option("--calibration-messages", arguments.calibration_chat_file,
                  "JSON file with a dialogue: [{\"role\", \"content\"}]")
      ->check(CLI::ExistingFile);
  command
      .add_option("--rule", arguments.rules,
                  "PATTERN:key=value[,key=value...], in order; for example '*.down_proj:bits=8'")
      ->allow_extra_args(false);
  command
      .add_option("--calibration-part", arguments.parts,
                  "part of a mix, may be given several times: 'dataset=NAME,weight=2', 'text_file=PATH' or "
                  "'source=default' (or generated); the samples are divided by the weights (default 1)")
      ->allow_extra_args(false);
}

absl::StatusOr<v1::Recipe> RecipeOf(const RecipeArguments& arguments, std::vector<std::string>* notes) {
  GWQ_RETURN_IF_ERROR(CheckGiven(arguments));
  Json tree = Json::object();
  if (!arguments.recipe_file.empty()) {
    GWQ_ASSIGN_OR_RETURN(const std::string text, ReadText(arguments.recipe_file, kMaxRecipeFileBytes));
    GWQ_ASSIGN_OR_RETURN(tree, ParseJson("recipe", text));
    if (!tree.is_object()) return InvalidField("recipe", fmt::format("{} holds no JSON object", arguments.recipe_file));
  }
  std::vector<std::string> moved = MoveOldFields(tree);
  if (notes != nullptr) {
    *notes = arguments.notes;
    notes->insert(notes->end(), moved.begin(), moved.end());
    for (std::string& note : OldEvaluationNotes(tree)) notes->push_back(std::move(note));
  }
  for (const RecipeField& field : RecipeFields()) {
    const auto given = arguments.fields.find(std::string(field.name));
    if (given == arguments.fields.end()) continue;
    GWQ_ASSIGN_OR_RETURN(Json value, ValueOf(field, given->second));
    GWQ_RETURN_IF_ERROR(SetPath(tree, field.name, std::move(value)));
  }
  GWQ_RETURN_IF_ERROR(SetFiles(arguments, tree));
  GWQ_RETURN_IF_ERROR(SetOldEvaluation(arguments, tree));
  InferSource(tree);
  if (const auto calibration = tree.find("calibration"); calibration != tree.end()) NameDatasets(*calibration);
  GWQ_ASSIGN_OR_RETURN(v1::Recipe recipe, client::ParseRecipeFile(tree.dump()));
  for (const std::string& rule : arguments.rules) GWQ_RETURN_IF_ERROR(client::AddRule(rule, recipe));
  for (const std::string& part : arguments.parts) GWQ_RETURN_IF_ERROR(client::AddPart(part, recipe));
  if (!arguments.parts.empty() && recipe.calibration().source() == v1::Calibration::SOURCE_UNSPECIFIED) {
    recipe.mutable_calibration()->set_source(v1::Calibration::MIX);
  }
  return recipe;
}

}  // namespace gwq::cli
