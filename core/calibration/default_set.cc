#include "core/calibration/default_set.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>

#include "core/base/draw.h"
#include "core/base/shuffle.h"
#include "core/base/status.h"
#include "core/calibration/interleave.h"
#include "core/prompt/prompt_builder.h"
#include "core/text/first_tokens.h"

namespace gwq {
namespace {

// "User: ...", "Assistant: ...", as a model without a template may have seen it.
std::string PlainText(const std::vector<ChatTurn>& turns) {
  std::string out;
  for (const ChatTurn& turn : turns) {
    out += fmt::format("{}{}: {}", out.empty() ? "" : "\n\n", turn.role == "user" ? "User" : "Assistant", turn.content);
  }
  return out;
}

std::string TextOf(const DatasetItem& item, const ModelText& text, Progress& progress) {
  if (!item.text.empty()) return item.text;
  if (text.chat_template() == nullptr) return PlainText(item.messages);
  std::vector<ChatMessage> messages;
  for (const ChatTurn& turn : item.messages) messages.push_back({turn.role, turn.content});
  RenderOptions options;
  options.add_generation_prompt = false;
  absl::StatusOr<std::string> rendered = PromptBuilder(text).Render(messages, options);
  if (rendered.ok()) return *std::move(rendered);
  progress.Log(fmt::format("a dialogue of the default set is read as plain text, for the chat template refuses it: {}",
                           MessageOf(rendered.status())));
  return PlainText(item.messages);
}

}  // namespace

absl::StatusOr<std::vector<DefaultSetItem>> ChooseDefaultItems(int64_t samples, uint64_t seed) {
  const std::span<const DefaultSetFile> files = DefaultSetFiles();
  std::vector<std::vector<DatasetLine>> lines;
  std::vector<size_t> counts;
  for (const DefaultSetFile& file : files) {
    absl::StatusOr<std::vector<DatasetLine>> split = SplitDataset(file.lines);
    if (!split.ok()) return absl::InternalError(fmt::format("{}: {}", file.kind, MessageOf(split.status())));
    if (seed != 0) {
      const std::vector<size_t> order = Shuffled(split->size(), Draw(seed, lines.size()));
      std::vector<DatasetLine> shuffled;
      for (const size_t line : order) shuffled.push_back((*split)[line]);
      *split = std::move(shuffled);
    }
    counts.push_back(split->size());
    lines.push_back(*std::move(split));
  }
  std::vector<DefaultSetItem> out;
  for (const InterleavedItem& place : Interleaved(counts)) {
    if (std::ssize(out) == samples) break;
    const std::string_view kind = files[place.part].kind;
    absl::StatusOr<DatasetItem> item = ParseDatasetLine(lines[place.part][place.index]);
    if (!item.ok()) return absl::InternalError(fmt::format("{}: {}", kind, MessageOf(item.status())));
    out.push_back({kind, *std::move(item)});
  }
  return out;
}

absl::StatusOr<SampleSet> DefaultSetSamples(const Calibration& calibration, int64_t samples, uint64_t seed,
                                            const ModelConfig& config, const ModelText& text, Progress& progress) {
  int64_t count = calibration.max_tokens;
  if (config.max_positions > 0) count = std::min(count, config.max_positions);
  GWQ_ASSIGN_OR_RETURN(const std::vector<DefaultSetItem> items, ChooseDefaultItems(samples, seed));
  SampleSet out;
  for (const DefaultSetItem& one : items) {
    GWQ_RETURN_IF_ERROR(progress.Check());
    progress.Step("sample", std::ssize(out), std::ssize(items));
    const std::string written = TextOf(one.item, text, progress);
    GWQ_ASSIGN_OR_RETURN(std::vector<int32_t> tokens, FirstTokens(text.tokenizer(), written, count));
    if (tokens.size() >= 2) out.push_back({std::move(tokens), {}, {}, {}});
  }
  progress.Step("sample", std::ssize(items), std::ssize(items));
  if (out.empty()) return absl::InternalError("the default set gives this tokenizer no sample of two tokens");
  if (std::ssize(items) < samples) {
    progress.Log(fmt::format("the default set has {} samples, {} were asked for", items.size(), samples));
  }
  return out;
}

}  // namespace gwq
