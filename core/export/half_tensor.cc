#include "core/export/half_tensor.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "core/base/status.h"
#include "core/io/json.h"

namespace gwq {
namespace {

// FP16 values on their way into a blob, in pieces. After each piece the source's pages are dropped: those that are
// still needed are few, and the system keeps them.
class HalfWriter {
 public:
  HalfWriter(std::unique_ptr<BlobWriter> blob, const PinnedBlob& source) : blob_(std::move(blob)), source_(source) {}

  absl::Status Add(std::span<const float> values) {
    for (const float value : values) buffer_.push_back(SaturatedHalf(value, saturated_));
    return buffer_.size() * sizeof(uint16_t) < kExportPart ? absl::OkStatus() : Flush();
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

absl::Status WritePacked(const PackedTensor& tensor, HalfWriter& out, WeightLoss& loss) {
  std::vector<float> written(static_cast<size_t>(tensor.view.shape().cols));
  int64_t unused = 0;
  return tensor.view.ForEachRow([&](int64_t, std::span<const float> weights) {
    for (size_t i = 0; i < weights.size(); ++i) written[i] = HalfToFloat(SaturatedHalf(weights[i], unused));
    loss.Add(weights, written);
    return out.Add(weights);
  });
}

absl::Status WriteDense(const DenseTensor& tensor, HalfWriter& out) {
  std::vector<float> part(kExportPart / sizeof(float));
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

}  // namespace

uint16_t SaturatedHalf(float value, int64_t& saturated) {
  const uint16_t half = FloatToHalf(value);
  if ((half & 0x7FFFU) != 0x7C00U) return half;
  ++saturated;
  return static_cast<uint16_t>((half & 0x8000U) | 0x7BFFU);
}

absl::StatusOr<Digest> HalfBlob(BlobStore& store, const StoredModel& source, const std::string& tensor,
                                WeightLoss& loss, Progress& progress) {
  const ManifestTensor* const stored = source.Find(tensor);
  if (stored == nullptr) return absl::NotFoundError(fmt::format("the artifact has no tensor {}", tensor));
  if (!stored->packed && stored->dtype == DTypeName(DType::kF16)) return stored->digest;
  GWQ_ASSIGN_OR_RETURN(std::unique_ptr<BlobWriter> blob, store.BeginUnnamed());
  if (stored->packed) {
    GWQ_ASSIGN_OR_RETURN(const PackedTensor packed, source.Packed(tensor));
    HalfWriter out(std::move(blob), *packed.blob);
    GWQ_RETURN_IF_ERROR(WritePacked(packed, out, loss));
    return Finish(tensor, out, progress);
  }
  GWQ_ASSIGN_OR_RETURN(const DenseTensor dense, source.Dense(tensor));
  HalfWriter out(std::move(blob), *dense.blob);
  GWQ_RETURN_IF_ERROR(WriteDense(dense, out));
  return Finish(tensor, out, progress);
}

absl::StatusOr<nlohmann::json> HalfConfig(const StoredModel& source) {
  GWQ_ASSIGN_OR_RETURN(const std::string text, source.ReadFile("config.json"));
  GWQ_ASSIGN_OR_RETURN(nlohmann::json config, ParseJson("config.json", text));
  // transformers 5 writes "dtype", version 4 "torch_dtype", and both read the latter, which is therefore always there.
  if (config.contains("dtype")) config["dtype"] = "float16";
  config["torch_dtype"] = "float16";
  return config;
}

}  // namespace gwq
