// Which gradient passes of earlier jobs are kept (core/storage/pass_cache.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/storage/pass_cache.h"

namespace gwq {

struct PassRecord {
  std::string principal;
  PassKey key;
  Digest record;       // the stored checkpoint; it and its blobs are roots of the collection while it is kept
  uint64_t bytes = 0;  // of all of them
};

// Thread-safe, durable on OK, blocking. Records are the principal's own: another one's are not found. They go with the
// last model of the principal whose manifest they belong to.
class PassStore {
 public:
  virtual ~PassStore() = default;

  // The record under the key; it counts as used now. An empty producer asks for the one record of whichever producer;
  // that is no use of it, and none is found if there are several.
  [[nodiscard]] virtual absl::StatusOr<std::optional<PassRecord>> FindPass(const std::string& principal,
                                                                           const PassKey& key) = 0;
  // Keeps `record` in place of what was under its key, and removes what was used longest ago, first of the principal
  // and then of all, until both limits are met. Returns the records that are not kept any more, for their blobs to be
  // removed: `record` itself where it is larger than a limit, or the principal has no such model.
  [[nodiscard]] virtual absl::StatusOr<std::vector<Digest>> KeepPass(const PassRecord& record) = 0;
};

}  // namespace gwq
