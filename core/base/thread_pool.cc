#include "core/base/thread_pool.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>

namespace gwq {

Executor::Executor(int threads, size_t max_queued) : max_queued_(max_queued) {
  threads_.reserve(static_cast<size_t>(threads));
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { Run(); });
}

Executor::~Executor() {
  {
    MutexLock lock(mutex_);
    closed_ = true;
  }
  changed_.NotifyAll();
  for (std::thread& thread : threads_) thread.join();
}

absl::Status Executor::Post(std::function<void()> task) {
  {
    MutexLock lock(mutex_);
    if (closed_) return absl::UnavailableError("the executor is shutting down");
    if (tasks_.size() >= max_queued_) {
      return absl::ResourceExhaustedError(
          fmt::format("{} tasks wait, the limit is {}; try again", tasks_.size(), max_queued_));
    }
    tasks_.push_back(std::move(task));
  }
  changed_.NotifyOne();
  return absl::OkStatus();
}

size_t Executor::queued() const {
  MutexLock lock(mutex_);
  return tasks_.size();
}

void Executor::Run() {
  for (;;) {
    std::function<void()> task;
    {
      MutexLock lock(mutex_);
      while (tasks_.empty() && !closed_) changed_.Wait(mutex_);
      if (tasks_.empty()) return;
      task = std::move(tasks_.front());
      tasks_.pop_front();
    }
    task();
  }
}

struct ComputeTeam::State {
  std::atomic<uint64_t> round{0};
  std::atomic<int> running{0};
  std::atomic<bool> stop{false};
  int64_t count = 0;
  int64_t grain = 1;
  int parts = 1;
  const std::function<void(int64_t, int64_t, int)>* body = nullptr;
  std::mutex mutex;
  std::condition_variable started;
};

ComputeTeam::ComputeTeam(int threads) : state_(new State) {
  for (int i = 1; i < threads; ++i) workers_.emplace_back([this, i] { Work(i); });
}

ComputeTeam::~ComputeTeam() {
  {
    std::lock_guard<std::mutex> lock(state_->mutex);
    state_->stop.store(true);
    state_->round.fetch_add(1);
  }
  state_->started.notify_all();
  for (std::thread& worker : workers_) worker.join();
  delete state_;
}

void ComputeTeam::RunPart(int thread) const {
  const int64_t units = (state_->count + state_->grain - 1) / state_->grain;
  const int64_t begin = units * thread / state_->parts * state_->grain;
  const int64_t end = std::min(state_->count, units * (thread + 1) / state_->parts * state_->grain);
  if (begin < end) (*state_->body)(begin, end, thread);
}

void ComputeTeam::Work(int thread) {
  constexpr int kSpins = 20000;
  uint64_t seen = 0;
  for (;;) {
    int spins = 0;
    while (state_->round.load(std::memory_order_acquire) == seen) {
      if (++spins < kSpins) {
        __builtin_ia32_pause();
        continue;
      }
      std::unique_lock<std::mutex> lock(state_->mutex);
      state_->started.wait(lock, [&] { return state_->round.load() != seen; });
    }
    seen = state_->round.load(std::memory_order_acquire);
    if (state_->stop.load()) return;
    RunPart(thread);
    state_->running.fetch_sub(1, std::memory_order_release);
  }
}

void ComputeTeam::ParallelFor(int64_t count, int64_t grain, const std::function<void(int64_t, int64_t, int)>& body) {
  if (count <= 0) return;
  if (workers_.empty() || count <= grain) {
    body(0, count, 0);
    return;
  }
  MutexLock turn(turn_);
  state_->count = count;
  state_->grain = grain;
  state_->parts = threads();
  state_->body = &body;
  state_->running.store(static_cast<int>(workers_.size()), std::memory_order_relaxed);
  {
    std::lock_guard<std::mutex> lock(state_->mutex);
    state_->round.fetch_add(1, std::memory_order_release);
  }
  state_->started.notify_all();
  RunPart(0);
  // Yielding keeps the loop fair where there are more threads than processors.
  for (int spins = 0; state_->running.load(std::memory_order_acquire) != 0; ++spins) {
    if (spins < 4096) {
      __builtin_ia32_pause();
    } else {
      std::this_thread::yield();
    }
  }
}

}  // namespace gwq
