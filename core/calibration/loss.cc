#include "core/calibration/loss.h"

#include <algorithm>
#include <cmath>

namespace gwq {
namespace {

double LossOfRow(std::span<float> row, double positions) {
  const auto label = static_cast<size_t>(std::ranges::max_element(row) - row.begin());
  const double top = row[label];
  double sum = 0;
  for (const float logit : row) sum += std::exp(logit - top);
  for (float& logit : row) logit = static_cast<float>(std::exp(logit - top) / sum / positions);
  row[label] = static_cast<float>((1 / sum - 1) / positions);
  return std::log(sum) / positions;
}

}  // namespace

double OwnLabelLoss(std::span<float> logits, size_t vocabulary, double positions) {
  double loss = 0;
  for (size_t row = 0; row < logits.size(); row += vocabulary) {
    loss += LossOfRow(logits.subspan(row, vocabulary), positions);
  }
  return loss;
}

}  // namespace gwq
