// The slots that jobs run on: a slot has one worker process, which runs one job at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace gwq {

struct DeviceSlot {
  std::string name;  // "cpu:0", "fake:2"
  uint64_t memory_bytes = 0;
};

// Placement is by memory: a slot takes jobs whose planned peak fits it. It leaves a job to a smaller slot that waits
// and that the job also fits.
class DeviceProvider {
 public:
  virtual ~DeviceProvider() = default;
  // The same list at every call.
  [[nodiscard]] virtual const std::vector<DeviceSlot>& Slots() const = 0;
};

// `slots` CPU slots that share `memory_bytes` evenly; 0 bytes: nine tenths of the machine's memory.
[[nodiscard]] absl::StatusOr<std::unique_ptr<DeviceProvider>> CpuDevices(int64_t slots, uint64_t memory_bytes);
// A pool for demonstrations and tests: "4x80GiB", "2x512MiB,1x8GiB". The jobs run on the CPU.
[[nodiscard]] absl::StatusOr<std::unique_ptr<DeviceProvider>> FakeDevices(std::string_view text);

[[nodiscard]] uint64_t LargestMemory(const DeviceProvider& devices);

}  // namespace gwq
