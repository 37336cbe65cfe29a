// Tensors of a model by name, and where their weights come from.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "core/backend/backend.h"
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

struct NamedWeight {
  std::string name;
  std::shared_ptr<const Weight> weight;
};

// Gives the weights of a model by name, in a backend's layout. A tensor asked for while an earlier copy is alive is the
// same object, so a tied head costs nothing. Not thread-safe.
class WeightLoader {
 public:
  virtual ~WeightLoader() = default;
  // A weight of shape MatrixShape(spec.shape). NOT_FOUND, or INVALID_ARGUMENT where the stored shape is not
  // `spec.shape`.
  [[nodiscard]] virtual absl::StatusOr<std::shared_ptr<const Weight>> Load(const TensorSpec& spec) = 0;
};

}  // namespace gwq
