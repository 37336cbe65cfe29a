#include "core/evaluation/task_tokens.h"

#include <fmt/format.h>

#include <string>

#include "core/artifact/stored_dataset.h"
#include "core/base/status.h"
#include "core/evaluation/default_text.h"
#include "core/text/first_tokens.h"
#include "core/text/model_text.h"

namespace gwq {
namespace {

absl::StatusOr<std::string> ReadText(BlobStore& store, const EvaluationTask& task) {
  if (!task.dataset.empty()) {
    GWQ_ASSIGN_OR_RETURN(const Digest digest, Digest::Parse(task.dataset));
    GWQ_ASSIGN_OR_RETURN(const StoredDataset dataset, StoredDataset::Open(store, digest));
    return dataset.Text();
  }
  return task.text.empty() ? std::string(DefaultEvaluationText()) : task.text;
}

}  // namespace

absl::StatusOr<std::vector<int32_t>> TextTaskTokens(BlobStore& store, const StoredModel& model,
                                                    const EvaluationTask& task, std::string_view path) {
  GWQ_ASSIGN_OR_RETURN(const std::string text, ReadText(store, task));
  GWQ_ASSIGN_OR_RETURN(const auto files, model.TextFiles());
  GWQ_ASSIGN_OR_RETURN(const auto model_text, ModelText::Load(files));
  GWQ_ASSIGN_OR_RETURN(std::vector<int32_t> tokens, FirstTokens(model_text->tokenizer(), text, task.tokens));
  if (tokens.size() < 2) {
    return InvalidField(fmt::format("{}.text", path),
                        fmt::format("gives {} tokens; at least two are needed", tokens.size()));
  }
  const int64_t vocabulary = model.model()->config().vocab_size;
  for (const int32_t token : tokens) {
    if (token >= vocabulary) {
      return absl::InvalidArgumentError(
          fmt::format("the tokenizer makes token {}, the model's vocabulary has {}", token, vocabulary));
    }
  }
  return tokens;
}

}  // namespace gwq
