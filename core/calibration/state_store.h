// Hidden states of many samples between two stages of a walk.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "core/io/scratch_file.h"

namespace gwq {

// States by stage and sample, each a vector of floats. Up to `memory_bytes` are held in memory; what comes after that
// goes to a temporary file without a name, whose room is used again for states of the same size, so that with states of
// one size the file is never larger than the most that were held at once. Not thread-safe.
class StateStore {
 public:
  explicit StateStore(uint64_t memory_bytes) : memory_limit_(memory_bytes) {}

  // Replaces what the key held. The errors of ScratchFile.
  [[nodiscard]] absl::Status Put(int stage, size_t sample, std::vector<float> values);
  // INTERNAL if there is none.
  [[nodiscard]] absl::StatusOr<std::vector<float>> Get(int stage, size_t sample) const;
  [[nodiscard]] bool Holds(int stage, size_t sample) const { return entries_.contains({stage, sample}); }
  void Drop(int stage, size_t sample);

  [[nodiscard]] uint64_t memory_bytes() const { return memory_used_; }
  [[nodiscard]] uint64_t file_bytes() const { return file_end_; }

 private:
  struct Entry {
    std::vector<float> values;  // empty if the state is in the file
    uint64_t offset = 0;
    size_t count = 0;
    bool in_file = false;
  };
  [[nodiscard]] uint64_t TakeRoom(uint64_t bytes);

  const uint64_t memory_limit_;
  uint64_t memory_used_ = 0;
  uint64_t file_end_ = 0;
  std::unique_ptr<ScratchFile> file_;
  std::map<std::pair<int, size_t>, Entry> entries_;
  std::multimap<uint64_t, uint64_t> free_;  // bytes to offset, of the file
};

}  // namespace gwq
