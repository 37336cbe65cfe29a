// What the gradient passes of earlier jobs found out, for the jobs after them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "core/base/sha256.h"
#include "core/storage/checkpoint.h"

namespace gwq {

// Two passes with one key find the same, bit by bit.
struct PassKey {
  Digest what;           // of everything that determines what a pass finds, but for what computes it
  std::string producer;  // what computes it: canonical JSON of versions, instruction set and threads
  Digest model;          // manifest of the model; the record goes when the model does
};

// Not thread-safe. A record is stored like a checkpoint: `state` is the pass's own affair, and all of its blobs are
// scratch blobs, so that they can be removed with the record.
class PassCache {
 public:
  virtual ~PassCache() = default;
  // Bytes of the largest record that may be kept; 0: none is, and a pass need not store what only a record would name.
  [[nodiscard]] virtual uint64_t room() const = 0;
  // What Save was given under this key; none if there is nothing, or nothing any more. DATA_LOSS if it cannot be read.
  // Its blobs may be damaged or go at any time: they are to be checked, and then the pass is run again.
  [[nodiscard]] virtual absl::StatusOr<std::optional<Checkpoint>> Load(const PassKey& key) = 0;
  // Keeps `found` in place of what was under the key, or removes its blobs where there is no room. ABORTED if the lease
  // is lost.
  [[nodiscard]] virtual absl::Status Save(const PassKey& key, const Checkpoint& found) = 0;
};

// Keeps nothing: a job that runs by itself.
class NoPassCache final : public PassCache {
 public:
  [[nodiscard]] uint64_t room() const override { return 0; }
  [[nodiscard]] absl::StatusOr<std::optional<Checkpoint>> Load(const PassKey&) override { return std::nullopt; }
  [[nodiscard]] absl::Status Save(const PassKey&, const Checkpoint&) override { return absl::OkStatus(); }
};

}  // namespace gwq
