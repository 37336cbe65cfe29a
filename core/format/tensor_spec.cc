#include "core/format/tensor_spec.h"

namespace gwq {

std::string_view TensorKindName(TensorKind kind) {
  switch (kind) {
    case TensorKind::kEmbedding:
      return "embedding";
    case TensorKind::kNorm:
      return "norm";
    case TensorKind::kBias:
      return "bias";
    case TensorKind::kLinear:
      return "linear";
    case TensorKind::kHead:
      return "head";
    case TensorKind::kPosition:
      return "position";
  }
  return "";
}

std::string_view ModelPartName(ModelPart part) {
  switch (part) {
    case ModelPart::kLanguage:
      return "language";
    case ModelPart::kVision:
      return "vision";
    case ModelPart::kProjector:
      return "projector";
  }
  return "";
}

Shape MatrixShape(const Shape& shape) {
  if (shape.size() <= 2) return shape;
  int64_t columns = 1;
  for (size_t i = 1; i < shape.size(); ++i) columns *= shape[i];
  return {shape[0], columns};
}

}  // namespace gwq
