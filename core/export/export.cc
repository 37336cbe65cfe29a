#include "core/export/export.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "core/artifact/stored_model.h"
#include "core/artifact/writer.h"
#include "core/base/status.h"
#include "core/io/json.h"

namespace gwq {
namespace {

constexpr std::string_view kHalfFormat = "hf-fp16";
constexpr size_t kWriteBytes = size_t{4} << 20;

// FP16 values on their way into a blob, in pieces. After each piece the source's pages are dropped: those that are
// still needed are few, and the system keeps them.
class HalfWriter {
 public:
  HalfWriter(std::unique_ptr<BlobWriter> blob, const PinnedBlob& source) : blob_(std::move(blob)), source_(source) {}

  absl::Status Add(std::span<const float> values) {
    for (const float value : values) {
      uint16_t half = FloatToHalf(value);
      // What FP16 cannot hold becomes its largest finite value; a NaN stays one.
      if ((half & 0x7FFFU) == 0x7C00U) {
        half = static_cast<uint16_t>((half & 0x8000U) | 0x7BFFU);
        ++saturated_;
      }
      buffer_.push_back(half);
    }
    return buffer_.size() * sizeof(uint16_t) < kWriteBytes ? absl::OkStatus() : Flush();
  }

  absl::StatusOr<Digest> Commit() {
    GWQ_RETURN_IF_ERROR(Flush());
    return blob_->Commit();
  }
  [[nodiscard]] int64_t saturated() const { return saturated_; }

 private:
  absl::Status Flush() {
    GWQ_RETURN_IF_ERROR(blob_->Append(std::as_bytes(std::span(buffer_))));
    buffer_.clear();
    source_.DropPages();
    return absl::OkStatus();
  }

  std::unique_ptr<BlobWriter> blob_;
  const PinnedBlob& source_;
  std::vector<uint16_t> buffer_;
  int64_t saturated_ = 0;
};

absl::Status WritePacked(const PackedTensor& tensor, HalfWriter& out) {
  return tensor.view.ForEachRow([&](int64_t, std::span<const float> weights) { return out.Add(weights); });
}

absl::Status WriteDense(const DenseTensor& tensor, HalfWriter& out) {
  std::vector<float> part(kWriteBytes / sizeof(float));
  const int64_t elements = tensor.view.elements();
  for (int64_t begin = 0; begin < elements; begin += static_cast<int64_t>(part.size())) {
    const auto count = std::min(part.size(), static_cast<size_t>(elements - begin));
    ToFloat(tensor.view, begin, std::span(part).first(count));
    GWQ_RETURN_IF_ERROR(out.Add(std::span<const float>(part).first(count)));
  }
  return absl::OkStatus();
}

absl::StatusOr<Digest> Finish(const std::string& name, HalfWriter& out, Progress& progress) {
  GWQ_ASSIGN_OR_RETURN(const Digest digest, out.Commit());
  if (out.saturated() > 0) {
    progress.Log(fmt::format("{}: {} weights are beyond FP16 and became its largest number", name, out.saturated()));
  }
  return digest;
}

absl::Status ExportTensor(BlobStore& store, const StoredModel& artifact, const std::string& name,
                          ArtifactWriter& writer, Progress& progress) {
  const ManifestTensor* stored = artifact.Find(name);
  if (stored == nullptr) return absl::NotFoundError(fmt::format("the artifact has no tensor {}", name));
  if (!stored->packed && stored->dtype == DTypeName(DType::kF16)) return writer.Keep(name);
  GWQ_ASSIGN_OR_RETURN(std::unique_ptr<BlobWriter> blob, store.BeginUnnamed());
  Digest digest;
  if (stored->packed) {
    GWQ_ASSIGN_OR_RETURN(const PackedTensor tensor, artifact.Packed(name));
    HalfWriter out(std::move(blob), *tensor.blob);
    GWQ_RETURN_IF_ERROR(WritePacked(tensor, out));
    GWQ_ASSIGN_OR_RETURN(digest, Finish(name, out, progress));
  } else {
    GWQ_ASSIGN_OR_RETURN(const DenseTensor tensor, artifact.Dense(name));
    HalfWriter out(std::move(blob), *tensor.blob);
    GWQ_RETURN_IF_ERROR(WriteDense(tensor, out));
    GWQ_ASSIGN_OR_RETURN(digest, Finish(name, out, progress));
  }
  return writer.AddDenseBlob(name, DType::kF16, digest);
}

// config.json with its element type set: transformers 5 writes "dtype", version 4 "torch_dtype" and both read the
// latter, which is therefore always there.
absl::StatusOr<std::string> HalfConfig(const StoredModel& artifact) {
  GWQ_ASSIGN_OR_RETURN(const std::string text, artifact.ReadFile("config.json"));
  GWQ_ASSIGN_OR_RETURN(nlohmann::json config, ParseJson("config.json", text));
  if (config.contains("dtype")) config["dtype"] = "float16";
  config["torch_dtype"] = "float16";
  return CanonicalJson(config);
}

}  // namespace

absl::StatusOr<ExportResult> ExportArtifact(BlobStore& store, const Digest& artifact, std::string_view format,
                                            Progress& progress) {
  if (format != kHalfFormat) {
    return InvalidField("format", fmt::format("'{}' is not an export format; known: {}", format, kHalfFormat));
  }
  GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<const StoredModel> source, StoredModel::Open(store, artifact));
  ArtifactWriter writer(store, *source);
  const std::vector<TensorSpec>& tensors = source->model()->tensors();
  for (size_t i = 0; i < tensors.size(); ++i) {
    GWQ_RETURN_IF_ERROR(progress.Check());
    progress.Step("export", static_cast<int64_t>(i), static_cast<int64_t>(tensors.size()));
    GWQ_RETURN_IF_ERROR(ExportTensor(store, *source, tensors[i].name, writer, progress));
  }
  GWQ_ASSIGN_OR_RETURN(const std::string config, HalfConfig(*source));
  GWQ_RETURN_IF_ERROR(writer.SetFile("config.json", config));
  ExportResult result;
  GWQ_ASSIGN_OR_RETURN(result.model, writer.FinishModel());
  GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<const StoredModel> made, StoredModel::Open(store, result.model));
  result.stored_bytes = made->manifest().StoredBytes();
  progress.Step("export", static_cast<int64_t>(tensors.size()), static_cast<int64_t>(tensors.size()));
  return result;
}

}  // namespace gwq
