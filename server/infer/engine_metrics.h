// The Prometheus metrics of one served model.
#pragma once

#include <string>

#include "core/engine/scheduler.h"
#include "server/common/metrics.h"

namespace gwq {

// Called on the engine's thread.
class EngineMetrics final : public EngineObserver {
 public:
  // `metrics` must outlive this object. `labels` identify the model.
  EngineMetrics(Metrics& metrics, const MetricLabels& labels);
  // Sets the gauges to zero: the model is gone.
  ~EngineMetrics() override;

  void OnFirstToken(int64_t millis_since_arrival) override;
  void OnNextToken(int64_t millis_since_last) override;
  void OnFinished(absl::StatusCode code) override;
  void OnStats(const SchedulerStats& stats) override;

 private:
  Metrics& metrics_;
  const MetricLabels labels_;
  prometheus::Histogram& first_token_;
  prometheus::Histogram& next_token_;
  prometheus::Gauge& queued_;
  prometheus::Gauge& running_;
  prometheus::Gauge& paused_;
  prometheus::Gauge& cache_used_;
  prometheus::Counter& prompt_tokens_;
  prometheus::Counter& generated_tokens_;
  prometheus::Counter& preemptions_;
  SchedulerStats last_;
};

}  // namespace gwq
