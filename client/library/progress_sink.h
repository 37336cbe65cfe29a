// Where a long client operation tells how far it is.
#pragma once

#include <cstdint>
#include <string_view>

namespace gwq::client {

// Called by one thread at a time.
class ProgressSink {
 public:
  virtual ~ProgressSink() = default;
  // `done` of `total` units; `unit` is "B" for bytes, or a noun.
  virtual void Update(std::string_view phase, uint64_t done, uint64_t total, std::string_view unit) = 0;
  // Ends the phase's line.
  virtual void Done() = 0;
};

}  // namespace gwq::client
