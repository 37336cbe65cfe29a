#include "core/artifact/stored_model.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/status.h"
#include "core/manifest/limits.h"
#include "core/manifest/text_files.h"

namespace gwq {

StoredModel::StoredModel(BlobStore& store, const Digest& digest, Manifest manifest)
    : store_(store), digest_(digest), manifest_(std::move(manifest)) {
  for (const ManifestShard& shard : manifest_.shards) {
    for (const ManifestTensor& tensor : shard.tensors) tensors_.emplace(tensor.name, &tensor);
  }
}

absl::StatusOr<std::unique_ptr<const StoredModel>> StoredModel::Open(BlobStore& store, const Digest& manifest) {
  GWQ_ASSIGN_OR_RETURN(const std::string text, ReadBlob(store, manifest, kMaxManifestBytes));
  if (Sha256Of(text) != manifest) {
    return absl::DataLossError(fmt::format("the manifest {} does not match its digest", manifest.Hex()));
  }
  GWQ_ASSIGN_OR_RETURN(Manifest parsed, ParseManifest(text));
  if (parsed.architecture.empty()) {
    return absl::FailedPreconditionError(
        fmt::format("the manifest {} was not imported: it is an upload, or an export for other programs; pull such an "
                    "export, or export the artifact as hf-fp16",
                    manifest.Hex()));
  }
  std::unique_ptr<StoredModel> model(new StoredModel(store, manifest, std::move(parsed)));
  GWQ_ASSIGN_OR_RETURN(const std::string config_json, model->ReadFile("config.json"));
  GWQ_ASSIGN_OR_RETURN(const ModelConfig config, ParseModelConfig(config_json));
  GWQ_ASSIGN_OR_RETURN(model->model_,
                       CreateModel(config, [&](std::string_view name) { return model->Find(name) != nullptr; }));
  return model;
}

absl::StatusOr<std::string> StoredModel::ReadFile(std::string_view path) const {
  const ManifestFile* const file = manifest_.FindFile(path);
  if (file == nullptr) return absl::NotFoundError(fmt::format("the model has no file '{}'", path));
  return ReadBlob(store_, file->digest, kMaxSmallFileBytes);
}

absl::StatusOr<std::map<std::string, std::string>> StoredModel::TextFiles() const {
  return ReadTextFiles(store_, manifest_);
}

const ManifestTensor* StoredModel::Find(std::string_view tensor) const {
  const auto found = tensors_.find(tensor);
  return found == tensors_.end() ? nullptr : found->second;
}

absl::StatusOr<std::shared_ptr<const PinnedBlob>> StoredModel::Pin(const ManifestTensor& tensor) const {
  GWQ_ASSIGN_OR_RETURN(std::shared_ptr<const PinnedBlob> blob, store_.Materialize(tensor.digest));
  if (blob->bytes().size() != tensor.size) {
    return absl::DataLossError(fmt::format("blob {} of tensor {} has {} bytes, the manifest says {}",
                                           tensor.digest.Hex(), tensor.name, blob->bytes().size(), tensor.size));
  }
  return blob;
}

absl::StatusOr<DenseTensor> StoredModel::Dense(std::string_view tensor) const {
  const ManifestTensor* const found = Find(tensor);
  if (found == nullptr) return absl::NotFoundError(fmt::format("the model has no tensor {}", tensor));
  if (found->packed) return absl::FailedPreconditionError(fmt::format("tensor {} is packed", tensor));
  GWQ_ASSIGN_OR_RETURN(const DType dtype, ParseDType(found->dtype));
  DenseTensor out;
  GWQ_ASSIGN_OR_RETURN(out.blob, Pin(*found));
  out.view = {.type = dtype, .shape = found->shape, .data = out.blob->bytes()};
  return out;
}

absl::StatusOr<PackedTensor> StoredModel::Packed(std::string_view tensor) const {
  const ManifestTensor* const found = Find(tensor);
  if (found == nullptr) return absl::NotFoundError(fmt::format("the model has no tensor {}", tensor));
  if (!found->packed) return absl::FailedPreconditionError(fmt::format("tensor {} is not packed", tensor));
  PackedTensor out;
  GWQ_ASSIGN_OR_RETURN(out.blob, Pin(*found));
  absl::StatusOr<PackedView> view = PackedView::Open(out.blob->bytes());
  if (!view.ok()) return Annotate(view.status(), tensor);
  if (view->shape() != *found->packed) {
    return absl::DataLossError(fmt::format("{}: the packed header disagrees with the manifest", tensor));
  }
  out.view = *view;
  return out;
}

}  // namespace gwq
