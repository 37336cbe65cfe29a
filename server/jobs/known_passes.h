// What earlier jobs of a principal found out, for the plan of another one.
#pragma once

#include <string>

#include "core/storage/pass_cache.h"
#include "server/jobs/jobs_state.h"

namespace gwq {

// Reads only. Both outlive it.
class KnownPasses final : public PassCache {
 public:
  KnownPasses(const JobsState& state, const std::string& principal) : state_(state), principal_(principal) {}
  [[nodiscard]] uint64_t room() const override { return 0; }
  [[nodiscard]] absl::StatusOr<std::optional<Checkpoint>> Load(const PassKey& key) override;
  [[nodiscard]] absl::Status Save(const PassKey& key, const Checkpoint& found) override;

 private:
  const JobsState& state_;
  const std::string& principal_;
};

}  // namespace gwq
