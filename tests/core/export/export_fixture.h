// A tiny model, artifacts of it, and exports of these with their tensors as bytes.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "core/artifact/import.h"
#include "core/artifact/stored_model.h"
#include "core/artifact/writer.h"
#include "core/base/clock.h"
#include "core/export/export.h"
#include "core/io/fault_file_system.h"
#include "core/manifest/manifest.h"
#include "core/storage/local_blob_store.h"
#include "core/text/gguf_pre_tokenizer.h"
#include "tests/core/format/random_content.h"
#include "tests/support/log_lines.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"
#include "tests/support/tiny_upload.h"
#include "tests/support/upload_builder.h"

namespace gwq::testing {

constexpr char kMatrix[] = "model.layers.0.mlp.up_proj.weight";  // 64 x 32
constexpr char kModule[] = "model.layers.0.mlp.up_proj";
constexpr char kQuery[] = "model.layers.1.self_attn.q_proj.weight";  // 32 x 32

class ExportFixture : public ::testing::Test {
 protected:
  using Packed = std::map<std::string, PackedShape>;

  void SetUp() override {
    store_ = OpenLocalBlobStore(files_, folder_.path(), clock_).value();
    Use(TinyConfig());
  }

  void Use(const nlohmann::json& config) {
    UploadBuilder upload(*store_);
    upload.File("config.json", config.dump());
    nlohmann::json tokenizer = nlohmann::json::parse(TinyTokenizer());
    tokenizer["pre_tokenizer"] = FindGgufPreTokenizer("qwen2")->pre_tokenizer;  // GGUF has no name for none
    upload.File("tokenizer.json", tokenizer.dump());
    upload.File("LICENSE", "free");
    upload.Safetensors("model.safetensors", SafetensorsFile(TinyWeights(config, DType::kF16)));
    source_ = StoredModel::Open(*store_, ImportModel(*store_, upload.Build(), NoProgress()).value()).value();
  }

  // Random content in the tensors that `packed` names; the others are kept.
  Digest ArtifactOf(const Packed& packed) {
    ArtifactWriter writer(*store_, *source_);
    for (const TensorSpec& spec : source_->model()->tensors()) {
      const auto shape = packed.find(spec.name);
      EXPECT_THAT(shape == packed.end()
                      ? writer.Keep(spec.name)
                      : writer.AddPacked(spec.name, EncodePacked(RandomContent(shape->second, random_)).value()),
                  IsOk());
    }
    return writer.FinishArtifact("{}", "{}").value();
  }

  absl::StatusOr<ExportResult> Run(const Digest& artifact, const ExportOptions& options) {
    return ExportArtifact(*store_, artifact, options, log_);
  }
  Manifest ManifestOf(const Digest& digest) {
    return ParseManifest(ReadBlob(*store_, digest, 1 << 20).value()).value();
  }
  Manifest Exported(const Digest& artifact, const ExportOptions& options) {
    const auto result = Run(artifact, options);
    EXPECT_THAT(result, IsOk());
    return ManifestOf(result->model);
  }
  nlohmann::json JsonFile(const Manifest& manifest, std::string_view path) {
    const ManifestFile* const file = manifest.FindFile(path);
    if (file == nullptr) return nullptr;
    return nlohmann::json::parse(ReadBlob(*store_, file->digest, 1 << 20).value());
  }
  const ManifestTensor* Find(const Manifest& manifest, std::string_view name) {
    for (const ManifestTensor& tensor : manifest.shards[0].tensors) {
      if (tensor.name == name) return &tensor;
    }
    return nullptr;
  }
  template <class T>
  std::vector<T> Elements(const Manifest& manifest, const std::string& name) {
    const ManifestTensor* const tensor = Find(manifest, name);
    EXPECT_NE(tensor, nullptr) << name;
    if (tensor == nullptr) return {};
    const std::string bytes = ReadBlob(*store_, tensor->digest, 1 << 20).value();
    EXPECT_EQ(bytes.size(), tensor->size) << name;
    std::vector<T> out(bytes.size() / sizeof(T));
    std::memcpy(out.data(), bytes.data(), bytes.size());
    return out;
  }
  // What the artifact's matrix stands for.
  std::vector<float> Weights(const Digest& artifact, const std::string& name) {
    const auto model = StoredModel::Open(*store_, artifact).value();
    const PackedTensor tensor = model->Packed(name).value();
    std::vector<float> out(static_cast<size_t>(tensor.view.shape().rows * tensor.view.shape().cols));
    tensor.view.DequantizeAll(out);
    return out;
  }
  const ExportedMatrix& Matrix(const ExportReport& report, std::string_view name) {
    for (const ExportedMatrix& matrix : report.matrices) {
      if (matrix.name == name) return matrix;
    }
    ADD_FAILURE() << name;
    return report.matrices.front();
  }

  std::mt19937 random_{3};
  TempFolder folder_;
  FaultFileSystem files_{LocalFileSystem()};  // does not wait for the disk
  FakeClock clock_;
  std::unique_ptr<BlobStore> store_;
  std::unique_ptr<const StoredModel> source_;
  LogLines log_;
};

// Bits [at, at + width) of a row of words, lowest first.
inline uint32_t BitsAt(const uint32_t* words, int64_t at, int width) {
  uint32_t out = 0;
  for (int b = 0; b < width; ++b) out |= (words[(at + b) / 32] >> ((at + b) % 32) & 1) << b;
  return out;
}

// Sum of squared differences over the sum of squares of `ours`.
inline double RelativeError(const std::vector<float>& ours, const std::vector<float>& written) {
  double error = 0;
  double power = 0;
  for (size_t i = 0; i < ours.size(); ++i) {
    error += (static_cast<double>(written[i]) - ours[i]) * (static_cast<double>(written[i]) - ours[i]);
    power += static_cast<double>(ours[i]) * ours[i];
  }
  return error / power;
}

}  // namespace gwq::testing
