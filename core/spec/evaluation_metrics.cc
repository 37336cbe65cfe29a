#include "core/spec/evaluation_metrics.h"

#include <array>

namespace gwq {

std::span<const std::string_view> MetricsOf(EvaluationKind kind) {
  static constexpr std::array<std::string_view, 4> kText = {"perplexity", "mean_kl", "p99_kl", "same_top1"};
  static constexpr std::array<std::string_view, 4> kChoices = {"acc", "acc_norm", "mean_kl", "same_choice"};
  static constexpr std::array<std::string_view, 3> kVqa = {"exact_match", "mean_kl", "same_answer"};
  static constexpr std::array<std::string_view, 5> kGrounding = {"accuracy_iou50", "mean_iou", "malformed", "mean_kl",
                                                                 "same_answer"};
  switch (kind) {
    case EvaluationKind::kText:
      return kText;
    case EvaluationKind::kChoices:
      return kChoices;
    case EvaluationKind::kVqa:
      return kVqa;
    case EvaluationKind::kGrounding:
      return kGrounding;
  }
  return {};
}

}  // namespace gwq
