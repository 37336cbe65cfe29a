#include "core/engine/scheduler.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/base/status.h"
#include "core/models/batch_rows.h"

namespace gwq {
Scheduler::Scheduler(StepModel& model, const SchedulerOptions& options, const Clock& clock, EngineObserver* observer)
    : model_(model),
      options_(options),
      clock_(clock),
      observer_(observer),
      pool_(model.cache_shape().blocks, model.cache_shape().block_tokens) {}

void Scheduler::InsertByArrival(Sequences& sequences, std::unique_ptr<Sequence> sequence) {
  const auto place = std::upper_bound(sequences.begin(), sequences.end(), sequence->arrival(),
                                      [](uint64_t arrival, const auto& other) { return arrival < other->arrival(); });
  sequences.insert(place, std::move(sequence));
}

void Scheduler::Add(std::unique_ptr<Sequence> sequence) {
  sequence->Join(++arrivals_, pool_);
  waiting_.push_back(std::move(sequence));
}

bool Scheduler::Schedule() {
  const int64_t now = clock_.MonotonicMillis();
  Reap(now);
  ResumePaused();
  GrowDecodes();
  Admit(now);
  return !running_.empty();
}

void Scheduler::Run() {
  std::vector<Part> parts = PlanStep();
  ++totals_.steps;
  if (const absl::Status status = RunPass(parts); !status.ok()) return FailParts(parts, status);
  const int64_t now = clock_.MonotonicMillis();
  Deliver(parts, now);
  PauseSlow(now);
}

bool Scheduler::Step() {
  if (!Schedule()) return false;
  Run();
  return true;
}

void Scheduler::Fail(Sequence& sequence, const absl::Status& status) {
  sequence.Fail(status);
  if (observer_ != nullptr) observer_->OnFinished(status.code());
  ++totals_.finished;
}

void Scheduler::Reap(int64_t now) {
  ReapFrom(running_, now);
  ReapFrom(waiting_, now);
  ReapPaused(now);
}

void Scheduler::ReapFrom(Sequences& sequences, int64_t now) {
  std::erase_if(sequences, [&](const std::unique_ptr<Sequence>& sequence) {
    const absl::Status status = sequence->Check(now);
    if (!status.ok()) Fail(*sequence, status);
    return !status.ok();
  });
}

void Scheduler::ReapPaused(int64_t now) {
  std::erase_if(paused_, [&](const Paused& paused) {
    absl::Status status = paused.sequence->Check(now);
    if (status.ok() && now - paused.since >= options_.slow_client_millis) {
      status = absl::ResourceExhaustedError(
          fmt::format("the client left {} tokens unread for {} ms, the limit is {} ms; read faster or use GenerateOnce",
                      paused.sequence->unread_tokens(), now - paused.since, options_.slow_client_millis));
    }
    if (!status.ok()) Fail(*paused.sequence, status);
    return !status.ok();
  });
}

void Scheduler::ResumePaused() {
  for (auto it = paused_.begin(); it != paused_.end();) {
    if (it->sequence->unread_tokens() > options_.max_unread_tokens / 2) {
      ++it;
      continue;
    }
    InsertByArrival(waiting_, std::move(it->sequence));
    it = paused_.erase(it);
  }
}

// Takes the blocks of a sequence that does not run: of who was paused first, then of the youngest that waits.
bool Scheduler::ReclaimIdle(const Sequence& keep) {
  const auto holds = [&](const Sequence& sequence) {
    return &sequence != &keep && !sequence.blocks().blocks().empty();
  };
  const auto paused = std::ranges::find_if(paused_, [&](const Paused& entry) { return holds(*entry.sequence); });
  Sequence* victim = paused == paused_.end() ? nullptr : paused->sequence.get();
  for (auto it = waiting_.rbegin(); victim == nullptr && it != waiting_.rend(); ++it) {
    if (*it != nullptr && holds(**it)) victim = it->get();
  }
  if (victim == nullptr) return false;
  victim->Preempt();
  ++totals_.preemptions;
  return true;
}

// True once the pool has what `sequence` lacks to hold all of its tokens, and `spare` blocks more.
bool Scheduler::MakeRoom(const Sequence& sequence, int64_t spare) {
  const int64_t missing = pool_.BlocksFor(sequence.size()) - std::ssize(sequence.blocks().blocks());
  while (pool_.free() < missing + spare) {
    if (!ReclaimIdle(sequence)) return false;
  }
  return true;
}

// In order of arrival and never past one that does not fit, or a long prompt would wait for ever.
void Scheduler::Admit(int64_t now) {
  size_t admitted = 0;
  for (; admitted < waiting_.size() && std::ssize(running_) < options_.max_running; ++admitted) {
    std::unique_ptr<Sequence>& next = waiting_[admitted];
    // A block to spare for each that runs: else the newcomer would be preempted within a few steps.
    if (!MakeRoom(*next, std::ssize(running_)) || !next->blocks().Cover(next->size())) break;
    next->Admit(now);
    InsertByArrival(running_, std::move(next));
  }
  waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(admitted));
}

void Scheduler::PreemptYoungest() {
  std::unique_ptr<Sequence> youngest = std::move(running_.back());
  running_.pop_back();
  youngest->Preempt();
  ++totals_.preemptions;
  InsertByArrival(waiting_, std::move(youngest));
}

// The oldest first: it always finds room, because its size limit fits the cache, so something always moves on.
void Scheduler::GrowDecodes() {
  for (size_t i = 0; i < running_.size(); ++i) {
    while (i < running_.size() && !(MakeRoom(*running_[i], 0) && running_[i]->blocks().Cover(running_[i]->size()))) {
      PreemptYoungest();
    }
  }
}

std::vector<Scheduler::Part> Scheduler::PlanStep() const {
  std::vector<Part> parts;
  int64_t budget = options_.step_tokens;
  for (const auto& sequence : running_) {
    if (sequence->decoding() && budget > 0) {
      parts.push_back({sequence.get(), 1});
      --budget;
    }
  }
  if (!parts.empty()) budget = std::min(budget, options_.prefill_tokens_beside_decodes);
  for (const auto& sequence : running_) {
    if (sequence->decoding() || budget <= 0) continue;
    const int64_t silent = std::max<int64_t>(sequence->first_output() - sequence->cached(), 0);
    const int64_t rows = std::min({budget, sequence->uncached(), silent + kMaxOutputRows});
    parts.push_back({sequence.get(), rows});
    budget -= rows;
  }
  return parts;
}

absl::Status Scheduler::RunPass(std::vector<Part>& parts) {
  BatchRows rows(model_.position_axes(), model_.hidden_size());
  for (Part& part : parts) {
    const Sequence& sequence = *part.sequence;
    const int64_t first_row = rows.rows();
    rows.Add(sequence.Next(part.rows));
    const int64_t silent = std::max<int64_t>(sequence.first_output() - sequence.cached(), 0);
    for (int64_t row = silent; row < part.rows; ++row) rows.WantLogits(first_row + row);
    part.outputs = std::max<int64_t>(part.rows - silent, 0);
  }
  const Batch batch = rows.View();
  logits_.resize(batch.output_rows.size() * static_cast<size_t>(model_.vocab_size()));
  return model_.Forward(batch, logits_);
}

void Scheduler::FailParts(const std::vector<Part>& parts, const absl::Status& status) {
  for (const Part& part : parts) {
    Fail(*part.sequence, status);
    Remove(part.sequence);
  }
}

void Scheduler::Remove(const Sequence* over) {
  std::erase_if(running_, [over](const auto& sequence) { return sequence.get() == over; });
}

void Scheduler::Deliver(const std::vector<Part>& parts, int64_t now) {
  const auto vocab = static_cast<size_t>(model_.vocab_size());
  std::span<const float> logits = logits_;
  for (const Part& part : parts) {
    Sequence& sequence = *part.sequence;
    if (!sequence.decoding()) totals_.prompt_tokens += part.rows;
    sequence.Advance(part.rows);
    bool over = false;
    for (int64_t i = 0; i < part.outputs; ++i, logits = logits.subspan(vocab)) {
      if (!over) over = AcceptLogits(sequence, logits.first(vocab), now);
    }
    if (over) Remove(&sequence);
  }
}

bool Scheduler::AcceptLogits(Sequence& sequence, std::span<const float> logits, int64_t now) {
  if (!sequence.scoring()) return AcceptToken(sequence, logits, now);
  const absl::StatusOr<bool> last = sequence.Score(logits, now);
  if (!last.ok()) {
    Fail(sequence, last.status());
    return true;
  }
  if (*last) Finish(sequence);
  return *last;
}

void Scheduler::Finish(Sequence& sequence) {
  ++totals_.finished;
  if (observer_ != nullptr) observer_->OnFinished(absl::StatusCode::kOk);
  sequence.Finish();
}

bool Scheduler::AcceptToken(Sequence& sequence, std::span<const float> logits, int64_t now) {
  const int64_t previous = sequence.last_token_millis();
  const absl::StatusOr<bool> last = sequence.Accept(logits, now);
  if (!last.ok()) {
    Fail(sequence, last.status());
    return true;
  }
  ++totals_.generated_tokens;
  if (observer_ != nullptr) {
    if (sequence.generated() == 1) {
      observer_->OnFirstToken(now - sequence.arrived_millis());
    } else {
      observer_->OnNextToken(now - previous);
    }
  }
  if (*last) Finish(sequence);
  return *last;
}

void Scheduler::PauseSlow(int64_t now) {
  for (size_t i = 0; i < running_.size();) {
    if (running_[i]->unread_tokens() <= options_.max_unread_tokens) {
      ++i;
      continue;
    }
    paused_.push_back({std::move(running_[i]), now});
    running_.erase(running_.begin() + static_cast<std::ptrdiff_t>(i));
  }
  while (std::ssize(paused_) > options_.max_paused) {
    Fail(*paused_.front().sequence, absl::ResourceExhaustedError(fmt::format(
                                        "more than {} clients do not read their answers", options_.max_paused)));
    paused_.pop_front();
  }
}

void Scheduler::FailAll(const absl::Status& status) {
  for (auto* sequences : {&running_, &waiting_}) {
    for (const auto& sequence : *sequences) Fail(*sequence, status);
    sequences->clear();
  }
  for (const Paused& paused : paused_) Fail(*paused.sequence, status);
  paused_.clear();
}

SchedulerStats Scheduler::stats() const {
  SchedulerStats stats = totals_;
  stats.queued = static_cast<int>(waiting_.size());
  stats.running = static_cast<int>(running_.size());
  stats.paused = static_cast<int>(paused_.size());
  stats.blocks = pool_.total();
  stats.free_blocks = pool_.free();
  return stats;
}

}  // namespace gwq
