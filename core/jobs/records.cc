#include "core/jobs/records.h"

#include <string_view>

namespace gwq {

std::string_view JobStateName(JobState state) {
  constexpr std::string_view kNames[] = {"queued", "running", "succeeded", "failed", "cancelled"};
  return kNames[static_cast<int>(state)];
}

}  // namespace gwq
