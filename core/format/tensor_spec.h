// What a tensor of a model is: its name, its shape as stored, its kind and its part of the model.
#pragma once

#include <string>
#include <string_view>

#include "core/base/tensor_view.h"

namespace gwq {

// What a tensor is, from the model's definition and never from its name; recorded in the manifest. kPosition: a table
// of learned positions.
enum class TensorKind { kEmbedding, kNorm, kBias, kLinear, kHead, kPosition };
enum class ModelPart { kLanguage, kVision, kProjector };
[[nodiscard]] std::string_view TensorKindName(TensorKind kind);
[[nodiscard]] std::string_view ModelPartName(ModelPart part);

struct TensorSpec {
  std::string name;  // as in the file, "model.layers.0.self_attn.q_proj.weight"
  // As in the file. A convolution over patches that do not overlap is a kLinear of more than two dimensions: the matrix
  // MatrixShape(shape).
  Shape shape;
  TensorKind kind = TensorKind::kLinear;
  ModelPart part = ModelPart::kLanguage;
  int stage = 0;
};

// The dimensions after the first as one; vectors and matrices as they are. What a backend loads and a format packs.
[[nodiscard]] Shape MatrixShape(const Shape& shape);

}  // namespace gwq
