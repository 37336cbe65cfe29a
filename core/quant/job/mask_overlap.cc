#include "core/quant/job/mask_overlap.h"

#include <algorithm>
#include <iterator>

#include "core/base/status.h"
#include "core/quant/outliers.h"

namespace gwq {
namespace {

constexpr double kShare = 0.01;
constexpr uint64_t kMaxPicked = uint64_t{1} << 40;

}  // namespace

nlohmann::json OverlapJson(const MaskOverlap& overlap) { return {overlap.both, overlap.either}; }

std::optional<MaskOverlap> ParseOverlap(const nlohmann::json& json) {
  const auto is_count = [](const nlohmann::json& one) { return one.is_number_unsigned(); };
  if (!json.is_array() || json.size() != 2 || !std::ranges::all_of(json, is_count)) return std::nullopt;
  if (json[0] > json[1] || json[1] > kMaxPicked) return std::nullopt;
  return MaskOverlap{json[0].get<int64_t>(), json[1].get<int64_t>()};
}

void HalfMasks::TakeHalf(std::string_view tensor, std::span<const float> gradient) {
  halves_[std::string(tensor)].assign(gradient.begin(), gradient.end());
}

absl::Status HalfMasks::Compare(std::string_view tensor, std::span<const float> sum, MaskOverlap& overlap) {
  const auto found = halves_.find(tensor);
  if (found == halves_.end()) return absl::OkStatus();
  std::vector<float> half = std::move(found->second);
  halves_.erase(found);
  const int64_t count = std::max<int64_t>(OutlierCount(kShare, static_cast<int64_t>(sum.size())), 1);
  GWQ_ASSIGN_OR_RETURN(const std::vector<int64_t> first, LargestScores(half, count, tensor));
  for (size_t i = 0; i < half.size(); ++i) half[i] = sum[i] - half[i];
  GWQ_ASSIGN_OR_RETURN(const std::vector<int64_t> second, LargestScores(half, count, tensor));
  std::vector<int64_t> both;
  std::ranges::set_intersection(first, second, std::back_inserter(both));
  overlap.both += static_cast<int64_t>(both.size());
  overlap.either += 2 * count - static_cast<int64_t>(both.size());
  return absl::OkStatus();
}

}  // namespace gwq
