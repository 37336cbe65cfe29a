#include "core/calibration/dataset_samples.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <numeric>
#include <string>
#include <utility>

#include "core/artifact/stored_processor.h"
#include "core/base/draw.h"
#include "core/base/status.h"
#include "core/prompt/image_rows.h"
#include "core/prompt/item_image.h"
#include "core/prompt/prompt_builder.h"
#include "core/text/first_tokens.h"

namespace gwq {
namespace {

// What is wrong with a line, told where the recipe names the dataset.
absl::Status AtLine(std::string_view field, int64_t line, const absl::Status& status) {
  if (!absl::IsInvalidArgument(status) && !absl::IsFailedPrecondition(status)) return Annotate(status, field);
  const std::vector<FieldViolation> violations = FieldViolations(status);
  const std::string where = fmt::format("line {}", line);
  if (violations.empty()) return InvalidField(field, fmt::format("{}: {}", where, MessageOf(status)));
  const std::string& inner = violations[0].field;
  return InvalidField(field,
                      fmt::format("{}: {}", inner.starts_with(where) ? inner : where, violations[0].description));
}

// Shared by the samples whose patches it makes.
struct Images {
  StoredDataset dataset;
  std::unique_ptr<const ImageProcessor> processor;
  std::string field;  // of the recipe, which names the dataset

  [[nodiscard]] absl::StatusOr<std::vector<float>> Patches(const DatasetItem& item) const {
    std::vector<float> out;
    for (const std::string& path : item.images) {
      absl::StatusOr<PreparedImage> image = ReadItemImage(dataset, item, path, *processor);
      if (!image.ok()) return AtLine(field, item.line, image.status());
      if (item.images.size() == 1) return std::move(image->patches);
      out.insert(out.end(), image->patches.begin(), image->patches.end());
    }
    return out;
  }
};

class SampleReader {
 public:
  SampleReader(const StoredDataset& dataset, const Calibration& calibration, const StoredModel& model,
               const ModelText& text, std::string_view field, Progress& progress)
      : dataset_(dataset),
        field_(field),
        model_(*model.model()),
        text_(text),
        progress_(progress),
        builder_(std::make_unique<const PromptBuilder>(text)) {
    const int64_t longest = model_.config().max_positions;
    max_tokens_ = longest > 0 ? std::min(calibration.max_tokens, longest) : calibration.max_tokens;
    max_image_tokens_ = std::max(calibration.max_tokens, kImageSampleTokens);
  }

  // Before the first line.
  absl::Status LoadProcessor(const StoredModel& model) {
    if (model_.vision() == nullptr) return absl::OkStatus();
    GWQ_ASSIGN_OR_RETURN(std::unique_ptr<const ImageProcessor> processor, ProcessorOf(model));
    images_ = std::make_shared<const Images>(Images{dataset_, std::move(processor), std::string(field_)});
    builder_ = std::make_unique<const PromptBuilder>(text_, model_, *images_->processor);
    return absl::OkStatus();
  }

  [[nodiscard]] absl::StatusOr<CalibrationSample> Read(const DatasetItem& item) const {
    CalibrationSample sample;
    if (!item.images.empty()) {
      GWQ_ASSIGN_OR_RETURN(sample, WithImages(item));
    } else {
      GWQ_ASSIGN_OR_RETURN(sample.tokens, Tokens(item));
      if (std::ssize(sample.tokens) > max_tokens_) sample.tokens.resize(static_cast<size_t>(max_tokens_));
    }
    const int64_t vocabulary = model_.config().vocab_size;
    const auto outside = std::ranges::find_if(sample.tokens, [&](int32_t token) { return token >= vocabulary; });
    if (outside == sample.tokens.end()) return sample;
    return absl::InvalidArgumentError(
        fmt::format("token {} is outside the model's vocabulary of {}", *outside, vocabulary));
  }

 private:
  [[nodiscard]] absl::StatusOr<std::vector<int32_t>> Tokens(const DatasetItem& item) const {
    if (!item.token_ids.empty()) return item.token_ids;
    if (!item.text.empty()) return FirstTokens(text_.tokenizer(), item.text, max_tokens_);
    RenderOptions options;
    options.add_generation_prompt = item.messages.empty() && item.answers.empty();
    GWQ_ASSIGN_OR_RETURN(const std::string rendered, builder_->Render(Conversation(item), options));
    return FirstTokens(text_.tokenizer(), rendered, max_tokens_);
  }

  static std::vector<ChatMessage> Conversation(const DatasetItem& item) {
    std::vector<ChatMessage> messages;
    for (const ChatTurn& turn : item.messages) messages.push_back({turn.role, turn.content});
    if (!messages.empty()) return messages;
    messages.push_back(UserTurn(item.images.size(), item.context));
    if (!item.answers.empty()) messages.push_back({"assistant", item.answers.front()});
    return messages;
  }

  [[nodiscard]] absl::StatusOr<CalibrationSample> WithImages(const DatasetItem& item) const {
    if (images_ == nullptr) {
      return absl::InvalidArgumentError(
          fmt::format("names the image '{}', but {} sees none", item.images.front(), model_.config().architecture));
    }
    CalibrationSample sample;
    std::vector<PreparedImage> prepared;
    int64_t image_tokens = 0;
    for (const std::string& path : item.images) {
      GWQ_RETURN_IF_ERROR(progress_.Check());
      GWQ_ASSIGN_OR_RETURN(PreparedImage image, ReadItemImage(dataset_, item, path, *images_->processor,
                                                              [this] { return progress_.Check(); }));
      image.patches = {};
      image_tokens += image.image_tokens;
      GWQ_RETURN_IF_ERROR(CheckTokens(image_tokens));
      const std::vector<PatchGrid> grids = GridsOf(image);
      sample.tiles.insert(sample.tiles.end(), grids.begin(), grids.end());
      prepared.push_back(std::move(image));
    }
    std::vector<const PreparedImage*> in_order;
    for (const PreparedImage& image : prepared) in_order.push_back(&image);
    RenderOptions options;
    options.add_generation_prompt = item.answers.empty();
    GWQ_ASSIGN_OR_RETURN(Prompt prompt, builder_->Build(Conversation(item), in_order, options, {},
                                                        {.max_prompt_tokens = max_image_tokens_}));
    GWQ_RETURN_IF_ERROR(CheckTokens(std::ssize(prompt.tokens)));
    sample.tokens = std::move(prompt.tokens);
    sample.positions = std::move(prompt.positions.positions);
    sample.read_patches = [images = images_, named = ImagesOf(item)] { return images->Patches(named); };
    return sample;
  }

  [[nodiscard]] absl::Status CheckTokens(int64_t tokens) const {
    if (tokens <= max_image_tokens_) return absl::OkStatus();
    return absl::InvalidArgumentError(fmt::format(
        "the sample has {} tokens or more with its images, {} are allowed; raise calibration.max_tokens, or "
        "give smaller images",
        tokens, max_image_tokens_));
  }

  static DatasetItem ImagesOf(const DatasetItem& item) {
    DatasetItem out;
    out.line = item.line;
    out.images = item.images;
    return out;
  }

  const StoredDataset& dataset_;
  const std::string_view field_;
  const Model& model_;
  const ModelText& text_;
  Progress& progress_;
  int64_t max_tokens_ = 0;
  int64_t max_image_tokens_ = 0;
  std::shared_ptr<const Images> images_;  // null for a text model
  std::unique_ptr<const PromptBuilder> builder_;
};

absl::Status CheckSamples(const SampleSet& samples, bool images, std::string_view field) {
  if (samples.empty()) return InvalidField(field, "gives no sample of two tokens or more");
  const bool any = std::ranges::any_of(samples, [](const CalibrationSample& one) { return !one.tiles.empty(); });
  if (any || !images) return absl::OkStatus();
  return InvalidField(field, fmt::format("has images, but none of the {} lines that were taken names one, so that none "
                                         "reaches the vision tower; take more samples or another seed",
                                         samples.size()));
}

}  // namespace

absl::StatusOr<std::vector<StoredDataset>> OpenCalibrationDatasets(BlobStore& store, const Calibration& calibration) {
  std::vector<StoredDataset> out;
  for (const NamedDigest& named : CalibrationDatasets(calibration)) {
    GWQ_ASSIGN_OR_RETURN(const Digest digest, Digest::Parse(named.digest));
    absl::StatusOr<StoredDataset> dataset = StoredDataset::Open(store, digest);
    if (!dataset.ok()) return AsField(dataset.status(), named.field);
    out.push_back(*std::move(dataset));
  }
  return out;
}

std::vector<size_t> ChooseLines(size_t lines, size_t samples, uint64_t seed) {
  std::vector<size_t> chosen(lines);
  std::iota(chosen.begin(), chosen.end(), size_t{0});
  if (samples >= lines) return chosen;
  for (size_t i = 0; i < samples; ++i) {
    // Evenly, or the first steps of a shuffle (Fisher, Yates).
    if (seed == 0) {
      chosen[i] = i * lines / samples;
    } else {
      std::swap(chosen[i], chosen[i + Draw(seed, i) % (lines - i)]);
    }
  }
  chosen.resize(samples);
  std::ranges::sort(chosen);
  return chosen;
}

absl::StatusOr<SampleSet> DatasetSamples(const StoredDataset& dataset, const Calibration& calibration, int64_t samples,
                                         uint64_t seed, const StoredModel& model, const ModelText& text,
                                         Progress& progress, std::string_view field) {
  const absl::StatusOr<std::string> file = dataset.Lines();
  if (!file.ok()) return AsField(file.status(), field);
  const absl::StatusOr<std::vector<DatasetLine>> lines = SplitDataset(*file);
  if (!lines.ok()) return AsField(lines.status(), field);
  SampleReader reader(dataset, calibration, model, text, field, progress);
  GWQ_RETURN_IF_ERROR(reader.LoadProcessor(model));
  const std::vector<size_t> chosen = ChooseLines(lines->size(), static_cast<size_t>(samples), seed);
  SampleSet out;
  for (size_t i = 0; i < chosen.size(); ++i) {
    progress.Step("sample", static_cast<int64_t>(i), std::ssize(chosen));
    GWQ_RETURN_IF_ERROR(progress.Check());
    const DatasetLine& line = (*lines)[chosen[i]];
    const absl::StatusOr<DatasetItem> item = ParseDatasetLine(line);
    if (!item.ok()) return AtLine(field, line.number, item.status());
    absl::StatusOr<CalibrationSample> sample = reader.Read(*item);
    if (!sample.ok()) return AtLine(field, line.number, sample.status());
    if (sample->tokens.size() >= 2) out.push_back(*std::move(sample));
  }
  progress.Step("sample", std::ssize(chosen), std::ssize(chosen));
  if (out.size() < chosen.size()) {
    progress.Log(fmt::format("{} of {} lines have fewer than two tokens and are left out", chosen.size() - out.size(),
                             chosen.size()));
  }
  GWQ_RETURN_IF_ERROR(CheckSamples(out, model.model()->vision() != nullptr && HoldsImages(dataset.manifest()), field));
  return out;
}

}  // namespace gwq
