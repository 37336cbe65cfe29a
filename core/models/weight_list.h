// The weights of a stage while it loads.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "core/base/status.h"
#include "core/models/weight_loader.h"

namespace gwq {

class WeightList {
 public:
  // The pointer lives as long as the list or a move of it.
  [[nodiscard]] absl::StatusOr<const Weight*> Load(const TensorSpec& spec, WeightLoader& loader) {
    GWQ_ASSIGN_OR_RETURN(std::shared_ptr<const Weight> weight, loader.Load(spec));
    all_.push_back({spec.name, weight});
    return weight.get();
  }
  [[nodiscard]] const std::vector<NamedWeight>& all() const { return all_; }

 private:
  std::vector<NamedWeight> all_;
};

}  // namespace gwq
