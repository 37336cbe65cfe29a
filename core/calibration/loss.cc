#include "core/calibration/loss.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "core/base/draw.h"

namespace gwq {
namespace {

// Logits become probabilities.
void Normalize(std::span<float> row) {
  const float top = *std::ranges::max_element(row);
  double sum = 0;
  for (float& logit : row) {
    logit = std::exp(logit - top);
    sum += logit;
  }
  const auto factor = static_cast<float>(1 / sum);
  for (float& logit : row) logit *= factor;
}

// Of the probabilities p and q; where p is 0 nothing is lost.
double Divergence(std::span<const float> p, std::span<const float> q) {
  double sum = 0;
  for (size_t i = 0; i < p.size(); ++i) {
    if (p[i] > 0) sum += p[i] * std::log(p[i] / std::max(q[i], std::numeric_limits<float>::min()));
  }
  return sum;
}

double LossOfRow(std::span<float> row, double positions) {
  const auto label = static_cast<size_t>(std::ranges::max_element(row) - row.begin());
  const double top = row[label];
  double sum = 0;
  for (const float logit : row) sum += std::exp(logit - top);
  for (float& logit : row) logit = static_cast<float>(std::exp(logit - top) / sum / positions);
  row[label] = static_cast<float>((1 / sum - 1) / positions);
  return std::log(sum) / positions;
}

// The first token with which the probabilities add up to more than a number drawn in [0, 1).
size_t DrawnLabel(std::span<const float> probabilities, uint64_t draw) {
  const double wanted = static_cast<double>(draw >> 11) * 0x1p-53;
  double sum = 0;
  for (size_t i = 0; i < probabilities.size(); ++i) {
    sum += probabilities[i];
    if (sum > wanted) return i;
  }
  // Rounding left the sum below 1.
  return static_cast<size_t>(std::ranges::max_element(probabilities) - probabilities.begin());
}

}  // namespace

double OwnLabelLoss(std::span<float> logits, size_t vocabulary, double positions) {
  double loss = 0;
  for (size_t row = 0; row < logits.size(); row += vocabulary) {
    loss += LossOfRow(logits.subspan(row, vocabulary), positions);
  }
  return loss;
}

double DrawnLabelLoss(std::span<float> logits, size_t vocabulary, double positions, uint64_t seed, uint64_t first) {
  double loss = 0;
  for (size_t row = 0; row < logits.size() / vocabulary; ++row) {
    const std::span<float> values = logits.subspan(row * vocabulary, vocabulary);
    Normalize(values);
    const size_t label = DrawnLabel(values, Draw(seed, first + row));
    loss -= std::log(values[label]) / positions;
    values[label] -= 1.0F;
    for (float& value : values) value = static_cast<float>(value / positions);
  }
  return loss;
}

double DivergenceLoss(std::span<float> logits, std::span<float> reference, size_t vocabulary, double positions,
                      ThreadPool& pool, const NextTokens& next) {
  const size_t rows = logits.size() / vocabulary;
  std::vector<double> losses(rows);
  pool.ParallelFor(static_cast<int64_t>(rows), 1, [&](int64_t begin, int64_t end, int) {
    for (auto row = static_cast<size_t>(begin); row < static_cast<size_t>(end); ++row) {
      const std::span<float> model = logits.subspan(row * vocabulary, vocabulary);
      const std::span<float> wanted = reference.subspan(row * vocabulary, vocabulary);
      Normalize(model);
      Normalize(wanted);
      losses[row] = Divergence(wanted, model) / positions;
      const bool follows = next.share > 0 && row < next.tokens.size() && next.tokens[row] >= 0;
      const auto kept = static_cast<float>(follows ? 1 - next.share : 1);
      for (size_t i = 0; i < vocabulary; ++i) model[i] = static_cast<float>((model[i] - kept * wanted[i]) / positions);
      if (follows) model[static_cast<size_t>(next.tokens[row])] -= static_cast<float>(next.share / positions);
    }
  });
  double loss = 0;
  for (const double one : losses) loss += one;
  return loss;
}

}  // namespace gwq
