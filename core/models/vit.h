// The tower that the families share: a vision transformer of pre-norm blocks, and the merger or projector behind it.
// What differs stands in VisionConfig, and in how a file names the tensors.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/models/vision_tower.h"

namespace gwq {

// Modules as the file names them, without ".weight" and ".bias"; empty if the family has none.
struct VitNames {
  std::string patch;
  std::string position;
  std::string class_token;  // a tensor's whole name
  std::string pre_norm;
  std::string block;  // with {} for its index; the names below stand behind it
  std::string norm1, qkv, q, k, v, out;
  std::string norm2, gate, up, down;
  std::string post_norm;
  ModelPart post_norm_part = ModelPart::kVision;
  std::string project, project_out;  // two linear layers, or the second's name empty
};

// `out_size` is the language model's hidden size; stage s of the tower is first_stage + s in TensorSpec::stage. Appends
// the tower's tensors to `tensors`. A stage must not outlive the tower.
[[nodiscard]] std::unique_ptr<VisionTower> MakeVit(const VisionConfig& config, int64_t out_size, int first_stage,
                                                   const VitNames& names, std::vector<TensorSpec>& tensors);

}  // namespace gwq
