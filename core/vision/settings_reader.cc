#include "core/vision/settings_reader.h"

#include <fmt/format.h>

#include "core/base/status.h"

namespace gwq {

const nlohmann::json* SettingsReader::Find(std::string_view name) const {
  if (object_ == nullptr) return nullptr;
  const auto found = object_->find(name);
  return found == object_->end() || found->is_null() ? nullptr : &*found;
}

void SettingsReader::Invalid(std::string_view name, std::string_view description) const {
  if (status_->ok()) *status_ = InvalidField(FieldPath(name), description);
}

void SettingsReader::Unsupported(std::string_view name, std::string_view description) const {
  if (status_->ok()) *status_ = absl::UnimplementedError(fmt::format("{}: {}", FieldPath(name), description));
}

int64_t SettingsReader::IntOr(std::string_view name, int64_t fallback, int64_t low, int64_t high) const {
  const nlohmann::json* value = Find(name);
  if (value == nullptr) return fallback;
  if (value->is_number_unsigned() && value->get<uint64_t>() > static_cast<uint64_t>(INT64_MAX)) {
    Invalid(name, fmt::format("{} is not in [{}, {}]", value->dump(), low, high));
  } else if (!value->is_number_integer()) {
    Invalid(name, "must be an integer");
  } else if (const auto number = value->get<int64_t>(); number < low || number > high) {
    Invalid(name, fmt::format("{} is not in [{}, {}]", number, low, high));
  } else {
    return number;
  }
  return fallback;
}

double SettingsReader::NumberOr(std::string_view name, double fallback, double low, double high) const {
  const nlohmann::json* value = Find(name);
  if (value == nullptr) return fallback;
  if (value->is_number() && value->get<double>() >= low && value->get<double>() <= high) return value->get<double>();
  Invalid(name, fmt::format("must be a number in [{}, {}]", low, high));
  return fallback;
}

bool SettingsReader::BoolOr(std::string_view name, bool fallback) const {
  const nlohmann::json* value = Find(name);
  if (value == nullptr) return fallback;
  if (value->is_boolean()) return value->get<bool>();
  Invalid(name, "must be true or false");
  return fallback;
}

std::string SettingsReader::StringOr(std::string_view name, std::string_view fallback) const {
  const nlohmann::json* value = Find(name);
  if (value == nullptr) return std::string(fallback);
  if (value->is_string()) return value->get<std::string>();
  Invalid(name, "must be a string");
  return std::string(fallback);
}

std::array<double, 3> SettingsReader::ChannelsOr(std::string_view name, const std::array<double, 3>& fallback,
                                                 double low, double high) const {
  const nlohmann::json* value = Find(name);
  if (value == nullptr) return fallback;
  std::array<double, 3> channels = fallback;
  const bool list = value->is_array() && value->size() == channels.size();
  for (size_t i = 0; i < channels.size() && (list || value->is_number()); ++i) {
    const nlohmann::json& entry = list ? (*value)[i] : *value;
    if (!entry.is_number() || entry.get<double>() < low || entry.get<double>() > high) break;
    channels[i] = entry.get<double>();
    if (i + 1 == channels.size()) return channels;
  }
  Invalid(name, fmt::format("must be a number in [{}, {}] or a list of three", low, high));
  return fallback;
}

SettingsReader SettingsReader::Object(std::string_view name) const {
  const nlohmann::json* value = Find(name);
  if (value != nullptr && !value->is_object()) {
    Invalid(name, "must be an object");
    value = nullptr;
  }
  return {value, FieldPath(name), *status_};
}

bool SettingsReader::IsObject(std::string_view name) const {
  const nlohmann::json* value = Find(name);
  return value != nullptr && value->is_object();
}

}  // namespace gwq
