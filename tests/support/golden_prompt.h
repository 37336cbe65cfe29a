// The prompts with images of the tiny vision-language models of tests/golden/make_vlms.py.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tests/support/golden_model.h"

namespace gwq::testing {

// With what transformers computes for it.
struct GoldenPrompt {
  std::vector<int32_t> tokens;  // image rows as ~row of `embeddings`
  std::vector<int32_t> raw_tokens;
  std::vector<std::vector<PatchGrid>> images;
  std::vector<float> patches;
  std::vector<float> embeddings;
  std::vector<int32_t> positions;  // [axes, tokens]
  int32_t delta = 0;
  std::vector<float> logits;

  [[nodiscard]] int64_t rows() const { return static_cast<int64_t>(tokens.size()); }
  // All images' tiles.
  [[nodiscard]] std::vector<PatchGrid> tiles() const;
  // Patches of one image.
  [[nodiscard]] std::span<const float> PatchesOf(size_t image, int64_t patch_floats) const;
};

// The prompts that the goldens hold: a (one image), b (two of different sizes), c (none) and, where a size is a number
// of equal tiles, d (two images of different numbers).
[[nodiscard]] std::vector<std::string_view> GoldenPromptNames(const GoldenModel& golden);
// `which` is one of GoldenPromptNames.
[[nodiscard]] GoldenPrompt LoadGoldenPrompt(const GoldenModel& golden, std::string_view which);

[[nodiscard]] std::vector<std::string> GoldenVisionModelNames();

// A preprocessor_config.json for one of them: settings that fit the tower of this config.json.
[[nodiscard]] std::string GoldenProcessorJson(std::string_view config_json);

// Several prompts' rows [begin, end) in one batch, with a cache for all of them.
class PromptBatches {
 public:
  struct Chunk {
    size_t prompt = 0;
    int64_t begin = 0;
    int64_t end = 0;
  };
  // `embeddings` holds each prompt's image rows, as the backend computed them. Everything outlives this object.
  [[nodiscard]] static absl::StatusOr<PromptBatches> Create(Backend& backend, const LoadedModel& model,
                                                            const std::vector<GoldenPrompt>& prompts,
                                                            const std::vector<std::vector<float>>& embeddings);
  // One forward pass; logits of all rows, chunk by chunk.
  [[nodiscard]] absl::StatusOr<std::vector<float>> Feed(const std::vector<Chunk>& chunks);

 private:
  PromptBatches(Backend& backend, const LoadedModel& model) : backend_(&backend), model_(&model) {}

  Backend* backend_;
  const LoadedModel* model_;
  const std::vector<GoldenPrompt>* prompts_ = nullptr;
  std::vector<float> embeddings_;
  std::vector<int32_t> first_embedding_;
  std::vector<std::vector<int32_t>> tables_;
  std::unique_ptr<KvCache> cache_;
};

// Embeddings of each of a prompt's images, by LoadedModel::EncodeImage.
[[nodiscard]] absl::StatusOr<std::vector<float>> EncodeImages(Backend& backend, const LoadedModel& model,
                                                              const GoldenPrompt& prompt);

}  // namespace gwq::testing
