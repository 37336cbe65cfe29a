#include "server/infer/image_metrics.h"

#include <prometheus/counter.h>
#include <prometheus/histogram.h>

namespace gwq {
namespace {

const std::vector<double> kSeconds = {0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100};

}  // namespace

ImageMetrics::ImageMetrics(Metrics& metrics, const MetricLabels& labels)
    : metrics_(metrics),
      labels_(labels),
      rows_(metrics.Counter("gwq_infer_image_tokens_total", "Rows of prompts that images became.", labels)),
      queue_(metrics.Histogram("gwq_infer_image_queue_seconds", "Time that a request's images waited for a thread.",
                               kSeconds, labels)),
      prepare_(metrics.Histogram("gwq_infer_image_prepare_seconds", "Time to decode and preprocess a request's images.",
                                 kSeconds, labels)),
      encode_(metrics.Histogram("gwq_infer_image_encode_seconds",
                                "Time a request's images took in the vision tower, waiting for their turn included.",
                                kSeconds, labels)) {}

void ImageMetrics::OnImages(int images, int64_t rows, const ImageTimes& times, absl::StatusCode code) {
  MetricLabels labels = labels_;
  labels.emplace_back("code", absl::StatusCodeToString(code));
  metrics_
      .Counter("gwq_infer_images_total", "Images of requests, by the status that preparing and encoding them had.",
               labels)
      .Increment(images);
  queue_.Observe(times.queue_millis * 1e-3);
  if (code != absl::StatusCode::kOk) return;
  rows_.Increment(static_cast<double>(rows));
  prepare_.Observe(times.prepare_millis * 1e-3);
  encode_.Observe(times.encode_millis * 1e-3);
}

}  // namespace gwq
