// Structured logs: one JSON object per line on standard error. Never pass a prompt, a generated text or a token.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <variant>

#include "absl/status/statusor.h"

namespace spdlog {
class logger;
}

namespace gwq {

enum class LogLevel { kDebug, kInfo, kWarning, kError };
// "debug", "info", "warning", "error".
[[nodiscard]] absl::StatusOr<LogLevel> ParseLogLevel(std::string_view name);

struct LogField {
  LogField(std::string_view name, std::string_view text) : key(name), value(std::string(text)) {}
  LogField(std::string_view name, const char* text) : key(name), value(std::string(text)) {}
  LogField(std::string_view name, int64_t number) : key(name), value(number) {}
  LogField(std::string_view name, uint64_t number) : key(name), value(static_cast<int64_t>(number)) {}
  LogField(std::string_view name, int number) : key(name), value(int64_t{number}) {}
  LogField(std::string_view name, double number) : key(name), value(number) {}
  LogField(std::string_view name, bool truth) : key(name), value(truth) {}

  std::string_view key;
  std::variant<std::string, int64_t, double, bool> value;
};

// Thread-safe. A line holds "time" (RFC 3339, UTC), "level", "service", "event" and the fields.
class Log {
 public:
  Log(std::string_view service, LogLevel least);
  ~Log();
  void Write(LogLevel level, std::string_view event, std::initializer_list<LogField> fields = {}) const;

 private:
  const std::string service_;
  const LogLevel least_;
  std::unique_ptr<spdlog::logger> logger_;
};

}  // namespace gwq
