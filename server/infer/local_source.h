// Without a gwq-jobs service: a model is named by its manifest's digest.
#pragma once

#include <memory>
#include <string>

#include "server/infer/model_source.h"

namespace gwq {

// Names are 64 hexadecimal characters and mean the same to every caller; nothing is held, so whoever owns the folder
// must not delete what is loaded.
[[nodiscard]] std::unique_ptr<ModelSource> MakeLocalSource(const std::string& blob_root);

}  // namespace gwq
