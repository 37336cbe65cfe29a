// A job's log, kept for a test to read.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/base/progress.h"

namespace gwq::testing {

class LogLines final : public Progress {
 public:
  void Step(std::string_view, int64_t, int64_t) override {}
  void Log(std::string_view line) override { lines.emplace_back(line); }
  absl::Status Check() override { return absl::OkStatus(); }
  std::vector<std::string> lines;
};

}  // namespace gwq::testing
