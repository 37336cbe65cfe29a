// The vision part of a served model.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>

#include "core/backend/backend.h"
#include "core/engine/fifo_lock.h"
#include "core/models/model.h"
#include "core/vision/image_processor.h"
#include "server/infer/image_metrics.h"

namespace gwq {

// Thread-safe.
class ServedVision {
 public:
  // Backend, fifo_lock and metrics must outlive this object. `model` has a vision tower.
  ServedVision(std::shared_ptr<const LoadedModel> model, std::unique_ptr<const ImageProcessor> processor,
               Backend& backend, FifoLock& fifo_lock, Metrics& metrics, const MetricLabels& labels)
      : model_(std::move(model)),
        processor_(std::move(processor)),
        backend_(backend),
        fifo_lock_(fifo_lock),
        metrics_(metrics, labels) {}

  [[nodiscard]] const Model& model() const { return model_->model(); }
  [[nodiscard]] const ImageProcessor& processor() const { return *processor_; }
  [[nodiscard]] ImageMetrics& metrics() { return metrics_; }
  // Writes the image's rows [image_tokens, hidden]. Waits for the backend's turn before each stage of each tile (a
  // block of the tower) and computes, so it must not run in a reaction or on an engine's thread. `check` is called
  // before each stage, outside the turn, and ends the work with its error.
  [[nodiscard]] absl::Status Encode(const PreparedImage& image, const std::function<absl::Status()>& check,
                                    std::span<float> rows) const;

 private:
  const std::shared_ptr<const LoadedModel> model_;
  const std::unique_ptr<const ImageProcessor> processor_;
  Backend& backend_;
  FifoLock& fifo_lock_;
  ImageMetrics metrics_;
};

}  // namespace gwq
