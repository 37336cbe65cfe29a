// Where the weights of a model come from.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "core/backend/backend.h"
#include "core/format/tensor_spec.h"

namespace gwq {

struct NamedWeight {
  std::string name;
  std::shared_ptr<const Weight> weight;
};

// Gives the weights of a model by name, in a backend's layout. A tensor asked for while an earlier copy is alive is the
// same object, so a tied head costs nothing. Not thread-safe.
class WeightLoader {
 public:
  virtual ~WeightLoader() = default;
  // A weight of shape MatrixShape(spec.shape). NOT_FOUND, or INVALID_ARGUMENT if the stored shape is not
  // `spec.shape`.
  [[nodiscard]] virtual absl::StatusOr<std::shared_ptr<const Weight>> Load(const TensorSpec& spec) = 0;
};

}  // namespace gwq
