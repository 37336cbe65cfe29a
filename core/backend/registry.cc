#include "core/backend/registry.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <optional>

#include "core/backend/cpu/cpu_backend.h"
#include "core/backend/cpu/packed_loaders.h"
#include "core/base/status.h"

namespace gwq {
namespace {

absl::StatusOr<std::unique_ptr<Backend>> CreateForHost(const BackendOptions& options) {
  return CreateCpuBackend({.threads = options.threads, .isa = std::nullopt});
}

struct Device {
  std::string_view name;
  absl::StatusOr<std::unique_ptr<Backend>> (*create)(const BackendOptions& options);
};

// A backend is listed here by one line. That of LibTorch is not: it gives gradients, which Backend does not have.
constexpr std::array kDevices = {
    Device{kHostDevice, CreateForHost},
};

}  // namespace

absl::StatusOr<std::unique_ptr<Backend>> CreateBackend(std::string_view device, const BackendOptions& options) {
  const auto found = std::ranges::find(kDevices, device, &Device::name);
  if (found != kDevices.end()) return found->create(options);
  return InvalidField("device", fmt::format("'{}' has no backend in this build; known are: {}", device,
                                            fmt::join(KnownDevices(), ", ")));
}

absl::StatusOr<LoadedBytes> HostLoadedBytes(const PackedShape& shape) { return PackedWeightBytes(shape); }

std::string_view HostIsaName() { return IsaLevelName(BestIsaLevel()); }

std::vector<std::string> KnownDevices() {
  std::vector<std::string> names;
  for (const Device& device : kDevices) names.emplace_back(device.name);
  std::ranges::sort(names);
  return names;
}

}  // namespace gwq
