// Typed reading of a processor's settings.
#pragma once

#include <array>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace gwq {

// A window on one JSON object, or on none, which reads as one without fields. A field that is null counts as missing.
// The first error is kept, INVALID_ARGUMENT at the field's path; later reads return their fallbacks. Not thread-safe.
class SettingsReader {
 public:
  // `object`, null or a JSON object, outlives the reader; `path` stands before field names in errors.
  SettingsReader(const nlohmann::json* object, std::string path, absl::Status& status)
      : object_(object), path_(std::move(path)), status_(&status) {}

  [[nodiscard]] bool Has(std::string_view name) const { return Find(name) != nullptr; }
  [[nodiscard]] int64_t IntOr(std::string_view name, int64_t fallback, int64_t low, int64_t high) const;
  [[nodiscard]] double NumberOr(std::string_view name, double fallback, double low, double high) const;
  [[nodiscard]] bool BoolOr(std::string_view name, bool fallback) const;
  [[nodiscard]] std::string StringOr(std::string_view name, std::string_view fallback) const;
  // One number for all channels or three of them.
  [[nodiscard]] std::array<double, 3> ChannelsOr(std::string_view name, const std::array<double, 3>& fallback,
                                                 double low, double high) const;
  // The object in this field; without fields where it is missing.
  [[nodiscard]] SettingsReader Object(std::string_view name) const;
  [[nodiscard]] bool IsObject(std::string_view name) const;

  void Invalid(std::string_view name, std::string_view description) const;
  void Unsupported(std::string_view name, std::string_view description) const;
  [[nodiscard]] const nlohmann::json* json() const { return object_; }

 private:
  [[nodiscard]] const nlohmann::json* Find(std::string_view name) const;
  [[nodiscard]] std::string FieldPath(std::string_view name) const { return path_ + "." + std::string(name); }

  const nlohmann::json* object_;
  std::string path_;
  absl::Status* status_;
};

}  // namespace gwq
