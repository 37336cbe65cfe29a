// Whether the ids that end a model's answers are tokens that it can write.
#pragma once

#include <map>
#include <string>

#include "absl/status/status.h"
#include "core/models/config.h"
#include "core/text/model_text.h"

namespace gwq {

// INVALID_ARGUMENT naming file, field, token and the model's vocabulary if a stop id of `text`, loaded from `files`,
// is none of the `config`'s tokens. A tokenizer may know fewer tokens than the model, whose embedding is padded.
[[nodiscard]] absl::Status CheckStopIds(const std::map<std::string, std::string>& files, const ModelText& text,
                                        const ModelConfig& config);

}  // namespace gwq
