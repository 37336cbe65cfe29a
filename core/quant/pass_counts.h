// Gradient passes of a quantization job.
#pragma once

namespace gwq {

struct PassCounts {
  int run = 0;     // by the job itself
  int reused = 0;  // taken from what earlier jobs kept (core/storage/pass_cache.h)
};

}  // namespace gwq
