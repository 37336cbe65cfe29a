#include "core/jobs/devices.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>

#include "core/base/status.h"

namespace gwq {
namespace {

constexpr int64_t kMaxSlots = 256;

class FixedDevices final : public DeviceProvider {
 public:
  explicit FixedDevices(std::vector<DeviceSlot> slots) : slots_(std::move(slots)) {}
  const std::vector<DeviceSlot>& Slots() const override { return slots_; }

 private:
  const std::vector<DeviceSlot> slots_;
};

uint64_t MachineMemory() {
  return static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<uint64_t>(sysconf(_SC_PAGE_SIZE));
}

// "80GiB": the number at the front, moved past.
bool TakeNumber(std::string_view& text, int64_t& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || value < 1) return false;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return true;
}

}  // namespace

absl::StatusOr<std::unique_ptr<DeviceProvider>> CpuDevices(int64_t slots, uint64_t memory_bytes) {
  if (slots < 1 || slots > kMaxSlots)
    return InvalidField("workers", fmt::format("{} is not in 1..{}", slots, kMaxSlots));
  if (memory_bytes == 0) memory_bytes = MachineMemory() / 10 * 9;
  std::vector<DeviceSlot> out;
  for (int64_t i = 0; i < slots; ++i)
    out.push_back({fmt::format("cpu:{}", i), memory_bytes / static_cast<uint64_t>(slots)});
  return std::make_unique<FixedDevices>(std::move(out));
}

absl::StatusOr<std::unique_ptr<DeviceProvider>> FakeDevices(std::string_view text) {
  const absl::Status malformed =
      InvalidField("fake-devices", fmt::format("'{}' is not COUNTxSIZE with MiB or GiB, as in 4x80GiB,2x24GiB", text));
  std::vector<DeviceSlot> out;
  while (!text.empty()) {
    int64_t count = 0, size = 0;
    if (!TakeNumber(text, count) || !text.starts_with('x')) return malformed;
    text.remove_prefix(1);
    if (!TakeNumber(text, size) || size > (int64_t{1} << 20)) return malformed;
    const bool gib = text.starts_with("GiB");
    if (!gib && !text.starts_with("MiB")) return malformed;
    text.remove_prefix(3);
    if (!text.empty() && !text.starts_with(',')) return malformed;
    if (!text.empty()) text.remove_prefix(1);
    if (static_cast<int64_t>(out.size()) + count > kMaxSlots) return malformed;
    for (int64_t i = 0; i < count; ++i) {
      out.push_back({fmt::format("fake:{}", out.size()), static_cast<uint64_t>(size) << (gib ? 30 : 20)});
    }
  }
  if (out.empty()) return malformed;
  return std::make_unique<FixedDevices>(std::move(out));
}

uint64_t LargestMemory(const DeviceProvider& devices) {
  uint64_t largest = 0;
  for (const DeviceSlot& slot : devices.Slots()) largest = std::max(largest, slot.memory_bytes);
  return largest;
}

}  // namespace gwq
