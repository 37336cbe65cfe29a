// Fields of config.json that decoders and towers read alike, and the bounds of all of them.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "core/backend/backend.h"
#include "core/models/config_reader.h"

namespace gwq {

// No product of two of these, times 8 bytes and the blocks, comes near 2^62.
inline constexpr int64_t kMaxVocabulary = int64_t{1} << 22;
inline constexpr int64_t kMaxHidden = int64_t{1} << 17;
inline constexpr int64_t kMaxIntermediate = int64_t{1} << 19;
inline constexpr int64_t kMaxBlocks = 1024;
inline constexpr int64_t kMaxHeads = 4096;
inline constexpr int64_t kMaxHeadDim = 1024;
inline constexpr int64_t kMaxPositions = int64_t{1} << 30;
inline constexpr int64_t kMaxTokenId = kMaxVocabulary - 1;

// The name of an activation; UNIMPLEMENTED, kept in `json`, for one that is not known.
[[nodiscard]] Gate ReadActivation(ConfigReader& json, std::string_view name, std::string_view fallback);

// A size that files give as one number or as a list of `dimensions` equal ones; UNIMPLEMENTED if they differ.
[[nodiscard]] int64_t ReadSquare(ConfigReader& json, std::string_view name, int64_t fallback, int64_t high);

// The shape of a tower's attention: `heads_field` heads over `hidden`, with as many key heads. Rotary positions over
// two axes want a head_dim that four divides.
[[nodiscard]] AttentionShape ReadTowerAttention(ConfigReader& json, std::string_view heads_field, int64_t hidden,
                                                bool rotary);

}  // namespace gwq
