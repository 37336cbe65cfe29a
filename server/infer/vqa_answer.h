// Makes gwq.v1.VqaResult from the engine's output.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/engine/request.h"
#include "core/text/stream_decoder.h"
#include "core/vision/boxes.h"
#include "gwq/v1/inference.pb.h"
#include "server/infer/vqa_request.h"

namespace gwq {

// Collects one answer, which is bounded by the context. Used by one thread at a time. Keeps no reference to the model.
class VqaAnswer {
 public:
  // `image` is the one that boxes are in; null unless the task is boxes.
  [[nodiscard]] static absl::StatusOr<VqaAnswer> Create(const ServedModel& model, VqaTask task,
                                                        const PreparedImage* image);

  void Add(const GeneratedChunk& chunk);
  // Called once, after the last Add.
  [[nodiscard]] absl::StatusOr<v1::VqaResult> Finish(const GenerationResult& result);

 private:
  explicit VqaAnswer(VqaTask task) : task_(std::move(task)) {}
  [[nodiscard]] v1::FreeText Text() const;
  [[nodiscard]] v1::ChoiceResult Choices(const GenerationResult& result) const;
  [[nodiscard]] absl::StatusOr<v1::BoxResult> Boxes(const GenerationResult& result);
  [[nodiscard]] absl::StatusOr<std::string> TextWithSpecialTokens(const GenerationResult& result);

  VqaTask task_;
  std::string text_;
  std::vector<int32_t> tokens_;
  std::vector<double> log_probabilities_;
  std::optional<StreamDecoder> with_special_tokens_;  // boxes are written in special tokens
  PreparedImage image_;                               // without patches
  GroundingFormat grounding_ = GroundingFormat::kNone;
};

}  // namespace gwq
