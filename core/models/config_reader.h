// Typed reading of the fields of config.json, so that a family is a few lines.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

namespace gwq {

// Reads the fields of one JSON object. The first error is kept, and later reads return their defaults; status() returns
// it. A field that is null counts as missing, as transformers takes it. Not thread-safe.
class ConfigReader {
 public:
  // `path` is put before field names in errors. `object` outlives the reader.
  ConfigReader(const nlohmann::json& object, std::string path);

  [[nodiscard]] bool Has(std::string_view name) const;
  // INVALID_ARGUMENT if the field is missing, no integer, or not in [low, high].
  int64_t Int(std::string_view name, int64_t low, int64_t high);
  int64_t IntOr(std::string_view name, int64_t fallback, int64_t low, int64_t high);
  // Finite and in [low, high].
  double Number(std::string_view name, double low, double high);
  double NumberOr(std::string_view name, double fallback, double low, double high);
  bool BoolOr(std::string_view name, bool fallback);
  std::string StringOr(std::string_view name, std::string_view fallback);
  // A list of strings; empty if missing.
  std::vector<std::string> Strings(std::string_view name);
  // One integer or a list of them; empty if missing.
  std::vector<int64_t> Ints(std::string_view name, int64_t low, int64_t high);
  // The object in this field; nullopt if missing. Its errors are its own.
  [[nodiscard]] std::optional<ConfigReader> Object(std::string_view name);
  // True if some field of this object is an object itself.
  [[nodiscard]] bool HasNestedObject() const;

  // Keeps an error found by the caller: INVALID_ARGUMENT, or UNIMPLEMENTED for an option of the model that is known and
  // not supported.
  void Invalid(std::string_view name, std::string_view description);
  void Unsupported(std::string_view name, std::string_view description);
  void Keep(const absl::Status& status);
  [[nodiscard]] const absl::Status& status() const { return status_; }

 private:
  [[nodiscard]] const nlohmann::json* Find(std::string_view name) const;
  [[nodiscard]] std::string FieldPath(std::string_view name) const;
  int64_t CheckInt(std::string_view name, const nlohmann::json& value, int64_t low, int64_t high);

  const nlohmann::json* object_;
  std::string path_;
  absl::Status status_;
};

}  // namespace gwq
