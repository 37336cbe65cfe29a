// Content-addressed storage: a blob is one tensor or one small file, named by its SHA-256.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/sha256.h"

namespace gwq {

// A blob that can be read for as long as the object lives: a mapped file of the local store, or a cached file of a
// remote one. The bytes start on a 64-byte boundary. Thread-safe.
class PinnedBlob {
 public:
  virtual ~PinnedBlob() = default;
  [[nodiscard]] virtual std::span<const std::byte> bytes() const = 0;
  // Tells the system that the pages are not needed soon. Reading them again is allowed and costs I/O.
  virtual void DropPages() const = 0;
};

// A blob that is being written. Nothing is visible under its digest before Commit returns OK. Destroying an uncommitted
// writer keeps the synced bytes, so that a later Begin with the same key continues from there. Not thread-safe.
class BlobWriter {
 public:
  virtual ~BlobWriter() = default;
  // Bytes accepted so far; the next Append goes here.
  [[nodiscard]] virtual uint64_t offset() const = 0;
  [[nodiscard]] virtual absl::Status Append(std::span<const std::byte> bytes) = 0;
  // Makes the appended bytes survive a crash, so that Begin finds them again.
  [[nodiscard]] virtual absl::Status Sync() = 0;
  // Returns the digest of the appended bytes, which are then durable and visible (written, fsynced, renamed, folder
  // fsynced). DATA_LOSS if size or digest differ from those given to Begin; the partial bytes are dropped. The writer
  // ends in any case. After another error a new writer continues from the synced bytes.
  [[nodiscard]] virtual absl::StatusOr<Digest> Commit() = 0;
  // Ends the writer and drops the partial bytes, including synced ones.
  virtual void Discard() = 0;
};

struct BlobInfo {
  Digest digest;
  uint64_t size = 0;
  int64_t stored_wall_millis = 0;  // when it was last committed or found again by a commit
};

// All calls are thread-safe and may block on I/O, so they must not run on a gRPC thread. Several processes may use one
// local store.
class BlobStore {
 public:
  virtual ~BlobStore() = default;

  // Starts a blob whose digest is known beforehand (an upload). `key` names the partial bytes, e.g.
  // "<upload>/<digest>". If some of them are synced already, the writer's offset() starts there. Commit returns
  // DATA_LOSS and drops the bytes if size or digest differ. ALREADY_EXISTS if another live writer of this process has
  // the key.
  [[nodiscard]] virtual absl::StatusOr<std::unique_ptr<BlobWriter>> Begin(std::string_view key, const Digest& expected,
                                                                          uint64_t size) = 0;
  // Starts a blob whose digest is computed from the appended bytes (a worker's result).
  [[nodiscard]] virtual absl::StatusOr<std::unique_ptr<BlobWriter>> BeginUnnamed() = 0;
  // Synced bytes of the partial blob `key`; 0 if there is none.
  [[nodiscard]] virtual uint64_t PartialSize(std::string_view key) = 0;
  // Drops the partial blobs whose key starts with `prefix`.
  [[nodiscard]] virtual absl::Status DropPartials(std::string_view prefix) = 0;

  [[nodiscard]] virtual absl::StatusOr<BlobInfo> Stat(const Digest& digest) = 0;
  // Fills all of `out` from `offset`; OUT_OF_RANGE past the end.
  [[nodiscard]] virtual absl::Status Read(const Digest& digest, uint64_t offset, std::span<std::byte> out) = 0;
  [[nodiscard]] virtual absl::StatusOr<std::unique_ptr<PinnedBlob>> Materialize(const Digest& digest) = 0;

  // Removes every blob that is not in `keep` and was stored before `stored_before_wall_millis`. Returns the bytes
  // freed. The caller's `keep` must name everything reachable from the catalogue, live jobs and open uploads.
  [[nodiscard]] virtual absl::StatusOr<uint64_t> CollectGarbage(const std::vector<Digest>& keep,
                                                                int64_t stored_before_wall_millis) = 0;
  // Removes a blob at once, whatever names it; OK if there is none. What is pinned stays readable. Only for a blob that
  // its remover alone can name (core/storage/checkpoint.h, BeginScratch): of any other the collector decides.
  [[nodiscard]] virtual absl::Status Remove(const Digest& digest) = 0;
};

// BeginUnnamed, Append, Commit in one call.
[[nodiscard]] absl::StatusOr<Digest> PutBlob(BlobStore& store, std::span<const std::byte> bytes);
// Reads the blob once, a MiB at a time. DATA_LOSS if it is not there or its bytes have another digest.
[[nodiscard]] absl::Status CheckWhole(BlobStore& store, const Digest& digest);
// The whole blob; RESOURCE_EXHAUSTED if it is larger than `limit`.
[[nodiscard]] absl::StatusOr<std::string> ReadBlob(BlobStore& store, const Digest& digest, uint64_t limit);

}  // namespace gwq
