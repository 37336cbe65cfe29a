#include "core/calibration/own_text.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "core/base/draw.h"
#include "core/base/status.h"
#include "core/calibration/text_batch.h"

namespace gwq {
namespace {

constexpr int64_t kKinds = 4;
constexpr int64_t kTextTokens = 64;

constexpr std::array<std::string_view, 12> kQuestions = {
    "Explain how rain forms.",
    "Tell me a short story about a lighthouse.",
    "What caused the First World War?",
    "Give me some advice for a job interview.",
    "Describe the city of Rome to somebody who has never been there.",
    "How do I bake bread?",
    "Summarize the rules of chess.",
    "Write an email that asks for a day off.",
    "What is 15 percent of 240? Show your work.",
    "Compare cats and dogs as pets.",
    "Translate 'Where is the station?' into French, German and Spanish.",
    "Why is the sky blue?"};
constexpr std::array<std::string_view, 12> kTasks = {
    "Write a Python function that merges two sorted lists.",
    "Write a Python class for a queue with a maximum size.",
    "Show me a C++ program that counts the words of a file.",
    "Write a shell script that renames all .jpeg files to .jpg.",
    "Write JavaScript code that validates an email address in a form.",
    "Write a SQL query that finds the three best customers of each month.",
    "Write a Python script that copies a directory and skips hidden files.",
    "Implement binary search in Java.",
    "Write a Go function that retries an HTTP request.",
    "Write HTML and CSS for a login page.",
    "Write a Rust function that parses a date such as 2024-05-17.",
    "Write unit tests for a function that converts Roman numerals."};

// Messages that no template changes.
constexpr std::array<std::string_view, 3> kMarks = {"qzxmarkone", "qzxmarktwo", "qzxmarkthree"};

// The text of a chat template around its messages.
struct Frame {
  std::string before, to_assistant, to_user;
};

// `text` from `from` up to the mark, and `from` behind it; none if the mark is not there.
std::optional<std::string> UpTo(const std::string& text, std::string_view mark, size_t& from) {
  const size_t at = text.find(mark, from);
  if (at == std::string::npos) return std::nullopt;
  std::string out = text.substr(from, at - from);
  from = at + mark.size();
  return out;
}

std::optional<Frame> FrameOf(const ChatTemplate& chat) {
  const std::array<ChatMessage, 3> messages = {ChatMessage{"user", std::string(kMarks[0])},
                                               ChatMessage{"assistant", std::string(kMarks[1])},
                                               ChatMessage{"user", std::string(kMarks[2])}};
  const absl::StatusOr<std::string> rendered = chat.Render(messages, RenderOptions{});
  if (!rendered.ok()) return std::nullopt;
  size_t from = 0;
  const auto before = UpTo(*rendered, kMarks[0], from);
  const auto answer = before ? UpTo(*rendered, kMarks[1], from) : std::nullopt;
  const auto back = answer ? UpTo(*rendered, kMarks[2], from) : std::nullopt;
  // What follows the last message is how an answer begins; earlier ones may be written more briefly.
  if (!back || from == rendered->size()) return std::nullopt;
  return Frame{*before, rendered->substr(from), *back};
}

bool InVocabulary(const OwnTextStarts& starts, int64_t vocabulary) {
  const auto all = [&](const std::vector<int32_t>& tokens) {
    return std::ranges::all_of(tokens, [&](int32_t token) { return token >= 0 && token < vocabulary; });
  };
  return all(starts.document) && all(starts.user) && all(starts.to_assistant) && all(starts.to_user) &&
         std::ranges::all_of(starts.questions, all) && std::ranges::all_of(starts.tasks, all);
}

class Writer {
 public:
  Writer(const Model& model, const OwnTextStarts& starts, int64_t count, int64_t samples, uint64_t seed)
      : starts_(starts),
        vocabulary_(static_cast<size_t>(model.config().vocab_size)),
        count_(count),
        per_sample_(std::clamp<int64_t>(count / kTextTokens, 1, kKinds)),
        length_((count + per_sample_ - 1) / per_sample_),
        seed_(seed) {
    for (int64_t i = 0; i < samples * per_sample_; ++i) texts_.push_back(Begun(i));
  }

  absl::StatusOr<std::vector<int32_t>> Run(TextBatch& batch, Progress& progress) {
    std::vector<std::vector<int32_t>> tokens(texts_.size());
    std::vector<float> logits(texts_.size() * vocabulary_);
    const int64_t total = std::ssize(texts_) * length_;
    for (int64_t step = 0; step < length_; ++step) {
      progress.Step("sample", total * step / length_, total);
      if (step > 0) GWQ_RETURN_IF_ERROR(batch.Forward(tokens, logits));
      for (size_t text = 0; text < texts_.size(); ++text) {
        tokens[text].push_back(Next(text, step, std::span(logits).subspan(text * vocabulary_, vocabulary_)));
      }
    }
    progress.Step("sample", total, total);
    return Join(tokens);
  }

  [[nodiscard]] size_t texts() const { return texts_.size(); }
  [[nodiscard]] int64_t length() const { return length_; }

 private:
  struct Text {
    std::vector<int32_t> forced;  // what comes next whatever the model says
    size_t done = 0;              // of `forced`
    bool dialogue = false;
    bool user_speaks = false;
  };

  // Of text `index` of all; those of a sample stand side by side.
  [[nodiscard]] Text Begun(int64_t index) const {
    const int64_t round = index / kKinds;
    switch (index % kKinds) {
      case 0:
        return {starts_.document, 0, false, false};
      case 1:
        return {starts_.user, 0, true, true};
      case 2:
        return {Chosen(starts_.questions, round), 0, true, false};
      default:
        return {Chosen(starts_.tasks, round), 0, true, false};
    }
  }

  [[nodiscard]] std::vector<int32_t> Chosen(const std::vector<std::vector<int32_t>>& from, int64_t round) const {
    return from[(static_cast<size_t>(round) + seed_ % from.size()) % from.size()];
  }

  int32_t Next(size_t index, int64_t step, std::span<const float> logits) {
    Text& text = texts_[index];
    if (text.done < text.forced.size()) return text.forced[text.done++];
    const double uniform = static_cast<double>(Draw(Draw(seed_, index), static_cast<uint64_t>(step)) >> 11) * 0x1p-53;
    const int32_t token = Drawn(logits, uniform, /*ends=*/text.dialogue);
    if (!text.dialogue || !IsEnd(token)) return token;
    text.forced = text.user_speaks ? starts_.to_assistant : starts_.to_user;
    // What ends the turn is part of what stands between two turns, where the template writes it.
    text.done = !text.forced.empty() && IsEnd(text.forced.front()) ? 1 : 0;
    text.user_speaks = !text.user_speaks;
    return text.done == 1 ? text.forced.front() : token;
  }

  [[nodiscard]] bool IsEnd(int32_t token) const { return std::ranges::find(starts_.ends, token) != starts_.ends.end(); }

  // By the inverse of the cumulated probabilities. Without `ends` no token that ends a text is drawn.
  [[nodiscard]] int32_t Drawn(std::span<const float> logits, double uniform, bool ends) {
    const float highest = *std::ranges::max_element(logits);
    weights_.resize(logits.size());
    for (size_t i = 0; i < logits.size(); ++i) weights_[i] = std::exp(logits[i] - highest);
    if (!ends) {
      for (const int32_t end : starts_.ends) {
        if (end >= 0 && static_cast<size_t>(end) < weights_.size()) weights_[static_cast<size_t>(end)] = 0;
      }
    }
    double sum = 0;
    for (const float weight : weights_) sum += weight;
    double left = uniform * sum;
    size_t last = 0;
    for (size_t i = 0; i < weights_.size(); ++i) {
      if (weights_[i] <= 0) continue;
      last = i;
      left -= weights_[i];
      if (left < 0) break;
    }
    return static_cast<int32_t>(last);
  }

  [[nodiscard]] std::vector<int32_t> Join(const std::vector<std::vector<int32_t>>& texts) const {
    std::vector<int32_t> out;
    for (size_t first = 0; first < texts.size(); first += static_cast<size_t>(per_sample_)) {
      const size_t end = out.size() + static_cast<size_t>(count_);
      for (size_t i = first; i < first + static_cast<size_t>(per_sample_); ++i) {
        out.insert(out.end(), texts[i].begin(), texts[i].end());
      }
      out.resize(end);
    }
    return out;
  }

  const OwnTextStarts& starts_;
  const size_t vocabulary_;
  const int64_t count_;
  const int64_t per_sample_;
  const int64_t length_;
  const uint64_t seed_;
  std::vector<Text> texts_;
  std::vector<float> weights_;
};

}  // namespace

int32_t FirstTokenOf(const ModelConfig& config) {
  const std::vector<int32_t>& ends = config.eos_token_ids;
  return config.bos_token_id >= 0 ? config.bos_token_id : ends.empty() ? 0 : ends.front();
}

absl::StatusOr<std::optional<OwnTextStarts>> FindOwnTextStarts(const ModelText& text, const ModelConfig& config) {
  if (text.chat_template() == nullptr) return std::nullopt;
  const std::optional<Frame> frame = FrameOf(*text.chat_template());
  if (!frame) return std::nullopt;
  const Tokenizer& tokenizer = text.tokenizer();
  OwnTextStarts out;
  out.document = {FirstTokenOf(config)};
  out.ends = config.eos_token_ids;
  for (const int32_t id : text.stop_ids()) {
    if (std::ranges::find(out.ends, id) == out.ends.end()) out.ends.push_back(id);
  }
  GWQ_ASSIGN_OR_RETURN(out.user, tokenizer.Encode(frame->before, false));
  GWQ_ASSIGN_OR_RETURN(out.to_assistant, tokenizer.Encode(frame->to_assistant, false));
  GWQ_ASSIGN_OR_RETURN(out.to_user, tokenizer.Encode(frame->to_user, false));
  // A text begins with something.
  if (out.user.empty()) out.user = out.document;
  for (const auto& [asked, to] : {std::pair(std::span<const std::string_view>(kQuestions), &out.questions),
                                  {std::span<const std::string_view>(kTasks), &out.tasks}}) {
    for (const std::string_view question : asked) {
      const std::array<ChatMessage, 1> message = {ChatMessage{"user", std::string(question)}};
      GWQ_ASSIGN_OR_RETURN(const std::string rendered, text.chat_template()->Render(message, RenderOptions{}));
      GWQ_ASSIGN_OR_RETURN(to->emplace_back(), tokenizer.Encode(rendered, false));
      if (to->back().empty()) return std::nullopt;
    }
  }
  if (!InVocabulary(out, config.vocab_size)) return std::nullopt;
  return out;
}

absl::StatusOr<std::vector<int32_t>> WriteOwnTexts(const Model& model, WeightLoader& loader, Backend& backend,
                                                   const OwnTextStarts& starts, int64_t count, int64_t samples,
                                                   uint64_t seed, Progress& progress) {
  Writer writer(model, starts, count, samples, seed);
  GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<TextBatch> batch,
                       TextBatch::Create(model, loader, backend, writer.texts(), writer.length(), progress));
  return writer.Run(*batch, progress);
}

}  // namespace gwq
