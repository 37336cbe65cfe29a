// Prometheus metrics. A metric is declared with its help text where it is used: metrics.Counter("gwq_x_total", "...").
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace prometheus {
class Counter;
class Exposer;
class Gauge;
class Histogram;
class Registry;
}  // namespace prometheus

namespace gwq {

using MetricLabels = std::vector<std::pair<std::string, std::string>>;

// Thread-safe. A returned metric lives as long as this object. The same name and labels return the same metric.
class Metrics {
 public:
  Metrics();
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  prometheus::Counter& Counter(std::string_view name, std::string_view help, const MetricLabels& labels = {});
  prometheus::Gauge& Gauge(std::string_view name, std::string_view help, const MetricLabels& labels = {});
  // `bounds`: upper bounds of the buckets, ascending.
  prometheus::Histogram& Histogram(std::string_view name, std::string_view help, const std::vector<double>& bounds,
                                   const MetricLabels& labels = {});

  // Serves GET /metrics, to a bounded number of connections at once, on `address` ("127.0.0.1:0": a free port). Returns
  // host:port.
  [[nodiscard]] absl::StatusOr<std::string> Expose(const std::string& address);
  // The text that GET /metrics returns.
  [[nodiscard]] std::string Text() const;

 private:
  std::shared_ptr<prometheus::Registry> registry_;
  std::unique_ptr<prometheus::Exposer> exposer_;
};

}  // namespace gwq
