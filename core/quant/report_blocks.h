// The modules of a report by block.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/quant/report.h"

namespace gwq {

// The packed matrices of one stage: a block, the embedding, or the head.
struct ReportBlock {
  std::string name;  // what the names of its tensors have in common: "model.layers.3"
  ModelPart part = ModelPart::kLanguage;
  int stage = 0;
  uint64_t weights = 0, stored_bytes = 0;
  double relative_error = 0;                      // |W - W'| / |W| over its matrices together
  std::optional<double> loss_before, loss_after;  // of its output, where its matrices were learned together
};

// In the order of the modules.
[[nodiscard]] std::vector<ReportBlock> BlocksOf(const std::vector<ReportModule>& modules);

}  // namespace gwq
