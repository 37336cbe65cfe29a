#include "server/common/metrics.h"

#include <fmt/format.h>
#include <prometheus/counter.h>
#include <prometheus/exposer.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <exception>

namespace gwq {
namespace {

// A thread each; those that come later wait for one. What is not sent by then ends its connection, so that connections
// that stand still hold up a scrape by no more than this for every kConnections of them.
constexpr int kConnections = 64;
constexpr int kRequestMillis = 1000;

prometheus::Labels Map(const MetricLabels& labels) { return {labels.begin(), labels.end()}; }

}  // namespace

Metrics::Metrics() : registry_(std::make_shared<prometheus::Registry>()) {}
Metrics::~Metrics() = default;

prometheus::Counter& Metrics::Counter(std::string_view name, std::string_view help, const MetricLabels& labels) {
  auto& family = prometheus::BuildCounter().Name(std::string(name)).Help(std::string(help)).Register(*registry_);
  return family.Add(Map(labels));
}

prometheus::Gauge& Metrics::Gauge(std::string_view name, std::string_view help, const MetricLabels& labels) {
  auto& family = prometheus::BuildGauge().Name(std::string(name)).Help(std::string(help)).Register(*registry_);
  return family.Add(Map(labels));
}

prometheus::Histogram& Metrics::Histogram(std::string_view name, std::string_view help,
                                          const std::vector<double>& bounds, const MetricLabels& labels) {
  auto& family = prometheus::BuildHistogram().Name(std::string(name)).Help(std::string(help)).Register(*registry_);
  return family.Add(Map(labels), bounds);
}

absl::StatusOr<std::string> Metrics::Expose(const std::string& address) {
  // The exposer throws where it cannot bind.
  try {
    exposer_ = std::make_unique<prometheus::Exposer>(
        std::vector<std::string>{"listening_ports", address, "num_threads", fmt::format("{}", kConnections),
                                 "request_timeout_ms", fmt::format("{}", kRequestMillis)});
  } catch (const std::exception& error) {
    return absl::UnavailableError(fmt::format(
        "metrics: cannot listen on '{}' ({}); give a free HOST:PORT, port 0 takes any", address, error.what()));
  }
  exposer_->RegisterCollectable(registry_);
  const auto ports = exposer_->GetListeningPorts();
  if (ports.empty()) return absl::InternalError(fmt::format("metrics: no port is bound at '{}'", address));
  return fmt::format("{}:{}", address.substr(0, address.rfind(':')), ports.front());
}

std::string Metrics::Text() const { return prometheus::TextSerializer().Serialize(registry_->Collect()); }

}  // namespace gwq
