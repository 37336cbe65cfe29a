#include "core/evaluation/answers.h"

#include <algorithm>
#include <utility>

#include "core/base/status.h"
#include "core/engine/run_requests.h"
#include "core/models/cache_shape.h"

namespace gwq {
namespace {

// Keeps one answer and shows its logits.
class AnswerSink final : public GenerationSink {
 public:
  AnswerSink(size_t index, const Answerer::Visit& visit) : index_(index), visit_(visit) {}

  void OnLogits(std::span<const float> logits) override {
    if (visit_) visit_(index_, step_, logits);
    ++step_;
  }
  void OnChunk(GeneratedChunk chunk) override { tokens.insert(tokens.end(), chunk.tokens.begin(), chunk.tokens.end()); }
  void OnDone(const absl::StatusOr<GenerationResult>& result) override {
    status = result.status();
    // The token that ended the answer is no part of it.
    if (result.ok() && result->reason == FinishReason::kStop && !tokens.empty()) tokens.pop_back();
  }
  int64_t unread_tokens() const override { return 0; }

  std::vector<int32_t> tokens;
  absl::Status status = absl::UnknownError("not done");

 private:
  const size_t index_;
  const Answerer::Visit& visit_;
  size_t step_ = 0;
};

absl::StatusOr<std::vector<std::shared_ptr<AnswerSink>>> RunAll(StepModel& model, int64_t logit_rows_each,
                                                                std::vector<GenerationRequest> requests,
                                                                const Answerer::Visit& visit, Progress& progress) {
  std::vector<std::shared_ptr<AnswerSink>> sinks;
  std::vector<RequestToRun> work;
  for (GenerationRequest& request : requests) {
    sinks.push_back(std::make_shared<AnswerSink>(sinks.size(), visit));
    work.push_back({std::move(request), sinks.back()});
  }
  SchedulerOptions options;
  options.max_running = static_cast<int>(kAnswerLogitRows / logit_rows_each);
  options.step_tokens = kAnswerPassRows;
  // Nobody waits for the next token of an answer.
  options.prefill_tokens_beside_decodes = kAnswerPassRows;
  GWQ_RETURN_IF_ERROR(RunRequests(model, options, std::move(work), [&] { return progress.Check(); }));
  for (const auto& sink : sinks) GWQ_RETURN_IF_ERROR(sink->status);
  return sinks;
}

}  // namespace

GenerationRequest Answerer::RequestFor(const AnswerPrompt& prompt) const {
  GenerationRequest request;
  request.prompt = prompt.tokens;
  request.images = prompt.images;
  request.positions = prompt.positions;
  request.max_tokens = max_tokens_;
  const int64_t vocabulary = model_->model().config().vocab_size;
  // A tokenizer may name more than the model can say.
  std::ranges::copy_if(stop_ids_, std::back_inserter(request.stop_ids), [&](int32_t id) { return id < vocabulary; });
  return request;
}

absl::StatusOr<std::unique_ptr<StepModel>> Answerer::MakeModel(std::span<const AnswerPrompt> prompts,
                                                               FifoLock& fifo_lock) const {
  int64_t blocks = 0;
  for (const AnswerPrompt& prompt : prompts) blocks += CacheBlocksFor(std::ssize(prompt.tokens) + max_tokens_);
  return MakeStepModel(model_, backend_, fifo_lock, blocks * kCacheBlockTokens);
}

absl::StatusOr<std::vector<std::vector<int32_t>>> Answerer::Answer(std::span<const AnswerPrompt> prompts,
                                                                   const Visit& visit, Progress& progress) const {
  FifoLock fifo_lock;
  GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<StepModel> model, MakeModel(prompts, fifo_lock));
  std::vector<GenerationRequest> requests;
  for (const AnswerPrompt& prompt : prompts) requests.push_back(RequestFor(prompt));
  GWQ_ASSIGN_OR_RETURN(const auto sinks, RunAll(*model, 1, std::move(requests), visit, progress));
  std::vector<std::vector<int32_t>> answers;
  for (const auto& sink : sinks) answers.push_back(std::move(sink->tokens));
  return answers;
}

absl::Status Answerer::Read(std::span<const AnswerPrompt> prompts, std::span<const std::vector<int32_t>> answers,
                            const Visit& visit, Progress& progress) const {
  FifoLock fifo_lock;
  GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<StepModel> model, MakeModel(prompts, fifo_lock));
  std::vector<GenerationRequest> requests;
  for (size_t i = 0; i < prompts.size(); ++i) {
    GenerationRequest& request = requests.emplace_back(RequestFor(prompts[i]));
    // An answer is read as the one choice behind its prompt. The last token of a choice is scored and never read, so a
    // token at its end, whichever, gives the step that ends the answer.
    request.choices = {answers[i]};
    if (std::ssize(answers[i]) < max_tokens_) request.choices.front().push_back(0);
  }
  return RunAll(*model, kMaxOutputRows, std::move(requests), visit, progress).status();
}

}  // namespace gwq
