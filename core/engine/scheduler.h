// Continuous batching: decides which rows go into the next pass, and which requests end.
//
// A sequence gets blocks as it grows; none are reserved for the worst case. If blocks run out, first sequences that do
// not run and then the youngest running one give all their blocks back and are computed again later. Results do not
// depend on batch or chunking, so their answers do not change. docs/decisions/2026-11-22-scheduler.md says why.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "core/base/clock.h"
#include "core/engine/block_pool.h"
#include "core/engine/sequence.h"
#include "core/engine/step_model.h"

namespace gwq {

// Rows of one sequence in one pass whose logits are wanted: bounds the memory of logits where choices are scored.
inline constexpr int64_t kMaxOutputRows = 16;

struct SchedulerOptions {
  int max_running = 32;                        // sequences in one pass
  int64_t step_tokens = 256;                   // rows of one pass
  int64_t prefill_tokens_beside_decodes = 64;  // so that a long prompt does not delay running streams
  int64_t max_unread_tokens = 1024;            // above, a sequence is paused: it has no slot, and its blocks are lent
  int64_t slow_client_millis = 60'000;         // paused this long, it is ended
  int max_paused = 256;                        // above, whoever was paused first is ended
};

struct SchedulerStats {
  int queued = 0;  // waiting for blocks or a slot, preempted ones included
  int running = 0;
  int paused = 0;
  int64_t blocks = 0;
  int64_t free_blocks = 0;
  int64_t steps = 0;
  int64_t prompt_tokens = 0;  // rows computed for prompts and choices, recomputation included
  int64_t generated_tokens = 0;
  int64_t preemptions = 0;
  int64_t finished = 0;
};

// Called on the engine's thread; must not block.
class EngineObserver {
 public:
  virtual ~EngineObserver() = default;
  virtual void OnFirstToken(int64_t millis_since_arrival) = 0;
  virtual void OnNextToken(int64_t millis_since_last) = 0;
  virtual void OnFinished(absl::StatusCode code) = 0;
  // Called after every change of the waiting and running sequences.
  virtual void OnStats(const SchedulerStats& stats) = 0;
};

// Not thread-safe. Model, clock and observer must outlive it.
class Scheduler {
 public:
  Scheduler(StepModel& model, const SchedulerOptions& options, const Clock& clock, EngineObserver* observer);
  // All sequences must have ended: call FailAll before.
  ~Scheduler() = default;

  // The sequence's size limit must fit the cache, or it could never end.
  void Add(std::unique_ptr<Sequence> sequence);
  // Ends cancelled and late sequences and admits waiting ones. False if there is nothing to run.
  [[nodiscard]] bool Schedule();
  // Runs one pass over the scheduled sequences and passes the tokens to their sinks.
  void Run();
  // Schedule and Run. False if there was nothing to run.
  bool Step();
  // Ends everything with `status`.
  void FailAll(const absl::Status& status);
  [[nodiscard]] SchedulerStats stats() const;

 private:
  using Sequences = std::vector<std::unique_ptr<Sequence>>;
  struct Paused {
    std::unique_ptr<Sequence> sequence;
    int64_t since = 0;
  };
  struct Part {
    Sequence* sequence = nullptr;
    int64_t rows = 0;
    int64_t outputs = 0;  // of them; set by RunPass
  };

  void Reap(int64_t now);
  void ReapFrom(Sequences& sequences, int64_t now);
  void ReapPaused(int64_t now);
  void ResumePaused();
  void Admit(int64_t now);
  void GrowDecodes();
  [[nodiscard]] bool MakeRoom(const Sequence& sequence, int64_t spare);
  [[nodiscard]] bool ReclaimIdle(const Sequence& keep);
  void PreemptYoungest();
  [[nodiscard]] std::vector<Part> PlanStep() const;
  [[nodiscard]] absl::Status RunPass(std::vector<Part>& parts);
  void FailParts(const std::vector<Part>& parts, const absl::Status& status);
  void Remove(const Sequence* over);
  void Deliver(const std::vector<Part>& parts, int64_t now);
  // True if the sequence has ended.
  [[nodiscard]] bool AcceptLogits(Sequence& sequence, std::span<const float> logits, int64_t now);
  [[nodiscard]] bool AcceptToken(Sequence& sequence, std::span<const float> logits, int64_t now);
  void PauseSlow(int64_t now);
  void Finish(Sequence& sequence);
  void Fail(Sequence& sequence, const absl::Status& status);
  static void InsertByArrival(Sequences& sequences, std::unique_ptr<Sequence> sequence);

  StepModel& model_;
  const SchedulerOptions options_;
  const Clock& clock_;
  EngineObserver* const observer_;
  BlockPool pool_;
  uint64_t arrivals_ = 0;
  Sequences waiting_;  // by arrival
  Sequences running_;  // by arrival; each holds blocks for all of its tokens
  std::deque<Paused> paused_;
  std::vector<float> logits_;
  SchedulerStats totals_;
};

}  // namespace gwq
