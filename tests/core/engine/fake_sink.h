// A sink that keeps what it got and can be waited for.
#pragma once

#include <fmt/format.h>

#include <atomic>
#include <string>
#include <vector>

#include "core/base/mutex.h"
#include "core/base/status.h"
#include "core/engine/request.h"

namespace gwq {

class FakeSink final : public GenerationSink {
 public:
  void OnChunk(GeneratedChunk chunk) override {
    MutexLock lock(mutex_);
    text_ += chunk.text;
    tokens_.insert(tokens_.end(), chunk.tokens.begin(), chunk.tokens.end());
    log_probabilities_.insert(log_probabilities_.end(), chunk.log_probabilities.begin(), chunk.log_probabilities.end());
    if (slow) unread += static_cast<int64_t>(chunk.tokens.size());
    changed_.NotifyAll();
  }
  void OnDone(const absl::StatusOr<GenerationResult>& result) override {
    MutexLock lock(mutex_);
    ++done_calls_;
    if (result.ok()) {
      result_ = *result;
      status_ = absl::OkStatus();
    } else {
      status_ = result.status();
    }
    changed_.NotifyAll();
  }
  int64_t unread_tokens() const override { return unread.load(); }

  [[nodiscard]] bool done() const {
    MutexLock lock(mutex_);
    return done_calls_ > 0;
  }
  [[nodiscard]] int done_calls() const {
    MutexLock lock(mutex_);
    return done_calls_;
  }
  void WaitDone() const {
    MutexLock lock(mutex_);
    while (done_calls_ == 0) changed_.Wait(mutex_);
  }
  void WaitTokens(size_t count) const {
    MutexLock lock(mutex_);
    while (tokens_.size() < count && done_calls_ == 0) changed_.Wait(mutex_);
  }
  [[nodiscard]] absl::Status status() const {
    MutexLock lock(mutex_);
    return status_;
  }
  [[nodiscard]] GenerationResult result() const {
    MutexLock lock(mutex_);
    return result_;
  }
  [[nodiscard]] std::vector<int32_t> tokens() const {
    MutexLock lock(mutex_);
    return tokens_;
  }
  [[nodiscard]] std::vector<double> log_probabilities() const {
    MutexLock lock(mutex_);
    return log_probabilities_;
  }
  [[nodiscard]] std::string text() const {
    MutexLock lock(mutex_);
    return text_;
  }

  std::atomic<bool> slow = false;  // nothing is read
  std::atomic<int64_t> unread = 0;

 private:
  mutable Mutex mutex_;
  mutable CondVar changed_;
  std::vector<int32_t> tokens_ ABSL_GUARDED_BY(mutex_);
  std::vector<double> log_probabilities_ ABSL_GUARDED_BY(mutex_);
  std::string text_ ABSL_GUARDED_BY(mutex_);
  absl::Status status_ ABSL_GUARDED_BY(mutex_) = absl::UnknownError("not done");
  GenerationResult result_ ABSL_GUARDED_BY(mutex_);
  int done_calls_ ABSL_GUARDED_BY(mutex_) = 0;
};

// Writes token t as "<t>".
class FakeDecoder final : public TokenDecoder {
 public:
  absl::StatusOr<std::string> Push(int32_t token) override { return fmt::format("<{}>", token); }
  absl::StatusOr<std::string> Flush() override { return std::string("."); }
};

inline GenerationRequest Ask(std::vector<int32_t> prompt, int64_t max_tokens) {
  GenerationRequest request;
  request.prompt = std::move(prompt);
  request.max_tokens = max_tokens;
  request.decoder = std::make_unique<FakeDecoder>();
  return request;
}

}  // namespace gwq
