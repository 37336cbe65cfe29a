// A progress sink that remembers the last update.
#pragma once

#include <functional>

#include "client/library/progress_sink.h"

namespace gwq::testing {

class ProgressRecord final : public client::ProgressSink {
 public:
  void Update(std::string_view, uint64_t done, uint64_t total, std::string_view) override {
    last_done = done;
    last_total = total;
    if (step) step();
  }
  void Done() override {}

  std::function<void()> step;  // called at each update
  uint64_t last_done = 0, last_total = 0;
};

}  // namespace gwq::testing
