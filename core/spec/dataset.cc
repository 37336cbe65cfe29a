#include "core/spec/dataset.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/base/status.h"
#include "core/io/json.h"

namespace gwq {
namespace {

using Json = nlohmann::json;

constexpr const char* kCalibrationKeys[] = {"text", "messages", "token_ids"};
constexpr const char* kQuestionKeys[] = {"context", "question", "image",   "images",
                                         "choices", "answer",   "answers", "box"};
constexpr int64_t kMaxTokenId = 2147483647;

std::string LineField(int64_t line, std::string_view key = "") {
  return key.empty() ? fmt::format("line {}", line) : fmt::format("line {}.{}", line, key);
}

// One line's object. Keeps nothing; every method tells the field that is wrong.
class Line {
 public:
  Line(const Json& object, int64_t number, const DatasetLimits& limits)
      : object_(object), number_(number), limits_(limits) {}

  absl::StatusOr<DatasetItem> Read() const {
    DatasetItem item;
    item.line = number_;
    for (const char* const key : kCalibrationKeys) {
      if (Find(key) == nullptr) continue;
      GWQ_RETURN_IF_ERROR(StandsAlone(key));
      GWQ_RETURN_IF_ERROR(CalibrationText(item));
      return item;
    }
    GWQ_RETURN_IF_ERROR(OneOf("context", "question"));
    GWQ_RETURN_IF_ERROR(OneOf("image", "images"));
    GWQ_RETURN_IF_ERROR(OneOf("answer", "answers"));
    GWQ_RETURN_IF_ERROR(Text("context", item.context));
    GWQ_RETURN_IF_ERROR(Text("question", item.context));
    GWQ_RETURN_IF_ERROR(OneText("image", item.images));
    GWQ_RETURN_IF_ERROR(Texts("images", limits_.max_images, item.images));
    GWQ_RETURN_IF_ERROR(Texts("choices", limits_.max_choices, item.choices));
    GWQ_RETURN_IF_ERROR(Texts("answers", limits_.max_answers, item.answers));
    GWQ_RETURN_IF_ERROR(Answer(item));
    GWQ_RETURN_IF_ERROR(Box(item));
    return item;
  }

 private:
  [[nodiscard]] const Json* Find(const char* key) const {
    const auto found = object_.find(key);
    return found == object_.end() ? nullptr : &*found;
  }
  [[nodiscard]] absl::Status Wrong(std::string_view key, std::string_view text) const {
    return InvalidField(LineField(number_, key), text);
  }
  [[nodiscard]] absl::Status OneOf(const char* first, const char* second) const {
    if (Find(first) == nullptr || Find(second) == nullptr) return absl::OkStatus();
    return Wrong(second, fmt::format("is given together with '{}'; give only one of them", first));
  }
  // What a calibration reads is the whole line: a question beside it would silently be left out by either use.
  [[nodiscard]] absl::Status StandsAlone(const char* key) const {
    for (const char* const other : kCalibrationKeys) {
      if (std::string_view(other) != key) GWQ_RETURN_IF_ERROR(OneOf(key, other));
    }
    for (const char* const other : kQuestionKeys) GWQ_RETURN_IF_ERROR(OneOf(key, other));
    return absl::OkStatus();
  }
  [[nodiscard]] absl::Status CalibrationText(DatasetItem& item) const {
    GWQ_RETURN_IF_ERROR(Text("text", item.text));
    if (Find("text") != nullptr && item.text.empty()) return Wrong("text", "is empty; leave the line out");
    GWQ_RETURN_IF_ERROR(Messages(item.messages));
    return TokenIds(item.token_ids);
  }
  [[nodiscard]] absl::StatusOr<std::string> TurnText(const Json& turn, size_t index, const char* key) const {
    const auto value = turn.is_object() ? turn.find(key) : turn.end();
    if (!turn.is_object() || value == turn.end() || !value->is_string()) {
      return Wrong(fmt::format("messages[{}].{}", index, key), "is missing, or no string");
    }
    return value->get<std::string>();
  }
  [[nodiscard]] absl::Status Messages(std::vector<ChatTurn>& out) const {
    const Json* const value = Find("messages");
    if (value == nullptr) return absl::OkStatus();
    if (!value->is_array() || value->empty() || value->size() > limits_.max_messages) {
      return Wrong("messages", fmt::format("is no list of 1 to {} objects", limits_.max_messages));
    }
    for (const Json& turn : *value) {
      GWQ_ASSIGN_OR_RETURN(std::string role, TurnText(turn, out.size(), "role"));
      if (role.empty()) return Wrong(fmt::format("messages[{}].role", out.size()), "is empty");
      GWQ_ASSIGN_OR_RETURN(std::string content, TurnText(turn, out.size(), "content"));
      out.push_back({std::move(role), std::move(content)});
    }
    return absl::OkStatus();
  }
  [[nodiscard]] absl::Status TokenIds(std::vector<int32_t>& out) const {
    const Json* const value = Find("token_ids");
    if (value == nullptr) return absl::OkStatus();
    if (!value->is_array() || value->size() < 2 || value->size() > limits_.max_token_ids) {
      return Wrong("token_ids", fmt::format("is no list of 2 to {} numbers", limits_.max_token_ids));
    }
    for (const Json& id : *value) {
      if (!id.is_number_unsigned() || id.get<uint64_t>() > uint64_t{kMaxTokenId}) {
        return Wrong(fmt::format("token_ids[{}]", out.size()),
                     fmt::format("{} is no integer from 0 to {}", id.dump(), kMaxTokenId));
      }
      out.push_back(id.get<int32_t>());
    }
    return absl::OkStatus();
  }
  [[nodiscard]] absl::Status Text(const char* key, std::string& out) const {
    const Json* const value = Find(key);
    if (value == nullptr) return absl::OkStatus();
    if (!value->is_string()) return Wrong(key, fmt::format("is a {}, not a string", value->type_name()));
    out = value->get<std::string>();
    return absl::OkStatus();
  }
  [[nodiscard]] absl::Status OneText(const char* key, std::vector<std::string>& out) const {
    std::string text;
    GWQ_RETURN_IF_ERROR(Text(key, text));
    if (Find(key) == nullptr) return absl::OkStatus();
    if (text.empty()) return Wrong(key, "is empty");
    out.push_back(std::move(text));
    return absl::OkStatus();
  }
  [[nodiscard]] absl::Status Texts(const char* key, size_t limit, std::vector<std::string>& out) const {
    const Json* const value = Find(key);
    if (value == nullptr) return absl::OkStatus();
    if (!value->is_array()) return Wrong(key, fmt::format("is a {}, not a list of strings", value->type_name()));
    if (value->size() > limit) return Wrong(key, fmt::format("has {} entries, the limit is {}", value->size(), limit));
    for (size_t i = 0; i < value->size(); ++i) {
      if (!(*value)[i].is_string() || (*value)[i].get_ref<const std::string&>().empty()) {
        return Wrong(fmt::format("{}[{}]", key, i), "is not a string, or an empty one");
      }
      out.push_back((*value)[i].get<std::string>());
    }
    return absl::OkStatus();
  }
  // An index of the choices, or a text, which may be one of them.
  [[nodiscard]] absl::Status Answer(DatasetItem& item) const {
    const Json* const value = Find("answer");
    if (value == nullptr) return absl::OkStatus();
    if (value->is_string()) {
      GWQ_RETURN_IF_ERROR(OneText("answer", item.answers));
      const auto same = std::ranges::find(item.choices, item.answers.front());
      if (same != item.choices.end()) item.answer = same - item.choices.begin();
      return absl::OkStatus();
    }
    if (!value->is_number_integer()) return Wrong("answer", "is neither an index of the choices nor a string");
    const bool fits = value->is_number_unsigned() && value->get<uint64_t>() < item.choices.size();
    if (!fits) {
      return Wrong("answer", fmt::format("{} is not an index of {} choices, which count from 0", value->dump(),
                                         item.choices.size()));
    }
    item.answer = value->get<int64_t>();
    item.answers.push_back(item.choices[static_cast<size_t>(item.answer)]);
    return absl::OkStatus();
  }
  [[nodiscard]] absl::Status Box(DatasetItem& item) const {
    const Json* const value = Find("box");
    if (value == nullptr) return absl::OkStatus();
    const bool numbers = value->is_array() && value->size() == 4 &&
                         std::ranges::all_of(*value, [](const Json& one) { return one.is_number(); });
    if (!numbers) return Wrong("box", "is not a list of four numbers: left, top, right, bottom");
    item.box = PixelRect{(*value)[0], (*value)[1], (*value)[2], (*value)[3]};
    const bool area = item.box->left >= 0 && item.box->top >= 0 && item.box->left < item.box->right &&
                      item.box->top < item.box->bottom && std::isfinite(item.box->right + item.box->bottom);
    return area ? absl::OkStatus() : Wrong("box", "has no area, or begins left of or above the image");
  }

  const Json& object_;
  const int64_t number_;
  const DatasetLimits& limits_;
};

std::string_view WithoutReturn(std::string_view line) {
  return line.ends_with('\r') ? line.substr(0, line.size() - 1) : line;
}

}  // namespace

std::string_view DatasetItem::calibration_key() const {
  return !text.empty() ? "text" : !messages.empty() ? "messages" : !token_ids.empty() ? "token_ids" : "";
}

absl::StatusOr<std::vector<DatasetLine>> SplitDataset(std::string_view text, const DatasetLimits& limits) {
  if (text.size() > limits.max_bytes) {
    return InvalidField("dataset", fmt::format("has {} bytes, the limit is {}", text.size(), limits.max_bytes));
  }
  std::vector<DatasetLine> lines;
  int64_t number = 0;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = WithoutReturn(text.substr(begin, end - begin));
    begin = end + 1;
    ++number;
    if (line.find_first_not_of(" \t") == std::string_view::npos) continue;
    if (lines.size() == limits.max_lines) {
      return InvalidField(LineField(number), fmt::format("comes after {} items, the limit", limits.max_lines));
    }
    if (line.size() > limits.max_line_bytes) {
      return InvalidField(LineField(number),
                          fmt::format("has {} bytes, the limit is {}", line.size(), limits.max_line_bytes));
    }
    lines.push_back({number, line});
  }
  if (lines.empty()) return InvalidField("dataset", "holds no line with an item");
  return lines;
}

absl::StatusOr<DatasetItem> ParseDatasetLine(const DatasetLine& line, const DatasetLimits& limits) {
  const std::string field = LineField(line.number);
  const JsonLimits json_limits{.max_bytes = limits.max_line_bytes, .max_depth = 16, .max_values = 10'000};
  GWQ_ASSIGN_OR_RETURN(const Json json, ParseJson(field, line.text, json_limits));
  if (!json.is_object()) return InvalidField(field, fmt::format("is a {}, not an object", json.type_name()));
  return Line(json, line.number, limits).Read();
}

absl::StatusOr<std::vector<DatasetItem>> ParseDataset(std::string_view text, const DatasetLimits& limits) {
  GWQ_ASSIGN_OR_RETURN(const std::vector<DatasetLine> lines, SplitDataset(text, limits));
  std::vector<DatasetItem> items;
  items.reserve(lines.size());
  for (const DatasetLine& line : lines) {
    GWQ_ASSIGN_OR_RETURN(items.emplace_back(), ParseDatasetLine(line, limits));
  }
  return items;
}

absl::Status CheckItem(const DatasetItem& item, EvaluationKind kind) {
  const auto misses = [&](std::string_view key, std::string_view text) {
    return InvalidField(LineField(item.line, key), text);
  };
  if (const std::string_view key = item.calibration_key(); !key.empty()) {
    return misses(key,
                  "is for a calibration, and an evaluation asks questions; give question and answer, or name the "
                  "dataset in a recipe's calibration");
  }
  switch (kind) {
    case EvaluationKind::kText:
      break;
    case EvaluationKind::kChoices:
      if (item.choices.size() < 2) {
        return misses("choices", fmt::format("has {} entries; at least two are needed", item.choices.size()));
      }
      if (item.answer < 0) return misses("answer", "is missing, or none of the choices; give its index, from 0");
      if (!item.images.empty()) {
        return misses("image", fmt::format("names '{}', and choices are scored behind a text alone; leave it out, or "
                                           "evaluate the line with kind vqa",
                                           item.images.front()));
      }
      break;
    case EvaluationKind::kVqa:
      if (item.context.empty()) return misses("question", "is missing or empty");
      if (item.images.empty()) return misses("image", "is missing; give its path in the dataset");
      if (item.answers.empty()) return misses("answer", "is missing; give the right answer as a string");
      break;
    case EvaluationKind::kGrounding:
      if (item.context.empty()) return misses("question", "is missing or empty");
      if (item.images.size() != 1) return misses("image", "is missing, or more than one");
      if (!item.box) return misses("box", "is missing; give [left, top, right, bottom] in pixels of the image");
      break;
  }
  return absl::OkStatus();
}

absl::Status CheckComplete(const DatasetItem& item) {
  // What parsed is complete.
  if (!item.calibration_key().empty()) return absl::OkStatus();
  if (item.box) GWQ_RETURN_IF_ERROR(CheckItem(item, EvaluationKind::kGrounding));
  const bool right_choice = std::ranges::any_of(item.answers, [&](const std::string& answer) {
    return std::ranges::find(item.choices, answer) != item.choices.end();
  });
  const bool for_choices = !item.choices.empty() && (item.images.empty() || !right_choice);
  if (for_choices) GWQ_RETURN_IF_ERROR(CheckItem(item, EvaluationKind::kChoices));
  if (for_choices || (item.box && item.answers.empty())) return absl::OkStatus();
  return CheckItem(item, EvaluationKind::kVqa);
}

}  // namespace gwq
