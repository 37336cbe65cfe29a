// What llama.cpp's convert_hf_to_gguf.py does to names, metadata and rows of a model, undone.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "core/io/gguf.h"

namespace gwq {

// config.json (canonical JSON, torch_dtype float16) from general.architecture ("llama", "qwen2") and its keys.
// INVALID_ARGUMENT naming "metadata[KEY]": a missing or mistyped key, an unknown architecture (with the known ones),
// and what the families cannot run: experts, rotary embedding over part of a head, per-layer head counts. Frequency
// factors of Llama 3.1 and later ("rope_freqs.weight", given in `rope_factors`) are turned back into rope_scaling, or
// refused where they are not of that family.
[[nodiscard]] absl::StatusOr<std::string> GgufConfigJson(const GgufHeader& header, std::span<const float> rope_factors);

// "model.layers.3.self_attn.q_proj.weight" -> "blk.3.attn_q.weight"; empty for a name without counterpart.
[[nodiscard]] std::string GgufTensorName(std::string_view hugging_face_name);

// Rows of each head of Llama's Q and K are stored in pairs (i, i + head_dim / 2) for ggml's rotary embedding. Tells how
// many heads the tensor's rows form, or 0 if its rows are in order.
[[nodiscard]] int64_t PairedHeads(const GgufHeader& header, std::string_view hugging_face_name);
// The stored row that holds row `row` of the original, with `rows` in all.
[[nodiscard]] int64_t StoredRow(int64_t row, int64_t rows, int64_t heads);

}  // namespace gwq
