#include "core/calibration/sample.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "core/base/draw.h"
#include "core/base/status.h"
#include "core/io/json.h"
#include "core/prompt/prompt_builder.h"
#include "core/text/first_tokens.h"

namespace gwq {
namespace {

// A text of which stretches are read.
class TextSource {
 public:
  virtual ~TextSource() = default;
  [[nodiscard]] virtual uint64_t size() const = 0;
  // Bytes [offset, offset + size), which lie inside.
  [[nodiscard]] virtual absl::StatusOr<std::string> Read(uint64_t offset, uint64_t size) const = 0;
};

class GivenText final : public TextSource {
 public:
  explicit GivenText(std::string_view text) : text_(text) {}
  [[nodiscard]] uint64_t size() const override { return text_.size(); }
  [[nodiscard]] absl::StatusOr<std::string> Read(uint64_t offset, uint64_t size) const override {
    return std::string(text_.substr(offset, size));
  }

 private:
  const std::string_view text_;
};

class StoredText final : public TextSource {
 public:
  [[nodiscard]] static absl::StatusOr<StoredText> Open(const std::string& name, BlobStore& store) {
    GWQ_ASSIGN_OR_RETURN(const Digest digest, Digest::Parse(name));
    const absl::StatusOr<BlobInfo> info = store.Stat(digest);
    if (!info.ok()) return Annotate(info.status(), "recipe.calibration.blob");
    return StoredText(store, *info);
  }
  [[nodiscard]] uint64_t size() const override { return info_.size; }
  [[nodiscard]] absl::StatusOr<std::string> Read(uint64_t offset, uint64_t size) const override {
    std::string text(size, '\0');
    GWQ_RETURN_IF_ERROR(store_->Read(info_.digest, offset, std::as_writable_bytes(std::span(text))));
    return text;
  }

 private:
  StoredText(BlobStore& store, const BlobInfo& info) : store_(&store), info_(info) {}
  BlobStore* store_;
  BlobInfo info_;
};

// The characters of `text` that are whole, where it was cut in the middle of others.
std::string_view WholeCharacters(std::string_view text, bool cut_front, bool cut_back) {
  const auto continues = [](char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; };
  while (cut_front && !text.empty() && continues(text.front())) text.remove_prefix(1);
  return cut_back && text.size() > 4 ? CutUtf8(text, text.size() - 4) : text;
}

// The first `count` tokens of each of `samples` stretches.
absl::StatusOr<SampleSet> Stretches(const TextSource& source, const Tokenizer& tokenizer, std::string_view field,
                                    int64_t samples, int64_t count, uint64_t seed, Progress& progress) {
  SampleSet out;
  // Each begins at a byte of its own.
  const uint64_t stretches = std::clamp<uint64_t>(source.size(), 1, static_cast<uint64_t>(samples));
  for (uint64_t i = 0; i < stretches; ++i) {
    GWQ_RETURN_IF_ERROR(progress.Check());
    progress.Step("sample", static_cast<int64_t>(i), static_cast<int64_t>(stretches));
    uint64_t begin = source.size() / stretches * i;
    const uint64_t end = i + 1 == stretches ? source.size() : source.size() / stretches * (i + 1);
    // Four bytes more than is looked at, so that a cut at the end is no false error.
    const uint64_t wanted = BytesForTokens(count) + 8;
    if (seed != 0 && stretches > 1 && end - begin > wanted) begin += Draw(seed, i) % (end - begin - wanted);
    // A stretch goes on into the next one rather than be short; only the last ends with the text.
    const uint64_t size = std::min<uint64_t>(wanted, source.size() - begin);
    GWQ_ASSIGN_OR_RETURN(const std::string bytes, source.Read(begin, size));
    const std::string_view used = WholeCharacters(bytes, begin > 0, begin + size < source.size());
    if (!IsValidUtf8(used)) return InvalidField(field, "is not valid UTF-8 text");
    GWQ_ASSIGN_OR_RETURN(std::vector<int32_t> tokens, FirstTokens(tokenizer, used, count));
    if (tokens.size() >= 2 || stretches == 1) out.push_back({std::move(tokens), {}, {}, {}});
  }
  progress.Step("sample", static_cast<int64_t>(stretches), static_cast<int64_t>(stretches));
  return out;
}

absl::StatusOr<std::vector<int32_t>> FromChat(const Calibration& calibration, const ModelText& text, int64_t count) {
  if (text.chat_template() == nullptr) {
    return InvalidField("recipe.calibration.source",
                        "is 'chat', but the model has no chat template; use source 'text' or another");
  }
  std::vector<ChatMessage> messages;
  for (const ChatTurn& turn : calibration.messages) messages.push_back({turn.role, turn.content});
  RenderOptions options;
  options.add_generation_prompt = false;
  GWQ_ASSIGN_OR_RETURN(const std::string rendered, PromptBuilder(text).Render(messages, options));
  return FirstTokens(text.tokenizer(), rendered, count);
}

absl::StatusOr<SampleSet> Uncut(const Calibration& calibration, int64_t samples, uint64_t seed, const ModelText* text,
                                BlobStore& store, const SampleMaker& generate, int64_t count, Progress& progress) {
  const bool reads =
      calibration.source != CalibrationSource::kGenerated && calibration.source != CalibrationSource::kTokenIds;
  if (reads && text == nullptr) return absl::InternalError("a calibration text needs the model's tokenizer");
  const auto one = [](std::vector<int32_t> tokens) { return SampleSet{{std::move(tokens), {}, {}, {}}}; };
  switch (calibration.source) {
    case CalibrationSource::kGenerated: {
      GWQ_ASSIGN_OR_RETURN(const std::vector<int32_t> tokens, generate(count * samples, samples));
      SampleSet out;
      for (int64_t i = 0; i < samples; ++i) {
        const auto begin = tokens.begin() + static_cast<std::ptrdiff_t>(i * count);
        out.push_back({{begin, begin + static_cast<std::ptrdiff_t>(count)}, {}, {}, {}});
      }
      return out;
    }
    case CalibrationSource::kText:
      return Stretches(GivenText(calibration.text), text->tokenizer(), "recipe.calibration.text", samples, count, seed,
                       progress);
    case CalibrationSource::kFile: {
      GWQ_ASSIGN_OR_RETURN(const StoredText stored, StoredText::Open(calibration.blob, store));
      return Stretches(stored, text->tokenizer(), "recipe.calibration.blob", samples, count, seed, progress);
    }
    case CalibrationSource::kChat: {
      GWQ_ASSIGN_OR_RETURN(std::vector<int32_t> tokens, FromChat(calibration, *text, count));
      return one(std::move(tokens));
    }
    case CalibrationSource::kTokenIds:
      return one(calibration.token_ids);
    case CalibrationSource::kImage:
      return absl::InternalError("a sample with an image is made by MakeImageSample");
    case CalibrationSource::kDataset:
    case CalibrationSource::kDefault:
    case CalibrationSource::kMix:
      return absl::InternalError("samples of a dataset, a mix or the default set are not made here");
  }
  return absl::InternalError("unknown calibration source");
}

std::string_view SourceField(CalibrationSource source) {
  switch (source) {
    case CalibrationSource::kText:
      return "recipe.calibration.text";
    case CalibrationSource::kChat:
      return "recipe.calibration.messages";
    case CalibrationSource::kTokenIds:
      return "recipe.calibration.token_ids";
    case CalibrationSource::kFile:
      return "recipe.calibration.blob";
    case CalibrationSource::kGenerated:
    case CalibrationSource::kImage:
    case CalibrationSource::kDataset:
    case CalibrationSource::kDefault:
    case CalibrationSource::kMix:
      break;
  }
  return "recipe.calibration.source";
}

}  // namespace

absl::StatusOr<SampleSet> CalibrationSamples(const Calibration& calibration, int64_t samples, uint64_t seed,
                                             const ModelConfig& config, const ModelText* text, BlobStore& store,
                                             const SampleMaker& generate, Progress& progress) {
  int64_t count = calibration.max_tokens;
  if (config.max_positions > 0) count = std::min(count, config.max_positions);
  GWQ_ASSIGN_OR_RETURN(SampleSet out, Uncut(calibration, samples, seed, text, store, generate, count, progress));
  const std::string_view field = SourceField(calibration.source);
  if (out.empty() || out.front().tokens.size() < 2) {
    return InvalidField(
        field, fmt::format("gives {} tokens; at least two are needed", out.empty() ? 0 : out.front().tokens.size()));
  }
  for (CalibrationSample& sample : out) {
    std::vector<int32_t>& tokens = sample.tokens;
    if (static_cast<int64_t>(tokens.size()) > count) tokens.resize(static_cast<size_t>(count));
    for (size_t i = 0; i < tokens.size(); ++i) {
      if (tokens[i] < 0 || tokens[i] >= config.vocab_size) {
        return InvalidField(
            fmt::format("{}[{}]", field, i),
            fmt::format("token {} is outside the model's vocabulary of {}", tokens[i], config.vocab_size));
      }
    }
  }
  return out;
}

}  // namespace gwq
