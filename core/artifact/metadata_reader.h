// Typed access to a GGUF file's metadata with errors that name the key.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "core/base/status.h"
#include "core/io/gguf.h"

namespace gwq {

// Every call answers INVALID_ARGUMENT at "metadata[KEY]" if the key has another type. `header` must outlive it.
class MetadataReader {
 public:
  explicit MetadataReader(const GgufHeader& header) : header_(header) {}

  [[nodiscard]] absl::StatusOr<std::optional<int64_t>> OptionalInt(std::string_view key) const {
    return Optional<int64_t>(key, "an integer");
  }
  [[nodiscard]] absl::StatusOr<std::optional<double>> OptionalDouble(std::string_view key) const {
    return Optional<double>(key, "a floating-point number");
  }
  [[nodiscard]] absl::StatusOr<std::string> StringOr(std::string_view key, std::string_view missing) const {
    GWQ_ASSIGN_OR_RETURN(const std::optional<std::string> text, Optional<std::string>(key, "a string"));
    return text.value_or(std::string(missing));
  }
  // From `minimum` to `maximum`; missing is an error.
  [[nodiscard]] absl::StatusOr<int64_t> Int(std::string_view key, int64_t minimum, int64_t maximum) const {
    GWQ_ASSIGN_OR_RETURN(const std::optional<int64_t> value, OptionalInt(key));
    if (!value.has_value()) return Wrong(key, "missing");
    if (*value < minimum || *value > maximum) {
      return Wrong(key, fmt::format("{}: {} to {} are read", *value, minimum, maximum));
    }
    return *value;
  }
  [[nodiscard]] static absl::Status Wrong(std::string_view key, std::string_view text) {
    return InvalidField(fmt::format("metadata[{}]", key), text);
  }

 private:
  template <class T>
  [[nodiscard]] absl::StatusOr<std::optional<T>> Optional(std::string_view key, std::string_view type) const {
    const auto found = header_.metadata.find(std::string(key));
    if (found == header_.metadata.end()) return std::optional<T>();
    if (const T* const value = std::get_if<T>(&found->second)) return std::optional<T>(*value);
    return Wrong(key, fmt::format("of the wrong type: {} was expected", type));
  }

  const GgufHeader& header_;
};

}  // namespace gwq
