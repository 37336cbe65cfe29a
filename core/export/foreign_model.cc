#include "core/export/foreign_model.h"

#include <array>
#include <utility>

#include "core/artifact/writer.h"
#include "core/base/status.h"

namespace gwq {
namespace {

bool IsLegalText(std::string_view path) {
  constexpr std::array<std::string_view, 4> kNames = {"LICENSE", "NOTICE", "README", "USE_POLICY"};
  for (const std::string_view name : kNames) {
    if (path.starts_with(name)) return true;
  }
  return false;
}

}  // namespace

absl::Status ForeignModel::AddBlob(const std::string& name, DType dtype, const Shape& shape, const Digest& digest) {
  GWQ_ASSIGN_OR_RETURN(const int64_t count, ElementCount(shape));
  ManifestTensor tensor;
  tensor.name = name;
  tensor.dtype = DTypeName(dtype);
  tensor.shape = shape;
  tensor.size = static_cast<uint64_t>(count) * DTypeSize(dtype);
  tensor.digest = digest;
  tensors_.push_back(std::move(tensor));
  return absl::OkStatus();
}

absl::Status ForeignModel::Add(const std::string& name, DType dtype, const Shape& shape,
                               std::span<const std::byte> bytes) {
  GWQ_ASSIGN_OR_RETURN(const Digest digest, PutBlob(store_, bytes));
  return AddBlob(name, dtype, shape, digest);
}

absl::Status ForeignModel::SetFile(std::string_view path, std::string_view content) {
  GWQ_ASSIGN_OR_RETURN(const Digest digest, PutBlob(store_, std::as_bytes(std::span(content))));
  files_[std::string(path)] = {std::string(path), content.size(), digest};
  return absl::OkStatus();
}

absl::StatusOr<Digest> ForeignModel::FinishSafetensors() {
  for (const ManifestFile& file : source_.manifest().files) {
    if (!file.path.ends_with(".safetensors.index.json")) files_.try_emplace(file.path, file);
  }
  GWQ_ASSIGN_OR_RETURN(ManifestShard shard, MakeSingleShard(store_, std::move(tensors_)));
  return Finish(std::move(shard));
}

absl::StatusOr<Digest> ForeignModel::FinishFile(ManifestShard shard) {
  for (const ManifestFile& file : source_.manifest().files) {
    if (IsLegalText(file.path)) files_.try_emplace(file.path, file);
  }
  return Finish(std::move(shard));
}

absl::StatusOr<Digest> ForeignModel::Finish(ManifestShard shard) {
  Manifest manifest;
  manifest.kind = "model";
  for (auto& [path, file] : files_) manifest.files.push_back(std::move(file));
  manifest.shards.push_back(std::move(shard));
  GWQ_RETURN_IF_ERROR(CheckManifest(manifest));
  const std::string text = ManifestJson(manifest);
  return PutBlob(store_, std::as_bytes(std::span(text)));
}

}  // namespace gwq
