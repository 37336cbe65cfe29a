#include "core/jobs/worker_supervisor.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/random_id.h"

namespace gwq {
namespace {

constexpr int64_t kFirstDelayMillis = 250;
constexpr int64_t kLongestDelayMillis = 30'000;
// A worker that lived this long did not die of its start.
constexpr int64_t kHealthyMillis = 60'000;

}  // namespace

WorkerSupervisor::WorkerSupervisor(const DeviceProvider& devices, ProcessLauncher& launcher, const Clock& clock,
                                   Events events)
    : launcher_(launcher), clock_(clock), events_(std::move(events)) {
  MutexLock lock(mutex_);
  for (const DeviceSlot& device : devices.Slots()) {
    Slot& slot = slots_.emplace_back();
    slot.device = device;
    slot.next_start = clock_.MonotonicMillis();
  }
}

WorkerSupervisor::~WorkerSupervisor() = default;

void WorkerSupervisor::Poll() {
  std::vector<std::function<void()>> pending;
  {
    MutexLock lock(mutex_);
    const int64_t now = clock_.MonotonicMillis();
    for (Slot& slot : slots_) {
      CheckEnd(slot, now);
      StartIfDue(slot, now);
    }
    pending.swap(pending_events_);
  }
  for (const auto& event : pending) event();
}

void WorkerSupervisor::CheckEnd(Slot& slot, int64_t now) {
  std::string how;
  if (slot.process == nullptr || !slot.process->Ended(how)) return;
  slot.process.reset();
  const bool healthy = now - slot.started_at >= kHealthyMillis;
  slot.delay = healthy || slot.delay == 0 ? kFirstDelayMillis : std::min(2 * slot.delay, kLongestDelayMillis);
  slot.next_start = now + slot.delay;
  pending_events_.push_back(
      [this, device = slot.device, worker = slot.worker, how] { events_.ended(device, worker, how); });
}

void WorkerSupervisor::StartIfDue(Slot& slot, int64_t now) {
  if (stopped_ || slot.process != nullptr || now < slot.next_start) return;
  slot.worker = fmt::format("{}-{}", slot.device.name, RandomId().substr(0, 8));
  auto process = launcher_.Launch(slot.device, slot.worker);
  if (!process.ok()) {
    slot.delay = slot.delay == 0 ? kFirstDelayMillis : std::min(2 * slot.delay, kLongestDelayMillis);
    slot.next_start = now + slot.delay;
    pending_events_.push_back(
        [this, device = slot.device, status = process.status()] { events_.failed_to_start(device, status); });
    return;
  }
  slot.process = *std::move(process);
  slot.started_at = now;
  pending_events_.push_back([this, device = slot.device, worker = slot.worker] { events_.started(device, worker); });
}

bool WorkerSupervisor::Kill(const std::string& worker) {
  MutexLock lock(mutex_);
  const auto slot = std::ranges::find_if(
      slots_, [&](const Slot& candidate) { return candidate.process != nullptr && candidate.worker == worker; });
  if (slot == slots_.end()) return false;
  slot->process->Kill();
  return true;
}

void WorkerSupervisor::Stop() {
  MutexLock lock(mutex_);
  stopped_ = true;
  for (Slot& slot : slots_) {
    if (slot.process != nullptr) slot.process->CloseLifeline();
  }
}

int WorkerSupervisor::running() const {
  MutexLock lock(mutex_);
  return static_cast<int>(
      std::count_if(slots_.begin(), slots_.end(), [](const Slot& slot) { return slot.process != nullptr; }));
}

}  // namespace gwq
