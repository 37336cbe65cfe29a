// JSON from outside, read strictly: duplicate keys and any depth, which nlohmann's parser accepts, are refused here.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace gwq {

struct JsonLimits {
  size_t max_bytes = size_t{16} << 20;
  int max_depth = 32;
  size_t max_values = 2'000'000;  // keys and values together: bounds the memory of the parsed tree
};

// INVALID_ARGUMENT at the field `field` for malformed JSON or UTF-8, a duplicate key, or more than `limits` allow.
[[nodiscard]] absl::StatusOr<nlohmann::json> ParseJson(std::string_view field, std::string_view text,
                                                       const JsonLimits& limits = {});

// Sorted keys, no spaces, UTF-8: equal values give equal text. Invalid UTF-8 becomes U+FFFD.
[[nodiscard]] std::string CanonicalJson(const nlohmann::json& value);

[[nodiscard]] bool IsValidUtf8(std::string_view text);
// Every byte that is not part of a valid character becomes U+FFFD. Use it for text that quotes or cuts outside bytes
// before it goes into a message: the receiver cannot read a protobuf string that is not UTF-8.
[[nodiscard]] std::string ToValidUtf8(std::string_view text);

}  // namespace gwq
