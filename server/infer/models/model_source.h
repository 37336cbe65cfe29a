// Resolves the name of a model to the digest and the place of its blobs.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "core/base/sha256.h"
#include "server/common/authenticator.h"

namespace gwq {

struct ResolvedModel {
  std::string name;  // "artifacts/..." or "models/..."
  Digest digest;     // of the manifest
  std::string blob_root;
};

// The caller for whom gwq-jobs is asked.
struct Caller {
  std::string principal{kLocalPrincipal};
  std::string authorization;  // the caller's header "Bearer TOKEN"; empty if this service uses no tokens
};

// What a call does if the source cannot be reached. The source may be about to start.
enum class OnUnavailable { kWait, kFail };

// Thread-safe; every call may block on the network.
class ModelSource {
 public:
  virtual ~ModelSource() = default;
  // What `name` means to the caller. NOT_FOUND if it does not exist, and also if it belongs to another principal. Holds
  // the digest for the caller against deletion for hold_millis(); calling again renews the hold. UNAVAILABLE if the
  // source cannot be asked: with kFail as soon as a connection is refused. If the source accepts the call and does not
  // answer, the call takes its whole time in both cases.
  [[nodiscard]] virtual absl::StatusOr<ResolvedModel> Resolve(const Caller& caller, const std::string& name,
                                                              OnUnavailable on_unavailable) = 0;
  // Releases the caller's hold. After a failure the hold expires by itself.
  [[nodiscard]] virtual absl::Status Release(const Caller& caller, const Digest& digest) = 0;
  // 0: a hold never expires.
  [[nodiscard]] virtual int64_t hold_millis() const = 0;
};

}  // namespace gwq
