// A PassCache in memory, for tests of jobs.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>

#include "core/storage/pass_cache.h"

namespace gwq::testing {

class MemoryPassCache final : public PassCache {
 public:
  using Records = std::map<std::pair<std::string, std::string>, Checkpoint>;

  explicit MemoryPassCache(uint64_t room = uint64_t{1} << 30) : room_(room) {}
  [[nodiscard]] uint64_t room() const override { return room_; }
  absl::StatusOr<std::optional<Checkpoint>> Load(const PassKey& key) override {
    const auto found = records.find({key.what.Hex(), key.producer});
    if (found == records.end()) return std::nullopt;
    return found->second;
  }
  absl::Status Save(const PassKey& key, const Checkpoint& found) override {
    records[{key.what.Hex(), key.producer}] = found;
    return answer;
  }

  Records records;
  absl::Status answer;  // of Save

 private:
  const uint64_t room_;
};

}  // namespace gwq::testing
