// The Prometheus metrics of the images of one served model.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "server/common/metrics.h"

namespace gwq {

// Milliseconds that a request's images took before its prompt went to the engine.
struct ImageTimes {
  double queue_millis = 0;    // behind other requests' images
  double prepare_millis = 0;  // decoding and preprocessing
  double encode_millis = 0;   // tower and projector, with the wait for the processor's turn
};

// Thread-safe.
class ImageMetrics {
 public:
  // `metrics` must outlive this object. `labels` identify the model.
  ImageMetrics(Metrics& metrics, const MetricLabels& labels);

  // A request's images have become rows of a prompt, or have failed with `code`.
  void OnImages(int images, int64_t rows, const ImageTimes& times, absl::StatusCode code);

 private:
  Metrics& metrics_;
  const MetricLabels labels_;
  prometheus::Counter& rows_;
  prometheus::Histogram& queue_;
  prometheus::Histogram& prepare_;
  prometheus::Histogram& encode_;
};

}  // namespace gwq
