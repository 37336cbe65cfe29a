#include "server/infer/engine_metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>

namespace gwq {
namespace {

const std::vector<double> kFirstTokenSeconds = {0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100};
const std::vector<double> kNextTokenSeconds = {0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5};

}  // namespace

EngineMetrics::EngineMetrics(Metrics& metrics, const MetricLabels& labels)
    : metrics_(metrics),
      labels_(labels),
      first_token_(metrics.Histogram("gwq_infer_first_token_seconds",
                                     "Time from a request's arrival to its first token.", kFirstTokenSeconds, labels)),
      next_token_(metrics.Histogram("gwq_infer_inter_token_seconds", "Time between two tokens of one request.",
                                    kNextTokenSeconds, labels)),
      queued_(metrics.Gauge("gwq_infer_queued_requests", "Requests that wait for blocks or a slot.", labels)),
      running_(metrics.Gauge("gwq_infer_running_requests", "Requests in the batch.", labels)),
      paused_(metrics.Gauge("gwq_infer_parked_requests", "Requests whose client does not read.", labels)),
      cache_used_(metrics.Gauge("gwq_infer_cache_used_ratio", "Share of the KV cache's blocks in use.", labels)),
      prompt_tokens_(
          metrics.Counter("gwq_infer_prompt_tokens_total", "Prompt tokens computed, recomputation included.", labels)),
      generated_tokens_(metrics.Counter("gwq_infer_generated_tokens_total", "Tokens generated.", labels)),
      preemptions_(metrics.Counter("gwq_infer_evictions_total",
                                   "Requests that gave their cache blocks back and were computed again.", labels)) {}

EngineMetrics::~EngineMetrics() {
  for (prometheus::Gauge* gauge : {&queued_, &running_, &paused_, &cache_used_}) gauge->Set(0);
}

void EngineMetrics::OnFirstToken(int64_t millis_since_arrival) {
  first_token_.Observe(static_cast<double>(millis_since_arrival) * 1e-3);
}

void EngineMetrics::OnNextToken(int64_t millis_since_last) {
  next_token_.Observe(static_cast<double>(millis_since_last) * 1e-3);
}

void EngineMetrics::OnFinished(absl::StatusCode code) {
  MetricLabels labels = labels_;
  labels.emplace_back("code", absl::StatusCodeToString(code));
  metrics_.Counter("gwq_infer_requests_total", "Requests that ended in the engine, by status code.", labels)
      .Increment();
}

void EngineMetrics::OnStats(const SchedulerStats& stats) {
  queued_.Set(stats.queued);
  running_.Set(stats.running);
  paused_.Set(stats.paused);
  cache_used_.Set(1 - static_cast<double>(stats.free_blocks) / static_cast<double>(stats.blocks));
  prompt_tokens_.Increment(static_cast<double>(stats.prompt_tokens - last_.prompt_tokens));
  generated_tokens_.Increment(static_cast<double>(stats.generated_tokens - last_.generated_tokens));
  preemptions_.Increment(static_cast<double>(stats.preemptions - last_.preemptions));
  last_ = stats;
}

}  // namespace gwq
