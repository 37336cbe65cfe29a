// Backends by the name of their device: who runs a model and cares for no implementation asks here.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/backend/backend.h"
#include "core/format/packed_matrix.h"

namespace gwq {

// The processor that the program runs on: every build has its backend.
inline constexpr std::string_view kHostDevice = "cpu";

struct BackendOptions {
  int threads = 1;  // of the host, 1 to 1024, the caller's included; results do not depend on it
};

// A new backend for `device`. INVALID_ARGUMENT at "device", naming those that this build has, for another one; the
// errors of the backend's own creation.
[[nodiscard]] absl::StatusOr<std::unique_ptr<Backend>> CreateBackend(std::string_view device,
                                                                     const BackendOptions& options);

// Memory of a matrix in the host's backend. UNIMPLEMENTED as Backend::LoadPacked. `shape` passes CheckPackedShape.
[[nodiscard]] absl::StatusOr<LoadedBytes> HostLoadedBytes(const PackedShape& shape);

// The instruction set that the host's kernels use: "scalar", "avx2" or "avx512".
[[nodiscard]] std::string_view HostIsaName();

// The devices that this build has a backend for, sorted.
[[nodiscard]] std::vector<std::string> KnownDevices();

}  // namespace gwq
