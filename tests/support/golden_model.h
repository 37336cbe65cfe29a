// The tiny models of tests/golden/models with what transformers computes for them, and a Hugging Face folder as a
// WeightLoader.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/backend/backend.h"
#include "core/io/file_system.h"
#include "core/models/model.h"

namespace gwq::testing {

// $GWQ_SOURCE_DIR/tests/golden/NAME.
[[nodiscard]] std::string GoldenPath(std::string_view name);

// All tensors of some safetensors files, mapped.
class SafetensorsFiles {
 public:
  [[nodiscard]] static absl::StatusOr<SafetensorsFiles> Open(const std::vector<std::string>& paths);
  // Every *.safetensors of a model's folder but the goldens.
  [[nodiscard]] static absl::StatusOr<SafetensorsFiles> OpenModel(const std::string& folder);
  // NOT_FOUND. Valid while this object lives.
  [[nodiscard]] absl::StatusOr<TensorView> Find(std::string_view name) const;
  [[nodiscard]] std::vector<std::string> Names() const;

 private:
  std::vector<std::unique_ptr<MappedFile>> files_;
  std::map<std::string, TensorView, std::less<>> tensors_;
};

// Loads dense weights into `backend`. Both arguments outlive the loader.
class FilesWeightLoader final : public WeightLoader {
 public:
  FilesWeightLoader(Backend& backend, const SafetensorsFiles& files) : backend_(backend), files_(files) {}
  [[nodiscard]] absl::StatusOr<std::shared_ptr<const Weight>> Load(const TensorSpec& spec) override;

 private:
  Backend& backend_;
  const SafetensorsFiles& files_;
  std::map<std::string, std::weak_ptr<const Weight>> loaded_;
};

struct GoldenModel {
  std::shared_ptr<const Model> model;
  SafetensorsFiles weights;
  SafetensorsFiles goldens;

  [[nodiscard]] static absl::StatusOr<GoldenModel> Load(std::string_view name);
  // A Hugging Face folder, and the file of its goldens.
  [[nodiscard]] static absl::StatusOr<GoldenModel> LoadFrom(const std::string& folder, const std::string& goldens);
  // tokens.WHICH
  [[nodiscard]] std::vector<int32_t> Tokens(std::string_view which) const;
  // A golden of floats; empty if there is none of that name.
  [[nodiscard]] std::vector<float> Floats(std::string_view name) const;
};

// Names of the tiny models; the second list has gradients.
[[nodiscard]] std::vector<std::string> GoldenModelNames();
[[nodiscard]] std::vector<std::string> GoldenModelNamesWithGradients();

// The largest |a - b|; infinity where the sizes differ or a value is not finite.
[[nodiscard]] double MaxDifference(std::span<const float> a, std::span<const float> b);

}  // namespace gwq::testing
