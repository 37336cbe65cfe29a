#include "core/quant/job/read_samples.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "core/backend/registry.h"
#include "core/base/draw.h"
#include "core/base/status.h"
#include "core/calibration/dataset_samples.h"
#include "core/calibration/default_set.h"
#include "core/calibration/generate.h"
#include "core/calibration/image_sample.h"
#include "core/calibration/interleave.h"
#include "core/calibration/own_text.h"
#include "core/calibration/sample.h"

namespace gwq {
namespace {

// With fewer, what a Gram matrix or a learned block fits is the samples more than the model's use.
constexpr int64_t kFewSamples = 8;

// Beginnings that the model's own text has for each sample.
constexpr int64_t kTextsPerSample = 16;

// An error at a field of a calibration as one at the part that it was made of.
absl::Status AtPart(const absl::Status& status, size_t part) {
  constexpr std::string_view kWhole = "recipe.calibration.";
  const std::vector<FieldViolation> violations = FieldViolations(status);
  const std::string path = fmt::format("recipe.calibration.parts[{}]", part);
  if (violations.empty()) return Annotate(status, path);
  const std::string& field = violations[0].field;
  if (!field.starts_with(kWhole) || field.starts_with(path)) return status;
  return InvalidField(fmt::format("{}.{}", path, field.substr(kWhole.size())), violations[0].description);
}

bool SeveralGenerated(const Calibration& part) {
  return part.source == CalibrationSource::kGenerated && part.samples > 1;
}

absl::StatusOr<std::unique_ptr<const ModelText>> LoadText(const StoredModel& source) {
  GWQ_ASSIGN_OR_RETURN(const auto files, source.TextFiles());
  return ModelText::Load(files);
}

class SampleReading {
 public:
  SampleReading(BlobStore& store, const StoredModel& source, const Recipe& recipe, const Plan& plan,
                const std::vector<StoredDataset>& datasets, Progress& progress)
      : store_(store),
        source_(source),
        model_(*source.model()),
        recipe_(recipe),
        plan_(plan),
        datasets_(datasets),
        named_(CalibrationDatasets(recipe.calibration)),
        progress_(progress) {}

  absl::StatusOr<SampleSet> Run() {
    const std::vector<Calibration> parts = CalibrationParts(recipe_.calibration, plan_.samples);
    const bool tokenizes =
        plan_.sees_image || std::ranges::any_of(parts, [](const Calibration& part) {
          return part.source != CalibrationSource::kGenerated && part.source != CalibrationSource::kTokenIds;
        });
    if (tokenizes) {
      GWQ_ASSIGN_OR_RETURN(const auto files, source_.TextFiles());
      GWQ_ASSIGN_OR_RETURN(text_, ModelText::Load(files));
    }
    if (recipe_.calibration.source != CalibrationSource::kMix) return Of(parts.front(), recipe_.seed);
    return Mix(parts);
  }

 private:
  absl::StatusOr<SampleSet> Mix(const std::vector<Calibration>& parts) {
    std::vector<SampleSet> sets(parts.size());
    std::vector<size_t> counts(parts.size());
    for (size_t i = 0; i < parts.size(); ++i) {
      if (parts[i].samples > 0) {
        // Two parts of one dataset take other lines.
        absl::StatusOr<SampleSet> set = Of(parts[i], recipe_.seed == 0 ? 0 : Draw(recipe_.seed, i));
        if (!set.ok()) return AtPart(set.status(), i);
        sets[i] = *std::move(set);
      } else if (parts[i].source == CalibrationSource::kDataset) {
        ++next_dataset_;
      }
      counts[i] = sets[i].size();
      if (std::ssize(sets[i]) < parts[i].samples || parts[i].samples == 0) {
        progress_.Log(fmt::format("part {} of the calibration gives {} samples, its share is {}", i, sets[i].size(),
                                  parts[i].samples));
      }
    }
    SampleSet out;
    for (const InterleavedItem& place : Interleaved(counts)) out.push_back(std::move(sets[place.part][place.index]));
    return out;
  }

  absl::StatusOr<SampleSet> Of(const Calibration& part, uint64_t seed) {
    switch (part.source) {
      case CalibrationSource::kDataset: {
        const size_t dataset = next_dataset_++;
        return DatasetSamples(datasets_[dataset], part, part.samples, seed, source_, *text_, progress_,
                              named_[dataset].field);
      }
      case CalibrationSource::kDefault:
        return DefaultSetSamples(part, part.samples, seed, model_.config(), *text_, progress_);
      default:
        break;
    }
    if (plan_.sees_image && recipe_.calibration.source != CalibrationSource::kMix) {
      SampleSet one;
      GWQ_ASSIGN_OR_RETURN(one.emplace_back(), MakeImageSample(part, source_, *text_, store_));
      return one;
    }
    const auto generate = [&](int64_t count, int64_t samples) { return Generate(count, samples, seed); };
    return CalibrationSamples(part, part.samples, seed, model_.config(), text_.get(), store_, generate, progress_);
  }

  absl::Status FindStarts(const std::vector<Calibration>& parts) {
    GWQ_ASSIGN_OR_RETURN(const bool own, WritesOwnTexts(source_, recipe_, plan_));
    if (!own || std::ranges::none_of(parts, SeveralGenerated)) return absl::OkStatus();
    std::unique_ptr<const ModelText> loaded;
    if (text_ == nullptr) {
      GWQ_ASSIGN_OR_RETURN(loaded, LoadText(source_));
    }
    GWQ_ASSIGN_OR_RETURN(starts_, FindOwnTextStarts(text_ == nullptr ? *loaded : *text_, model_.config()));
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<int32_t>> Generate(int64_t count, int64_t samples, uint64_t seed) {
    GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<Backend> backend,
                         CreateBackend(kHostDevice, {.threads = recipe_.threads}));
    const std::unique_ptr<WeightLoader> loader = MakeWeightLoader(source_, *backend);
    const ModelConfig& config = model_.config();
    if (samples > 1 && starts_.has_value()) {
      return WriteOwnTexts(model_, *loader, *backend, *starts_, count / samples, samples, seed, progress_);
    }
    return GenerateSample(model_, *loader, *backend, FirstTokenOf(config), count, config.eos_token_ids, progress_,
                          kTextsPerSample * samples);
  }

  BlobStore& store_;
  const StoredModel& source_;
  const Model& model_;
  const Recipe& recipe_;
  const Plan& plan_;
  const std::vector<StoredDataset>& datasets_;
  const std::vector<NamedDigest> named_;
  Progress& progress_;
  std::unique_ptr<const ModelText> text_;
  std::optional<OwnTextStarts> starts_;
  size_t next_dataset_ = 0;  // that the next part with source dataset reads
};

}  // namespace

absl::StatusOr<SampleSet> ReadSamples(BlobStore& store, const StoredModel& source, const Recipe& recipe,
                                      const Plan& plan, const std::vector<StoredDataset>& datasets,
                                      Progress& progress) {
  return SampleReading(store, source, recipe, plan, datasets, progress).Run();
}

absl::StatusOr<bool> WritesOwnTexts(const StoredModel& source, const Recipe& recipe, const Plan& plan) {
  const std::vector<Calibration> parts = CalibrationParts(recipe.calibration, plan.samples);
  if (plan.sees_image || std::ranges::none_of(parts, SeveralGenerated)) return false;
  GWQ_ASSIGN_OR_RETURN(const auto files, source.TextFiles());
  // A model whose tokenizer or chat template cannot be used still has words of its own.
  const auto text = ModelText::Load(files);
  if (!text.ok()) return false;
  GWQ_ASSIGN_OR_RETURN(const std::optional<OwnTextStarts> starts, FindOwnTextStarts(**text, source.model()->config()));
  return starts.has_value();
}

SampleNeeds NeedsOf(const Plan& plan, const Recipe& recipe) {
  SampleNeeds needs{.max_tokens = recipe.calibration.max_tokens};
  for (const PlannedModule& module : plan.modules) {
    if (module.needs != Needs::kGram && module.needs != Needs::kBlock) continue;
    needs.samples = kFewSamples;
    if (module.needs == Needs::kGram) needs.rows = std::max(needs.rows, module.packed.cols);
  }
  return needs;
}

}  // namespace gwq
