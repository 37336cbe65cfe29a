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

// A loop is published by storing its number of parts in `unclaimed`. A thread takes a part by counting it down, and
// reads the loop's fields only then: they stay until every part is done, so a thread that comes late finds zero and
// touches nothing.
struct ThreadPool::State {
  alignas(64) std::atomic<int64_t> unclaimed{0};
  alignas(64) std::atomic<int64_t> undone{0};
  alignas(64) std::atomic<int> sleepers{0};
  std::atomic<bool> stop{false};
  int64_t count = 0;
  int64_t grain = 1;
  int64_t parts = 1;
  const std::function<void(int64_t, int64_t, int)>* body = nullptr;
  std::mutex mutex;
  std::condition_variable started;
};

ThreadPool::ThreadPool(int threads) : state_(new State) {
  for (int i = 1; i < threads; ++i) workers_.emplace_back([this, i] { Work(i); });
}

ThreadPool::~ThreadPool() {
  {
    std::lock_guard<std::mutex> lock(state_->mutex);
    state_->stop.store(true);
  }
  state_->started.notify_all();
  for (std::thread& worker : workers_) worker.join();
  delete state_;
}

bool ThreadPool::Waiting() const { return state_->unclaimed.load() <= 0 && !state_->stop.load(); }

void ThreadPool::RunParts(int thread) const {
  for (;;) {
    int64_t left = state_->unclaimed.load(std::memory_order_acquire);
    while (left > 0 && !state_->unclaimed.compare_exchange_weak(left, left - 1, std::memory_order_acq_rel)) {
    }
    if (left <= 0) return;
    const int64_t part = state_->parts - left;
    const int64_t units = (state_->count + state_->grain - 1) / state_->grain;
    const int64_t begin = units * part / state_->parts * state_->grain;
    const int64_t end = std::min(state_->count, units * (part + 1) / state_->parts * state_->grain);
    (*state_->body)(begin, end, thread);
    state_->undone.fetch_sub(1, std::memory_order_release);
  }
}

void ThreadPool::Work(int thread) {
  // About a fifth of a millisecond: longer than the gaps between the loops of one token, shorter than those between
  // requests.
  constexpr int kSpins = 4000;
  for (;;) {
    for (int spins = 0; spins < kSpins && Waiting(); ++spins) __builtin_ia32_pause();
    if (Waiting()) {
      std::unique_lock<std::mutex> lock(state_->mutex);
      state_->sleepers.fetch_add(1);
      state_->started.wait(lock, [&] { return !Waiting(); });
      state_->sleepers.fetch_sub(1);
    }
    if (state_->stop.load()) return;
    RunParts(thread);
  }
}

void ThreadPool::ParallelFor(int64_t count, int64_t grain, const std::function<void(int64_t, int64_t, int)>& body) {
  constexpr int64_t kPartsPerThread = 4;
  if (count <= 0) return;
  if (workers_.empty() || count <= grain) {
    body(0, count, 0);
    return;
  }
  MutexLock turn(turn_);
  state_->count = count;
  state_->grain = grain;
  state_->parts = std::min((count + grain - 1) / grain, kPartsPerThread * threads());
  state_->body = &body;
  state_->undone.store(state_->parts);
  state_->unclaimed.store(state_->parts);
  // Sequentially consistent, like the sleeper's count and look: either it sees the parts or we see it.
  if (state_->sleepers.load() > 0) {
    std::lock_guard<std::mutex> lock(state_->mutex);
    state_->started.notify_all();
  }
  RunParts(0);
  // Yielding keeps the loop fair where there are more threads than processors.
  for (int spins = 0; state_->undone.load(std::memory_order_acquire) != 0; ++spins) {
    if (spins < 256) {
      __builtin_ia32_pause();
    } else {
      std::this_thread::yield();
    }
  }
}

}  // namespace gwq
