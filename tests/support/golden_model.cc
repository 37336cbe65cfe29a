#include "tests/support/golden_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "core/base/status.h"
#include "core/io/safetensors.h"
#include "core/models/config.h"

namespace gwq::testing {

std::string GoldenPath(std::string_view name) {
  const char* root = std::getenv("GWQ_SOURCE_DIR");
  return fmt::format("{}/tests/golden/{}", root == nullptr ? "." : root, name);
}

absl::StatusOr<SafetensorsFiles> SafetensorsFiles::Open(const std::vector<std::string>& paths) {
  SafetensorsFiles out;
  for (const std::string& path : paths) {
    GWQ_ASSIGN_OR_RETURN(std::unique_ptr<MappedFile> file, LocalFileSystem().Map(path));
    const std::span<const std::byte> bytes = file->bytes();
    GWQ_ASSIGN_OR_RETURN(const uint64_t size,
                         SafetensorsHeaderSize(bytes.first(std::min<size_t>(8, bytes.size())), bytes.size()));
    GWQ_ASSIGN_OR_RETURN(const SafetensorsHeader header, ParseSafetensorsHeader(bytes.first(size), bytes.size()));
    for (const SafetensorsTensor& tensor : header.tensors) {
      out.tensors_[tensor.name] = {tensor.dtype, tensor.shape, bytes.subspan(size + tensor.offset, tensor.size)};
    }
    out.files_.push_back(std::move(file));
  }
  return out;
}

absl::StatusOr<SafetensorsFiles> SafetensorsFiles::OpenModel(const std::string& folder) {
  GWQ_ASSIGN_OR_RETURN(const std::vector<std::string> names, LocalFileSystem().List(folder));
  std::vector<std::string> paths;
  for (const std::string& name : names) {
    if (name.ends_with(".safetensors") && name != "goldens.safetensors") paths.push_back(folder + "/" + name);
  }
  return Open(paths);
}

absl::StatusOr<TensorView> SafetensorsFiles::Find(std::string_view name) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) return absl::NotFoundError(fmt::format("no tensor {}", name));
  return found->second;
}

std::vector<std::string> SafetensorsFiles::Names() const {
  std::vector<std::string> names;
  for (const auto& [name, view] : tensors_) names.push_back(name);
  return names;
}

absl::StatusOr<std::shared_ptr<const Weight>> FilesWeightLoader::Load(const TensorSpec& spec) {
  if (auto alive = loaded_[spec.name].lock()) return alive;
  GWQ_ASSIGN_OR_RETURN(TensorView view, files_.Find(spec.name));
  if (view.shape != spec.shape) {
    return absl::InvalidArgumentError(fmt::format("{} has shape {}, the model asks for {}", spec.name,
                                                  ShapeString(view.shape), ShapeString(spec.shape)));
  }
  view.shape = MatrixShape(view.shape);
  GWQ_ASSIGN_OR_RETURN(std::unique_ptr<Weight> weight, backend_.LoadDense(view));
  std::shared_ptr<const Weight> shared = std::move(weight);
  loaded_[spec.name] = shared;
  return shared;
}

absl::StatusOr<GoldenModel> GoldenModel::Load(std::string_view name) {
  const std::string folder = GoldenPath(fmt::format("models/{}", name));
  return LoadFrom(folder, folder + "/goldens.safetensors");
}

absl::StatusOr<GoldenModel> GoldenModel::LoadFrom(const std::string& folder, const std::string& goldens) {
  GWQ_ASSIGN_OR_RETURN(const std::string json, ReadSmallFile(LocalFileSystem(), folder + "/config.json", 1 << 20));
  GWQ_ASSIGN_OR_RETURN(const ModelConfig config, ParseModelConfig(json));
  GoldenModel out;
  GWQ_ASSIGN_OR_RETURN(out.weights, SafetensorsFiles::OpenModel(folder));
  GWQ_ASSIGN_OR_RETURN(out.model,
                       CreateModel(config, [&](std::string_view tensor) { return out.weights.Find(tensor).ok(); }));
  GWQ_ASSIGN_OR_RETURN(out.goldens, SafetensorsFiles::Open({goldens}));
  return out;
}

std::vector<int32_t> GoldenModel::Tokens(std::string_view which) const {
  const auto view = goldens.Find(fmt::format("tokens.{}", which));
  if (!view.ok()) return {};
  std::vector<int32_t> tokens(static_cast<size_t>(view->elements()));
  std::memcpy(tokens.data(), view->data.data(), view->data.size());
  return tokens;
}

std::vector<float> GoldenModel::Floats(std::string_view name) const {
  const auto view = goldens.Find(name);
  if (!view.ok()) return {};
  std::vector<float> floats(static_cast<size_t>(view->elements()));
  ToFloat(*view, 0, floats);
  return floats;
}

std::vector<std::string> GoldenModelNames() {
  return {"llama-tied-f16-v4", "llama-untied-f32-v5", "qwen2-tied-bf16-v5", "qwen2-untied-f32-v4"};
}

std::vector<std::string> GoldenModelNamesWithGradients() {
  return {"llama-tied-f16-v4", "llama-untied-f32-v5", "qwen2-tied-bf16-v5"};
}

double MaxDifference(std::span<const float> a, std::span<const float> b) {
  if (a.size() != b.size()) return std::numeric_limits<double>::infinity();
  double largest = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double difference = std::abs(static_cast<double>(a[i]) - b[i]);
    if (!std::isfinite(difference)) return std::numeric_limits<double>::infinity();
    largest = std::max(largest, difference);
  }
  return largest;
}

}  // namespace gwq::testing
