// Where gwq-infer learns what stands behind a name.
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

// In whose name gwq-jobs is asked.
struct Caller {
  std::string principal{kLocalPrincipal};
  std::string authorization;  // the header "Bearer TOKEN" it came with; empty where this service asks for no tokens
};

// What a call does while the source cannot be reached, which may be about to start.
enum class WhenAway { kWait, kFail };

// Thread-safe; every call may block on the network.
class ModelSource {
 public:
  virtual ~ModelSource() = default;
  // What `name` means to the caller. NOT_FOUND alike for what does not exist and what is another principal's. Holds the
  // digest for the caller against deletion for hold_millis(); calling again renews the hold. UNAVAILABLE where the
  // source cannot be asked: with kFail as soon as a connection is refused. A source that accepts the call and does not
  // answer takes the call's whole time in either case.
  [[nodiscard]] virtual absl::StatusOr<ResolvedModel> Resolve(const Caller& caller, const std::string& name,
                                                              WhenAway when_away) = 0;
  // Gives the caller's hold up. A failure means that it runs out by itself.
  [[nodiscard]] virtual absl::Status Release(const Caller& caller, const Digest& digest) = 0;
  // 0: a hold never runs out.
  [[nodiscard]] virtual int64_t hold_millis() const = 0;
};

}  // namespace gwq
