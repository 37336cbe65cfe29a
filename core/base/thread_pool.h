// Threads for blocking calls (Executor) and for compute (ThreadPool).
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "core/base/mutex.h"

namespace gwq {

// Runs posted tasks in the order of posting on a fixed number of threads. The queue is bounded: Post returns
// RESOURCE_EXHAUSTED if it is full. The destructor runs the tasks that are queued and then joins. Thread-safe.
class Executor {
 public:
  Executor(int threads, size_t max_queued);
  ~Executor();
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  [[nodiscard]] absl::Status Post(std::function<void()> task);
  [[nodiscard]] size_t queued() const;

 private:
  void Run();

  const size_t max_queued_;
  mutable Mutex mutex_;
  CondVar changed_;
  std::deque<std::function<void()>> tasks_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

// Splits index ranges over a fixed pool of threads, the caller included. One ParallelFor at a time: calls from several
// threads take turns, except where a loop is one range: its caller runs it as thread 0 and waits for nobody. Workers
// spin briefly before they sleep, because decoding runs hundreds of short loops per token.
class ThreadPool {
 public:
  // `threads` >= 1 counts the caller.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  [[nodiscard]] int threads() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls body(begin, end, thread) over disjoint ranges that cover [0, count), multiples of `grain` long except the
  // last, `thread` in [0, threads()). The caller computes too. Each thread takes the next free range, and there are a
  // few ranges per thread, so that a thread that the system does not schedule delays the others little. Returns when
  // all ranges are done. `body` must not throw.
  void ParallelFor(int64_t count, int64_t grain, const std::function<void(int64_t, int64_t, int)>& body);

 private:
  struct State;
  void Work(int thread);
  void RunParts(int thread) const;
  [[nodiscard]] bool Waiting() const;

  Mutex turn_;
  State* const state_;
  std::vector<std::thread> workers_;
};

}  // namespace gwq
