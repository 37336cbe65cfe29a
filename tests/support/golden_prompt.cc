#include "tests/support/golden_prompt.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <numeric>

#include "core/base/status.h"

namespace gwq::testing {
namespace {

constexpr int64_t kBlockTokens = 4;  // so that the prompts span several blocks

std::vector<int32_t> Integers(const GoldenModel& golden, const std::string& name) {
  const auto view = golden.goldens.Find(name);
  if (!view.ok()) return {};
  std::vector<int32_t> out(static_cast<size_t>(view->elements()));
  std::memcpy(out.data(), view->data.data(), view->data.size());
  return out;
}

}  // namespace

std::vector<PatchGrid> GoldenPrompt::tiles() const {
  std::vector<PatchGrid> all;
  for (const auto& image : images) all.insert(all.end(), image.begin(), image.end());
  return all;
}

std::span<const float> GoldenPrompt::PatchesOf(size_t image, int64_t patch_floats) const {
  size_t begin = 0;
  for (size_t i = 0;; ++i) {
    size_t size = 0;
    for (const PatchGrid& tile : images[i]) size += static_cast<size_t>(tile.high * tile.wide * patch_floats);
    if (i == image) return std::span(patches).subspan(begin, size);
    begin += size;
  }
}

std::vector<std::string_view> GoldenPromptNames(const GoldenModel& golden) {
  std::vector<std::string_view> names = {"a", "b", "c"};
  if (golden.goldens.Find("tokens.d").ok()) names.emplace_back("d");
  return names;
}

GoldenPrompt LoadGoldenPrompt(const GoldenModel& golden, std::string_view which) {
  GoldenPrompt out;
  const auto name = [&](std::string_view what) { return fmt::format("{}.{}", what, which); };
  out.raw_tokens = Integers(golden, name("tokens"));
  int32_t row = 0;
  for (const int32_t token : out.raw_tokens) {
    out.tokens.push_back(token == golden.model->config().image_token_id ? ~row++ : token);
  }
  const std::vector<int32_t> tiles = Integers(golden, name("tiles"));
  for (size_t i = 0; i < tiles.size(); i += 3) {
    out.images.resize(static_cast<size_t>(tiles[i]) + 1);
    out.images.back().push_back({tiles[i + 1], tiles[i + 2]});
  }
  out.patches = golden.Floats(name("patches"));
  out.embeddings = golden.Floats(name("embeddings"));
  out.positions = Integers(golden, name("positions"));
  const std::vector<int32_t> delta = Integers(golden, name("delta"));
  out.delta = delta.empty() ? 0 : delta[0];
  out.logits = golden.Floats(name("logits"));
  return out;
}

std::vector<std::string> GoldenVisionModelNames() {
  return {"qwen2-vl-tied-f16-v4", "qwen2-vl-untied-f32-v5", "qwen25-vl-f16-v4", "qwen25-vl-f32-v5",
          "smolvlm-bf16-v4",      "idefics3-f32-v5",        "llava-f16-v4",     "llava-qwen2-f32-v5"};
}

std::string GoldenProcessorJson(std::string_view config_json) {
  const nlohmann::json config = nlohmann::json::parse(config_json);
  const std::string type = config.at("model_type");
  const nlohmann::json& vision = config.at("vision_config");
  if (type.starts_with("qwen2")) {
    return nlohmann::json{{"image_processor_type", "Qwen2VLImageProcessor"},
                          {"patch_size", vision.at("patch_size")},
                          {"merge_size", vision.at("spatial_merge_size")},
                          {"temporal_patch_size", vision.at("temporal_patch_size")}}
        .dump();
  }
  const int side = vision.at("image_size");
  if (type == "llava") {
    return nlohmann::json{{"image_processor_type", "CLIPImageProcessor"},
                          {"size", {{"shortest_edge", side}}},
                          {"crop_size", {{"height", side}, {"width", side}}}}
        .dump();
  }
  return nlohmann::json{{"image_processor_type", "Idefics3ImageProcessor"},
                        {"size", {{"longest_edge", 4 * side}}},
                        {"max_image_size", {{"longest_edge", side}}}}
      .dump();
}

absl::StatusOr<PromptBatches> PromptBatches::Create(Backend& backend, const LoadedModel& model,
                                                    const std::vector<GoldenPrompt>& prompts,
                                                    const std::vector<std::vector<float>>& embeddings) {
  PromptBatches out(backend, model);
  out.prompts_ = &prompts;
  const ModelConfig& config = model.model().config();
  int64_t longest = 0;
  for (size_t i = 0; i < prompts.size(); ++i) {
    out.first_embedding_.push_back(static_cast<int32_t>(out.embeddings_.size()) /
                                   static_cast<int32_t>(config.hidden_size));
    out.embeddings_.insert(out.embeddings_.end(), embeddings[i].begin(), embeddings[i].end());
    longest = std::max(longest, prompts[i].rows());
  }
  const auto count = static_cast<int64_t>(prompts.size());
  const int64_t each = (longest + kBlockTokens - 1) / kBlockTokens;
  GWQ_ASSIGN_OR_RETURN(out.cache_, backend.CreateKvCache({config.blocks, config.attention.kv_heads,
                                                          config.attention.head_dim, kBlockTokens, count * each}));
  for (int64_t prompt = 0; prompt < count; ++prompt) {
    std::vector<int32_t> table;
    for (int64_t i = each; i-- > 0;) table.push_back(static_cast<int32_t>(i * count + prompt));
    out.tables_.push_back(std::move(table));
  }
  return out;
}

absl::StatusOr<std::vector<float>> PromptBatches::Feed(const std::vector<Chunk>& chunks) {
  std::vector<int32_t> tokens;
  std::vector<SequenceRows> sequences;
  for (const Chunk& chunk : chunks) {
    sequences.push_back(
        {static_cast<int64_t>(tokens.size()), chunk.end - chunk.begin, chunk.begin, tables_[chunk.prompt]});
    for (int64_t i = chunk.begin; i < chunk.end; ++i) {
      const int32_t token = (*prompts_)[chunk.prompt].tokens[static_cast<size_t>(i)];
      tokens.push_back(token < 0 ? token - first_embedding_[chunk.prompt] : token);
    }
  }
  const int axes = model_->model().config().position_axes;
  std::vector<int32_t> positions;
  for (int axis = 0; axis < axes; ++axis) {
    for (const Chunk& chunk : chunks) {
      const GoldenPrompt& prompt = (*prompts_)[chunk.prompt];
      const auto from = prompt.positions.begin() + axis * prompt.rows();
      positions.insert(positions.end(), from + chunk.begin, from + chunk.end);
    }
  }
  std::vector<int32_t> output_rows(tokens.size());
  std::iota(output_rows.begin(), output_rows.end(), 0);
  Batch batch;
  batch.rows = static_cast<int64_t>(tokens.size());
  batch.tokens = tokens;
  batch.embeddings = embeddings_;
  batch.position_axes = axes;
  batch.positions = positions;
  batch.sequences = sequences;
  batch.output_rows = output_rows;
  std::vector<float> logits(tokens.size() * static_cast<size_t>(model_->model().config().vocab_size));
  GWQ_RETURN_IF_ERROR(model_->Forward(*backend_, batch, cache_.get(), logits));
  return logits;
}

absl::StatusOr<std::vector<float>> EncodeImages(Backend& backend, const LoadedModel& model,
                                                const GoldenPrompt& prompt) {
  const VisionTower& tower = *model.model().vision();
  const auto hidden = static_cast<size_t>(model.model().config().hidden_size);
  std::vector<float> all;
  for (size_t i = 0; i < prompt.images.size(); ++i) {
    int64_t tokens = 0;
    for (const PatchGrid& tile : prompt.images[i]) tokens += tower.ImageTokens(tile);
    std::vector<float> out(static_cast<size_t>(tokens) * hidden);
    GWQ_RETURN_IF_ERROR(
        model.EncodeImage(backend, prompt.PatchesOf(i, tower.config().patch_floats), prompt.images[i], out));
    all.insert(all.end(), out.begin(), out.end());
  }
  return all;
}

}  // namespace gwq::testing
