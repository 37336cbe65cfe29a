// A report as a page for people: tables and plots in one file that loads nothing.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace gwq {

// Modules that the page lists, at most; the JSON has all.
inline constexpr size_t kMaxListedModules = 1000;

// Of a report's JSON, of whichever version: what a version did not know has no section. The same JSON gives the same
// page. Every text in it is escaped. DATA_LOSS if it is no JSON object.
[[nodiscard]] absl::StatusOr<std::string> ReportHtml(std::string_view report_json);

}  // namespace gwq
