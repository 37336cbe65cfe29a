#include "core/models/config_reader.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "core/base/status.h"

namespace gwq {

using nlohmann::json;

ConfigReader::ConfigReader(const json& object, std::string path) : object_(&object), path_(std::move(path)) {}

const json* ConfigReader::Find(std::string_view name) const {
  const auto found = object_->find(std::string(name));
  return found == object_->end() || found->is_null() ? nullptr : &*found;
}

std::string ConfigReader::FieldPath(std::string_view name) const { return fmt::format("{}.{}", path_, name); }

bool ConfigReader::Has(std::string_view name) const { return Find(name) != nullptr; }

void ConfigReader::Keep(const absl::Status& status) {
  if (status_.ok()) status_ = status;
}

void ConfigReader::Invalid(std::string_view name, std::string_view description) {
  Keep(InvalidField(FieldPath(name), description));
}

void ConfigReader::Unsupported(std::string_view name, std::string_view description) {
  Keep(absl::UnimplementedError(fmt::format("{}: {}", FieldPath(name), description)));
}

int64_t ConfigReader::CheckInt(std::string_view name, const json& value, int64_t low, int64_t high) {
  // An unsigned value past int64 would wrap to a negative one, which `low` may allow.
  if (!value.is_number_integer() || (value.is_number_unsigned() && value.get<uint64_t>() > uint64_t{INT64_MAX})) {
    Invalid(name, fmt::format("must be an integer from {} to {}, is {}", low, high, value.dump().substr(0, 40)));
    return low;
  }
  const int64_t number = value.get<int64_t>();
  if (number < low || number > high) {
    Invalid(name, fmt::format("is {}, must be from {} to {}", number, low, high));
    return low;
  }
  return number;
}

int64_t ConfigReader::Int(std::string_view name, int64_t low, int64_t high) {
  const json* value = Find(name);
  if (value == nullptr) {
    Invalid(name, fmt::format("is missing; an integer from {} to {} is needed", low, high));
    return low;
  }
  return CheckInt(name, *value, low, high);
}

int64_t ConfigReader::IntOr(std::string_view name, int64_t fallback, int64_t low, int64_t high) {
  return Has(name) ? Int(name, low, high) : fallback;
}

double ConfigReader::Number(std::string_view name, double low, double high) {
  const json* value = Find(name);
  if (value == nullptr) {
    Invalid(name, fmt::format("is missing; a number from {} to {} is needed", low, high));
    return low;
  }
  const double number = value->is_number() ? value->get<double>() : std::nan("");
  if (!(number >= low && number <= high)) {
    Invalid(name, fmt::format("must be a number from {} to {}, is {}", low, high, value->dump().substr(0, 40)));
    return low;
  }
  return number;
}

double ConfigReader::NumberOr(std::string_view name, double fallback, double low, double high) {
  return Has(name) ? Number(name, low, high) : fallback;
}

bool ConfigReader::BoolOr(std::string_view name, bool fallback) {
  const json* value = Find(name);
  if (value == nullptr) return fallback;
  if (!value->is_boolean()) {
    Invalid(name, fmt::format("must be true or false, is {}", value->dump().substr(0, 40)));
    return fallback;
  }
  return value->get<bool>();
}

std::string ConfigReader::StringOr(std::string_view name, std::string_view fallback) {
  const json* value = Find(name);
  if (value == nullptr) return std::string(fallback);
  if (!value->is_string()) {
    Invalid(name, fmt::format("must be a string, is {}", value->dump().substr(0, 40)));
    return std::string(fallback);
  }
  return value->get<std::string>();
}

std::vector<std::string> ConfigReader::Strings(std::string_view name) {
  std::vector<std::string> strings;
  const json* value = Find(name);
  if (value == nullptr) return strings;
  if (!value->is_array()) {
    Invalid(name, "must be a list of strings");
    return strings;
  }
  for (const json& item : *value) {
    if (!item.is_string()) {
      Invalid(name, "must be a list of strings");
      return {};
    }
    strings.push_back(item.get<std::string>());
  }
  return strings;
}

std::vector<int64_t> ConfigReader::Ints(std::string_view name, int64_t low, int64_t high) {
  const json* value = Find(name);
  if (value == nullptr) return {};
  if (!value->is_array()) return {CheckInt(name, *value, low, high)};
  std::vector<int64_t> numbers;
  for (const json& item : *value) numbers.push_back(CheckInt(name, item, low, high));
  return numbers;
}

std::optional<ConfigReader> ConfigReader::Object(std::string_view name) {
  const json* value = Find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_object()) {
    Invalid(name, "must be an object");
    return std::nullopt;
  }
  return ConfigReader(*value, FieldPath(name));
}

bool ConfigReader::HasNestedObject() const {
  for (const json& value : *object_) {
    if (value.is_object()) return true;
  }
  return false;
}

}  // namespace gwq
