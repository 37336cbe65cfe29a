// What an attempt of a long job leaves, so that the next attempt goes on from there.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/sha256.h"
#include "core/storage/blob_store.h"

namespace gwq {

struct Checkpoint {
  std::string state;          // canonical JSON; what it means is the job's own affair
  std::vector<Digest> blobs;  // durable blobs that `state` names: garbage collection spares them with the checkpoint
  // The like, made with BeginScratch: removed as soon as the job's next checkpoint does not name them, and when the job
  // ends. A long job would fill the disk otherwise, since the collector spares what was stored since it began.
  std::vector<Digest> scratch = {};
};

// Starts a blob that only the caller's job will name: a header stands before what is appended, "gwq scratch\n" and 26
// random characters, so that no other blob has its digest and it can be removed without asking who else needs it.
constexpr uint64_t kScratchHeaderBytes = 38;
[[nodiscard]] absl::StatusOr<std::unique_ptr<BlobWriter>> BeginScratch(BlobStore& store);

// Removes the checkpoint `digest` and the scratch blobs that it names and `kept` does not. For a checkpoint that is no
// job's any more. Spares what does not begin as a scratch blob does, whoever named it. What cannot be removed is left
// to the collector.
void RemoveScratch(BlobStore& store, const Digest& digest, const std::vector<Digest>& kept);

// A checkpoint as a blob: canonical JSON, {"blobs":["<hex>",...],"scratch":["<hex>",...],"state":...}, where an empty
// list of scratch is left out. Durable on OK; INVALID_ARGUMENT if `state` is not JSON, or is larger than what
// ReadCheckpoint takes.
[[nodiscard]] absl::StatusOr<Digest> StoreCheckpoint(BlobStore& store, const Checkpoint& checkpoint);
// DATA_LOSS if the blob is missing or is not a checkpoint; the store's own error if it cannot be read now.
[[nodiscard]] absl::StatusOr<Checkpoint> ReadCheckpoint(BlobStore& store, const Digest& digest);

// The checkpoint of one job. An attempt loads it once at its start and saves it after each unit of work; each save
// replaces the one before. Not thread-safe.
class CheckpointSlot {
 public:
  virtual ~CheckpointSlot() = default;
  // False if nothing is kept: then a job need not store what only a checkpoint would name.
  [[nodiscard]] virtual bool keeps() const { return true; }
  // What an earlier attempt saved last; none in a first attempt. DATA_LOSS if it cannot be read.
  [[nodiscard]] virtual absl::StatusOr<std::optional<Checkpoint>> Load() = 0;
  // Durable on OK. ABORTED if the lease is lost.
  [[nodiscard]] virtual absl::Status Save(const Checkpoint& checkpoint) = 0;
};

// Loads none and forgets what it is given: a job that runs by itself.
class NoCheckpoints final : public CheckpointSlot {
 public:
  [[nodiscard]] bool keeps() const override { return false; }
  [[nodiscard]] absl::StatusOr<std::optional<Checkpoint>> Load() override { return std::nullopt; }
  [[nodiscard]] absl::Status Save(const Checkpoint&) override { return absl::OkStatus(); }
};

}  // namespace gwq
