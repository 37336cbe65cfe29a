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

// A readable blob pinned for as long as the object lives: a mapped file of the local store, a cached file of a remote
// one. The bytes start on a 64-byte boundary. Thread-safe.
class PinnedBlob {
 public:
  virtual ~PinnedBlob() = default;
  [[nodiscard]] virtual std::span<const std::byte> bytes() const = 0;
  // The pages are not needed soon; reading them again is allowed and costs I/O.
  virtual void DropPages() const = 0;
};

// A blob being written. Nothing is visible under its digest before Commit returns OK. Destroying an uncommitted writer
// keeps what was synced, so that a later Begin with the same key goes on from there. Not thread-safe.
class BlobWriter {
 public:
  virtual ~BlobWriter() = default;
  // Bytes accepted so far; the next Append goes here.
  [[nodiscard]] virtual uint64_t offset() const = 0;
  [[nodiscard]] virtual absl::Status Append(std::span<const std::byte> bytes) = 0;
  // Makes what was appended survive a crash; it is then found again by Begin.
  [[nodiscard]] virtual absl::Status Sync() = 0;
  // Durable and visible on OK (written, fsynced, renamed, folder fsynced): the digest of what was appended. DATA_LOSS,
  // and the partial bytes dropped, where size or digest differ from what was declared at Begin. Ends the writer either
  // way; after another error a new writer goes on from what was synced.
  [[nodiscard]] virtual absl::StatusOr<Digest> Commit() = 0;
  // Ends the writer and drops the partial bytes, synced ones too.
  virtual void Discard() = 0;
};

struct BlobInfo {
  Digest digest;
  uint64_t size = 0;
  int64_t stored_wall_millis = 0;  // when it was last committed or found again by a commit
};

// All calls are thread-safe, may block on I/O and never run on a gRPC thread. Several processes may use one local
// store.
class BlobStore {
 public:
  virtual ~BlobStore() = default;

  // A blob whose digest is known beforehand (an upload). `key` names the partial bytes, e.g. "<upload>/<digest>": where
  // some of them are found synced, the writer's offset() starts there. Commit answers DATA_LOSS and drops the bytes
  // where size or digest differ. ALREADY_EXISTS where another live writer of this process holds the key.
  [[nodiscard]] virtual absl::StatusOr<std::unique_ptr<BlobWriter>> Begin(std::string_view key, const Digest& expected,
                                                                          uint64_t size) = 0;
  // A blob whose digest follows from what is appended (a worker's result).
  [[nodiscard]] virtual absl::StatusOr<std::unique_ptr<BlobWriter>> BeginUnnamed() = 0;
  // Synced bytes of the partial blob `key`; 0 where there is none.
  [[nodiscard]] virtual uint64_t PartialSize(std::string_view key) = 0;
  // Drops the partial blobs whose key starts with `prefix`.
  [[nodiscard]] virtual absl::Status DropPartials(std::string_view prefix) = 0;

  [[nodiscard]] virtual absl::StatusOr<BlobInfo> Stat(const Digest& digest) = 0;
  // Fills all of `out` from `offset`; OUT_OF_RANGE past the end.
  [[nodiscard]] virtual absl::Status Read(const Digest& digest, uint64_t offset, std::span<std::byte> out) = 0;
  [[nodiscard]] virtual absl::StatusOr<std::unique_ptr<PinnedBlob>> Materialize(const Digest& digest) = 0;

  // Removes every blob that `keep` does not hold and that was stored before `stored_before_wall_millis`. Returns bytes
  // freed. The caller's `keep` must name everything reachable from the catalogue, live jobs and open uploads.
  [[nodiscard]] virtual absl::StatusOr<uint64_t> CollectGarbage(const std::vector<Digest>& keep,
                                                                int64_t stored_before_wall_millis) = 0;
};

// BeginUnnamed, Append, Commit in one call.
[[nodiscard]] absl::StatusOr<Digest> PutBlob(BlobStore& store, std::span<const std::byte> bytes);
// The whole blob; RESOURCE_EXHAUSTED where it is larger than `limit`.
[[nodiscard]] absl::StatusOr<std::string> ReadBlob(BlobStore& store, const Digest& digest, uint64_t limit);

}  // namespace gwq
