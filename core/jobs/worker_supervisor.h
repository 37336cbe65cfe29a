// Keeps one worker process running for each device slot.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/clock.h"
#include "core/base/mutex.h"
#include "core/jobs/devices.h"

namespace gwq {

// A started process. Not thread-safe. Destroying it kills the process and its group, and reaps it.
class WorkerProcess {
 public:
  virtual ~WorkerProcess() = default;
  // Whether it ended, without waiting; `how` then says so for people ("exit status 1", "killed by signal 9").
  [[nodiscard]] virtual bool Ended(std::string& how) = 0;
  // Closes the lifeline: the process gives its job up and ends.
  virtual void CloseLifeline() = 0;
  // Kills the process and its group, without waiting for the end.
  virtual void Kill() = 0;
};

class ProcessLauncher {
 public:
  virtual ~ProcessLauncher() = default;
  // `worker` is a new name for each start.
  [[nodiscard]] virtual absl::StatusOr<std::unique_ptr<WorkerProcess>> Launch(const DeviceSlot& slot,
                                                                              const std::string& worker) = 0;
};

// Starts processes with posix_spawn, each in its own process group, with a lifeline: the read end of a pipe whose write
// end only this process holds, so that workers end when this process does, however it ends. `arguments` makes the
// command line for a slot, a worker's name and the number of the lifeline's descriptor; `environment` entries
// ("NAME=value") are added to this process's own, of which GWQ_* settings are left out.
[[nodiscard]] std::unique_ptr<ProcessLauncher> MakeProcessLauncher(
    std::function<std::vector<std::string>(const DeviceSlot& slot, const std::string& worker, int lifeline)> arguments,
    std::vector<std::string> environment);

// Thread-safe. It has no thread: the owner calls Poll a few times a second.
class WorkerSupervisor {
 public:
  struct Events {
    std::function<void(const DeviceSlot& slot, const std::string& worker)> started;
    std::function<void(const DeviceSlot& slot, const std::string& worker, const std::string& how)> ended;
    std::function<void(const DeviceSlot& slot, const absl::Status& status)> failed_to_start;
  };
  // All outlive the supervisor.
  WorkerSupervisor(const DeviceProvider& devices, ProcessLauncher& launcher, const Clock& clock, Events events);
  // Kills the processes that still run.
  ~WorkerSupervisor();

  // Notices processes that have ended and starts those that are due: the first time at once, and after a process that
  // died soon after its start with a delay that doubles from 250 ms to 30 s. Calls the events.
  void Poll();
  // Kills the process of that name, if it hangs. False if there is none. The next Polls notice its end and replace it.
  bool Kill(const std::string& worker);
  // Starts no more processes and closes the lifelines.
  void Stop();
  [[nodiscard]] int running() const;

 private:
  struct Slot {
    DeviceSlot device;
    std::unique_ptr<WorkerProcess> process;
    std::string worker;
    int64_t started_at = 0;
    int64_t next_start = 0;
    int64_t delay = 0;
  };
  void CheckEnd(Slot& slot, int64_t now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void StartIfDue(Slot& slot, int64_t now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  ProcessLauncher& launcher_;
  const Clock& clock_;
  const Events events_;
  mutable Mutex mutex_;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<Slot> slots_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::function<void()>> pending_events_
      ABSL_GUARDED_BY(mutex_);  // events to call once the lock is given up
};

}  // namespace gwq
