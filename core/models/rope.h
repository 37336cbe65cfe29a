// Rotary frequencies out of config.json.
#pragma once

#include <cstdint>

#include "core/backend/backend.h"
#include "core/models/config_reader.h"

namespace gwq {

// Inverse frequencies and attention factor of a head of `head_dim` with the scaling that the model asks for: "default",
// "linear", "llama3" or "yarn", from `rope_parameters` (transformers 5) or `rope_theta` and `rope_scaling` (4).
// "dynamic" and "longrope" are UNIMPLEMENTED: their frequencies change with the length of the sequence, so a row's
// result would depend on later rows. Errors are kept in `config`. Source: transformers 5.23, modeling_rope_utils.py.
[[nodiscard]] Rope ReadRope(ConfigReader& config, int64_t head_dim, int64_t max_positions);

}  // namespace gwq
