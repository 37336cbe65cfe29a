// Resolves names without a gwq-jobs service: a model's name is its manifest's digest.
#pragma once

#include <memory>
#include <string>

#include "server/infer/models/model_source.h"

namespace gwq {

// Names are 64 hexadecimal characters and mean the same to every caller. There are no holds, so the owner of the
// folder must not delete models that are loaded.
[[nodiscard]] std::unique_ptr<ModelSource> MakeLocalSource(const std::string& blob_root);

}  // namespace gwq
