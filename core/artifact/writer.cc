#include "core/artifact/writer.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/status.h"
#include "core/io/safetensors.h"

namespace gwq {
namespace {

ManifestTensor Stored(std::string_view name, DType dtype, const Shape& shape, uint64_t size, const Digest& digest) {
  ManifestTensor tensor;
  tensor.name = name;
  tensor.dtype = DTypeName(dtype);
  tensor.shape = shape;
  tensor.size = size;
  tensor.digest = digest;
  return tensor;
}

absl::Status WrongSize(std::string_view tensor, DType dtype, const Shape& shape, uint64_t bytes) {
  return absl::InvalidArgumentError(
      fmt::format("tensor {}: {} bytes are no {} {}", tensor, bytes, DTypeName(dtype), ShapeString(shape)));
}

}  // namespace

absl::StatusOr<ManifestShard> MakeSingleShard(BlobStore& store, std::vector<ManifestTensor> tensors) {
  std::ranges::sort(tensors, {}, &ManifestTensor::name);
  ManifestShard shard;
  shard.path = kSingleShardPath;
  std::vector<SafetensorsTensor> described;
  uint64_t offset = 0;
  for (ManifestTensor& tensor : tensors) {
    tensor.offset = offset;
    offset += tensor.size;
    GWQ_ASSIGN_OR_RETURN(const DType dtype, ParseDType(tensor.dtype));
    described.push_back({tensor.name, dtype, tensor.shape, tensor.offset, tensor.size});
  }
  // "format" is what transformers asks for before it loads a file.
  const std::string header = WriteSafetensorsHeader(described, {{"format", "pt"}});
  GWQ_ASSIGN_OR_RETURN(shard.header, PutBlob(store, std::as_bytes(std::span(header))));
  shard.header_size = header.size();
  shard.size = header.size() + offset;
  shard.tensors = std::move(tensors);
  return shard;
}

ArtifactWriter::ArtifactWriter(BlobStore& store, const StoredModel& source) : store_(store), source_(source) {
  for (const TensorSpec& spec : source.model()->tensors()) specs_.emplace(spec.name, &spec);
}

const TensorSpec* ArtifactWriter::SpecOf(std::string_view tensor) const {
  const auto found = specs_.find(tensor);
  return found == specs_.end() ? nullptr : found->second;
}

absl::Status ArtifactWriter::Add(ManifestTensor tensor, const Shape& matrix, std::span<const std::byte> bytes) {
  GWQ_ASSIGN_OR_RETURN(ManifestTensor* const added, Add(std::move(tensor), matrix));
  absl::StatusOr<std::unique_ptr<BlobWriter>> writer = store_.BeginUnnamed();
  absl::Status status = writer.status();
  if (status.ok()) status = (*writer)->Append(bytes);
  if (!status.ok()) {
    tensors_.erase(added->name);
    return status;
  }
  commits_.Commit(*std::move(writer), &added->digest);
  return absl::OkStatus();
}

absl::StatusOr<ManifestTensor*> ArtifactWriter::Add(ManifestTensor tensor, const Shape& matrix) {
  const TensorSpec* const spec = SpecOf(tensor.name);
  if (spec == nullptr) {
    return absl::InvalidArgumentError(fmt::format("the model has no tensor {}", tensor.name));
  }
  if (matrix != spec->shape && matrix != MatrixShape(spec->shape)) {
    return absl::InvalidArgumentError(
        fmt::format("tensor {} is {}, not {}", tensor.name, ShapeString(spec->shape), ShapeString(matrix)));
  }
  tensor.kind = TensorKindName(spec->kind);
  tensor.part = ModelPartName(spec->part);
  if (tensors_.contains(tensor.name)) {
    return absl::InvalidArgumentError(fmt::format("tensor {} was added twice", tensor.name));
  }
  std::string name = tensor.name;
  return &tensors_.emplace(std::move(name), std::move(tensor)).first->second;
}

absl::Status ArtifactWriter::Keep(std::string_view tensor) {
  const ManifestTensor* const found = source_.Find(tensor);
  if (found == nullptr) return absl::InvalidArgumentError(fmt::format("the source has no tensor {}", tensor));
  return Add(*found, found->packed ? Shape{found->packed->rows, found->packed->cols} : found->shape).status();
}

absl::Status ArtifactWriter::AddDense(std::string_view tensor, DType dtype, std::span<const std::byte> bytes) {
  const TensorSpec* const spec = SpecOf(tensor);
  const Shape shape = spec == nullptr ? Shape{} : spec->shape;
  GWQ_ASSIGN_OR_RETURN(const int64_t count, ElementCount(shape));
  if (spec != nullptr && bytes.size() != static_cast<uint64_t>(count) * DTypeSize(dtype)) {
    return WrongSize(tensor, dtype, shape, bytes.size());
  }
  return Add(Stored(tensor, dtype, shape, bytes.size(), {}), shape, bytes);
}

absl::Status ArtifactWriter::AddDenseBlob(std::string_view tensor, DType dtype, const Digest& digest) {
  const TensorSpec* const spec = SpecOf(tensor);
  const Shape shape = spec == nullptr ? Shape{} : spec->shape;
  GWQ_ASSIGN_OR_RETURN(const int64_t count, ElementCount(shape));
  GWQ_ASSIGN_OR_RETURN(const BlobInfo info, store_.Stat(digest));
  const uint64_t size = static_cast<uint64_t>(count) * DTypeSize(dtype);
  if (spec != nullptr && info.size != size) {
    return WrongSize(tensor, dtype, shape, info.size);
  }
  return Add(Stored(tensor, dtype, shape, info.size, digest), shape).status();
}

absl::Status ArtifactWriter::AddPacked(std::string_view tensor, std::span<const std::byte> packed) {
  const absl::StatusOr<PackedView> view = PackedView::Open(packed);
  if (!view.ok()) return Annotate(view.status(), tensor);
  const auto bytes = static_cast<int64_t>(packed.size());
  ManifestTensor stored = Stored(tensor, DType::kU8, {bytes}, packed.size(), {});
  stored.packed = view->shape();
  return Add(std::move(stored), {view->shape().rows, view->shape().cols}, packed);
}

absl::Status ArtifactWriter::AddPackedBlob(std::string_view tensor, const Digest& digest) {
  GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<PinnedBlob> blob, store_.Materialize(digest));
  const absl::StatusOr<PackedView> view = PackedView::Open(blob->bytes());
  if (!view.ok()) return Annotate(view.status(), tensor);
  const size_t size = blob->bytes().size();
  ManifestTensor stored = Stored(tensor, DType::kU8, {static_cast<int64_t>(size)}, size, digest);
  stored.packed = view->shape();
  return Add(std::move(stored), {view->shape().rows, view->shape().cols}).status();
}

void ArtifactWriter::Remove(std::string_view tensor) {
  if (const auto found = tensors_.find(tensor); found != tensors_.end()) tensors_.erase(found);
}

const Digest* ArtifactWriter::BlobOf(std::string_view tensor) const {
  const auto found = tensors_.find(tensor);
  return found == tensors_.end() ? nullptr : &found->second.digest;
}

absl::Status ArtifactWriter::SetFile(std::string_view path, std::string_view content) {
  GWQ_RETURN_IF_ERROR(CheckRelativePath("path", path));
  GWQ_ASSIGN_OR_RETURN(const Digest digest, PutBlob(store_, std::as_bytes(std::span(content))));
  replaced_files_[std::string(path)] = {std::string(path), content.size(), digest};
  return absl::OkStatus();
}

absl::StatusOr<Digest> ArtifactWriter::Finish(Manifest manifest) {
  GWQ_RETURN_IF_ERROR(commits_.Finish());
  manifest.architecture = source_.manifest().architecture;
  std::map<std::string, ManifestFile, std::less<>> files = replaced_files_;
  for (const ManifestFile& file : source_.manifest().files) {
    if (!file.path.ends_with(".safetensors.index.json")) files.try_emplace(file.path, file);
  }
  for (const auto& [path, file] : files) manifest.files.push_back(file);
  std::vector<ManifestTensor> tensors;
  for (const TensorSpec& spec : source_.model()->tensors()) {
    const auto found = tensors_.find(spec.name);
    if (found == tensors_.end()) {
      return absl::FailedPreconditionError(fmt::format("tensor {} was not added", spec.name));
    }
    tensors.push_back(found->second);
  }
  GWQ_ASSIGN_OR_RETURN(ManifestShard shard, MakeSingleShard(store_, std::move(tensors)));
  manifest.shards.push_back(std::move(shard));
  GWQ_RETURN_IF_ERROR(CheckManifest(manifest));
  const std::string text = ManifestJson(manifest);
  return PutBlob(store_, std::as_bytes(std::span(text)));
}

absl::StatusOr<Digest> ArtifactWriter::FinishArtifact(std::string recipe_json, std::string producer_json) {
  Manifest manifest;
  manifest.kind = "artifact";
  manifest.source = source_.digest();
  manifest.recipe_json = std::move(recipe_json);
  manifest.producer_json = std::move(producer_json);
  return Finish(std::move(manifest));
}

absl::StatusOr<Digest> ArtifactWriter::FinishModel() {
  Manifest manifest;
  manifest.kind = "model";
  return Finish(std::move(manifest));
}

}  // namespace gwq
