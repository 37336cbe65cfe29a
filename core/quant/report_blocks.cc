#include "core/quant/report_blocks.h"

#include <algorithm>
#include <cmath>
#include <string_view>

namespace gwq {
namespace {

// Whole dotted parts that both begin with.
std::string_view Common(std::string_view a, std::string_view b) {
  if (a == b) return a;
  const size_t same = static_cast<size_t>(std::ranges::mismatch(a, b).in1 - a.begin());
  const auto ends = [&](std::string_view text) { return same == text.size() || text[same] == '.'; };
  if (ends(a) && ends(b)) return a.substr(0, same);
  const size_t dot = a.substr(0, same).rfind('.');
  return a.substr(0, dot == std::string_view::npos ? 0 : dot);
}

struct Sum {
  ReportBlock block;
  double norm = 0, error = 0;
};

}  // namespace

std::vector<ReportBlock> BlocksOf(const std::vector<ReportModule>& modules) {
  std::vector<Sum> sums;
  for (const ReportModule& module : modules) {
    if (sums.empty() || sums.back().block.stage != module.stage || sums.back().block.part != module.part) {
      Sum& sum = sums.emplace_back();
      sum.block.name = module.tensor;
      sum.block.part = module.part;
      sum.block.stage = module.stage;
    }
    Sum& sum = sums.back();
    sum.block.name = std::string(Common(sum.block.name, module.tensor));
    sum.block.weights += module.weights;
    sum.block.stored_bytes += module.stored_bytes;
    sum.norm += module.norm;
    sum.error += module.error;
    if (module.block_loss_before) sum.block.loss_before = module.block_loss_before;
    if (module.block_loss_after) sum.block.loss_after = module.block_loss_after;
  }
  std::vector<ReportBlock> out;
  for (Sum& sum : sums) {
    sum.block.relative_error = sum.norm > 0 ? std::sqrt(sum.error / sum.norm) : 0.0;
    out.push_back(std::move(sum.block));
  }
  return out;
}

}  // namespace gwq
