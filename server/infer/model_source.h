// Where gwq-infer learns what stands behind a name.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "core/base/sha256.h"

namespace gwq {

struct ResolvedModel {
  std::string name;  // "artifacts/..." or "models/..."
  Digest digest;     // of the manifest
  std::string blob_root;
};

// Thread-safe; every call may block on the network.
class ModelSource {
 public:
  virtual ~ModelSource() = default;
  // Holds the digest against deletion for hold_millis(); calling again renews the hold.
  [[nodiscard]] virtual absl::StatusOr<ResolvedModel> Resolve(const std::string& name) = 0;
  // Gives the hold up. A failure means that it runs out by itself.
  [[nodiscard]] virtual absl::Status Release(const Digest& digest) = 0;
  // 0: a hold never runs out.
  [[nodiscard]] virtual int64_t hold_millis() const = 0;
};

}  // namespace gwq
