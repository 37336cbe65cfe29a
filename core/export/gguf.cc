// "gguf": one file model.gguf for llama.cpp. Vectors are F32, matrices that the artifact holds dense F16, and packed
// ones what GgufTypeOf says. Rows of Llama's Q and K are stored in pairs, as llama.cpp's converter stores them.
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "core/artifact/gguf_layout.h"
#include "core/artifact/gguf_model_keys.h"
#include "core/base/status.h"
#include "core/export/foreign_model.h"
#include "core/export/formats.h"
#include "core/export/gguf_types.h"
#include "core/export/half_tensor.h"
#include "core/export/module_plan.h"
#include "core/format/affine_view.h"
#include "core/format/format.h"
#include "core/io/gguf_quantize.h"
#include "core/io/gguf_writer.h"
#include "core/text/gguf_vocabulary.h"

namespace gwq {
namespace {

constexpr char kPath[] = "model.gguf";
constexpr int64_t kBlock = 32;

// Rows on their way into a tensor's blob. Those of a head are collected, so that they leave in the order of pairs.
class RowWriter {
 public:
  // `head_rows`: 0 if rows stay in order.
  RowWriter(std::unique_ptr<BlobWriter> blob, uint64_t row_bytes, int64_t head_rows)
      : blob_(std::move(blob)), row_bytes_(row_bytes), head_rows_(head_rows) {
    const auto part = static_cast<int64_t>(std::max<uint64_t>(1, kExportPart / row_bytes));
    rows_ = head_rows == 0 ? part : head_rows;
    buffer_.resize(static_cast<size_t>(rows_) * row_bytes);
  }

  // Where the next row's bytes go; Add after they are there.
  [[nodiscard]] std::span<std::byte> Next() {
    const int64_t at = head_rows_ == 0 ? held_ : StoredRow(held_, head_rows_, 1);
    return std::span(buffer_).subspan(static_cast<size_t>(at) * row_bytes_, row_bytes_);
  }
  absl::Status Add() { return ++held_ < rows_ ? absl::OkStatus() : Flush(); }
  absl::StatusOr<Digest> Commit() {
    GWQ_RETURN_IF_ERROR(Flush());
    return blob_->Commit();
  }

 private:
  absl::Status Flush() {
    const std::span<const std::byte> whole(buffer_);
    GWQ_RETURN_IF_ERROR(blob_->Append(whole.first(static_cast<size_t>(held_) * row_bytes_)));
    held_ = 0;
    return absl::OkStatus();
  }

  std::unique_ptr<BlobWriter> blob_;
  const uint64_t row_bytes_;
  const int64_t head_rows_;
  int64_t rows_ = 0;  // that the buffer holds
  int64_t held_ = 0;
  std::vector<std::byte> buffer_;
};

// The grids on which a matrix's weights lie, block by block of 32; none for a block that lies in two groups, and for
// formats that have no grids.
class BlockGrids {
 public:
  BlockGrids(const PackedView& view, GgmlType type) {
    if (view.format().tag != kAffine1.tag || GgmlBlockElements(type) != kBlock) return;
    view_.emplace(view.bytes(), view.shape());
    scales_.resize(static_cast<size_t>(view.shape().groups_per_row()));
    zeros_.resize(scales_.size());
    grids_.resize(static_cast<size_t>(view.shape().cols / kBlock));
  }

  std::span<const GgmlGrid> OfRow(int64_t row) {
    if (!view_) return {};
    view_->UnpackScales(row, scales_);
    view_->UnpackZeros(row, zeros_);
    const int64_t group = view_->shape().group_size;
    for (int64_t b = 0; b < std::ssize(grids_); ++b) {
      const int64_t first = b * kBlock / group;
      const bool whole = (b * kBlock + kBlock - 1) / group == first;
      const auto g = static_cast<size_t>(first);
      grids_[static_cast<size_t>(b)] = whole ? GgmlGrid{scales_[g], static_cast<float>(zeros_[g])} : GgmlGrid();
    }
    return grids_;
  }

 private:
  std::optional<AffineView> view_;
  std::vector<float> scales_;
  std::vector<uint8_t> zeros_;
  std::vector<GgmlGrid> grids_;
};

absl::Status WritePacked(const PackedTensor& tensor, GgmlType type, RowWriter& out, WeightLoss& loss) {
  const int64_t cols = tensor.view.shape().cols;
  BlockGrids grids(tensor.view, type);
  std::vector<float> written(static_cast<size_t>(cols));
  const int64_t rows_a_part = std::max<int64_t>(1, static_cast<int64_t>(kExportPart) / cols);
  return tensor.view.ForEachRow([&](int64_t row, std::span<const float> weights) {
    const std::span<std::byte> bytes = out.Next();
    QuantizeGgml(type, weights, grids.OfRow(row), bytes);
    DequantizeGgml(type, bytes, written);
    loss.Add(weights, written);
    if (row % rows_a_part == rows_a_part - 1) tensor.blob->DropPages();
    return out.Add();
  });
}

absl::Status WriteDense(const DenseTensor& tensor, GgmlType type, RowWriter& out) {
  const Shape& shape = tensor.view.shape;
  const int64_t cols = shape.size() == 1 ? 1 : shape.back();
  const int64_t rows = tensor.view.elements() / cols;
  const int64_t rows_a_part = std::max<int64_t>(1, static_cast<int64_t>(kExportPart) / cols);
  std::vector<float> weights(static_cast<size_t>(cols));
  for (int64_t row = 0; row < rows; ++row) {
    ToFloat(tensor.view, row * cols, weights);
    QuantizeGgml(type, weights, {}, out.Next());
    GWQ_RETURN_IF_ERROR(out.Add());
    if (row % rows_a_part == rows_a_part - 1) tensor.blob->DropPages();
  }
  return absl::OkStatus();
}

// Builds the file tensor by tensor.
class GgufFile {
 public:
  GgufFile(ExportRun& run, const GgufModelKeys& keys) : run_(run), keys_(keys) {}

  absl::Status Add(const TensorSpec& spec) {
    const ManifestTensor* const stored = run_.source.Find(spec.name);
    if (stored == nullptr) return absl::NotFoundError(fmt::format("the artifact has no tensor {}", spec.name));
    GgufTensor tensor{.name = GgufTensorName(spec.name), .shape = spec.shape};
    const int64_t cols = spec.shape.size() == 1 ? 1 : spec.shape.back();
    if (stored->packed) {
      tensor.type = GgufTypeOf(*stored->packed, spec.kind, run_.options);
    } else {
      tensor.type = spec.shape.size() == 1 ? GgmlType::kF32 : GgmlType::kF16;
    }
    GWQ_ASSIGN_OR_RETURN(std::unique_ptr<BlobWriter> blob, run_.store.BeginUnnamed());
    RowWriter rows(std::move(blob), GgmlBytes(tensor.type, cols), HeadRows(spec));
    GWQ_RETURN_IF_ERROR(stored->packed ? AddPacked(spec.name, tensor.type, rows)
                                       : AddDense(spec.name, tensor.type, rows));
    GWQ_ASSIGN_OR_RETURN(const Digest digest, rows.Commit());
    GWQ_ASSIGN_OR_RETURN(const int64_t count, ElementCount(spec.shape));
    const uint64_t size = GgmlBytes(tensor.type, count);
    Place(std::move(tensor), size, digest);
    return absl::OkStatus();
  }

  absl::Status AddRopeFactors() {
    if (keys_.rope_factors.empty()) return absl::OkStatus();
    GWQ_ASSIGN_OR_RETURN(const Digest digest, PutBlob(run_.store, std::as_bytes(std::span(keys_.rope_factors))));
    const auto count = static_cast<int64_t>(keys_.rope_factors.size());
    Place({.name = "rope_freqs.weight", .shape = {count}, .type = GgmlType::kF32}, GgmlBytes(GgmlType::kF32, count),
          digest);
    return absl::OkStatus();
  }

  absl::StatusOr<ManifestShard> Finish(const GgufWriter& metadata) {
    ManifestShard shard;
    shard.path = kPath;
    const std::string header = metadata.Header(tensors_);
    GWQ_ASSIGN_OR_RETURN(shard.header, PutBlob(run_.store, std::as_bytes(std::span(header))));
    shard.header_size = header.size();
    shard.size = header.size() + AlignGguf(end_);
    shard.tensors = std::move(stored_);
    return shard;
  }

 private:
  // Rows of a head of Llama's Q and K; 0 for other tensors.
  [[nodiscard]] int64_t HeadRows(const TensorSpec& spec) const {
    const bool queries = spec.name.find(".q_proj.") != std::string::npos;
    const bool keys = spec.name.find(".k_proj.") != std::string::npos;
    const int64_t heads = queries ? keys_.query_heads : keys ? keys_.key_heads : 0;
    return heads == 0 ? 0 : spec.shape.front() / heads;
  }

  absl::Status AddPacked(const std::string& name, GgmlType type, RowWriter& rows) {
    GWQ_ASSIGN_OR_RETURN(const PackedTensor tensor, run_.OpenMatrix(name));
    ExportedMatrix& matrix = run_.report.matrices.emplace_back(name, std::string(GgmlTypeName(type)));
    return WritePacked(tensor, type, rows, matrix.loss);
  }
  absl::Status AddDense(const std::string& name, GgmlType type, RowWriter& rows) {
    GWQ_ASSIGN_OR_RETURN(const DenseTensor tensor, run_.source.Dense(name));
    return WriteDense(tensor, type, rows);
  }

  void Place(GgufTensor tensor, uint64_t size, const Digest& digest) {
    tensor.offset = AlignGguf(end_);
    tensor.size = size;
    end_ = tensor.offset + size;
    ManifestTensor stored;
    stored.name = tensor.name;
    stored.offset = tensor.offset;
    stored.size = size;
    stored.digest = digest;
    stored_.push_back(std::move(stored));
    tensors_.push_back(std::move(tensor));
  }

  ExportRun& run_;
  const GgufModelKeys& keys_;
  uint64_t end_ = 0;
  std::vector<GgufTensor> tensors_;
  std::vector<ManifestTensor> stored_;
};

}  // namespace

absl::StatusOr<Digest> WriteGguf(ExportRun& run) {
  GWQ_ASSIGN_OR_RETURN(const std::string config_json, run.source.ReadFile("config.json"));
  GgufWriter metadata;
  const ModelConfig& config = run.source.model()->config();
  GWQ_ASSIGN_OR_RETURN(const GgufModelKeys keys, AddGgufModelKeys(config_json, config, metadata));
  GWQ_ASSIGN_OR_RETURN(const auto files, run.source.TextFiles());
  GWQ_ASSIGN_OR_RETURN(const DescribedTokenizer described, DescribeTokenizer(files, config.vocab_size));
  if (!described.difference.empty()) run.report.notes.push_back(described.difference);
  AddGgufTokenizerKeys(described.tokenizer, metadata);

  GgufFile file(run, keys);
  int64_t done = 0;
  for (const TensorSpec& spec : run.source.model()->tensors()) {
    GWQ_RETURN_IF_ERROR(run.Step(done++));
    GWQ_RETURN_IF_ERROR(file.Add(spec));
  }
  GWQ_RETURN_IF_ERROR(file.AddRopeFactors());
  GWQ_ASSIGN_OR_RETURN(ManifestShard shard, file.Finish(metadata));
  ForeignModel out(run.store, run.source);
  GWQ_RETURN_IF_ERROR(out.SetFile(kExportReportPath, run.ReportFile()));
  return out.FinishFile(std::move(shard));
}

}  // namespace gwq
