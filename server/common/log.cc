#include "server/common/log.h"

#include <fmt/format.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <chrono>
#include <ctime>
#include <nlohmann/json.hpp>

#include "core/base/status.h"

namespace gwq {
namespace {

constexpr std::string_view kNames[] = {"debug", "info", "warning", "error"};

std::string Now() {
  const auto now = std::chrono::system_clock::now();
  const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  const auto millis = std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count() % 1000;
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[32];
  std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &parts);
  return fmt::format("{}.{:03}Z", text, millis);
}

}  // namespace

absl::StatusOr<LogLevel> ParseLogLevel(std::string_view name) {
  for (int i = 0; i < 4; ++i) {
    if (name == kNames[i]) return static_cast<LogLevel>(i);
  }
  return InvalidField("log-level", fmt::format("'{}' is not one of debug, info, warning, error", name));
}

Log::Log(std::string_view service, LogLevel least) : service_(service), least_(least) {
  logger_ = std::make_unique<spdlog::logger>(service_, std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger_->set_pattern("%v");
  logger_->set_level(spdlog::level::trace);
}

Log::~Log() = default;

void Log::Write(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) const {
  if (level < least_) return;
  nlohmann::ordered_json line = {
      {"time", Now()}, {"level", kNames[static_cast<int>(level)]}, {"service", service_}, {"event", event}};
  for (const LogField& field : fields) {
    std::visit([&](const auto& value) { line[std::string(field.key)] = value; }, field.value);
  }
  // Names come from clients: bytes that are not UTF-8 are replaced, never thrown on.
  logger_->log(spdlog::level::info, line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

}  // namespace gwq
