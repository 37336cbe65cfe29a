#include "core/artifact/import.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "core/artifact/gguf_import.h"
#include "core/artifact/shard_header.h"
#include "core/artifact/stop_ids.h"
#include "core/artifact/stored_processor.h"
#include "core/artifact/unused_tensors.h"
#include "core/base/status.h"
#include "core/io/json.h"
#include "core/manifest/limits.h"
#include "core/manifest/manifest.h"
#include "core/manifest/text_files.h"
#include "core/models/model.h"
#include "core/text/model_text.h"

namespace gwq {
namespace {

constexpr std::string_view kIndexPath = "model.safetensors.index.json";

absl::Status CheckBlob(BlobStore& store, std::string_view field, const Digest& digest, uint64_t size) {
  const absl::StatusOr<BlobInfo> info = store.Stat(digest);
  if (absl::IsNotFound(info.status())) {
    return InvalidField(field, fmt::format("blob {} was not uploaded", digest.Hex()));
  }
  GWQ_RETURN_IF_ERROR(info.status());
  if (info->size == size) return absl::OkStatus();
  return InvalidField(field, fmt::format("{} bytes were declared, blob {} has {}", size, digest.Hex(), info->size));
}

absl::Status CheckBlobs(BlobStore& store, const Manifest& upload) {
  for (size_t i = 0; i < upload.files.size(); ++i) {
    const ManifestFile& file = upload.files[i];
    GWQ_RETURN_IF_ERROR(CheckBlob(store, fmt::format("files[{}]", i), file.digest, file.size));
  }
  for (size_t i = 0; i < upload.shards.size(); ++i) {
    const ManifestShard& shard = upload.shards[i];
    GWQ_RETURN_IF_ERROR(CheckBlob(store, fmt::format("shards[{}].header", i), shard.header, shard.header_size));
    for (size_t k = 0; k < shard.tensors.size(); ++k) {
      const ManifestTensor& tensor = shard.tensors[k];
      GWQ_RETURN_IF_ERROR(CheckBlob(store, fmt::format("shards[{}].tensors[{}]", i, k), tensor.digest, tensor.size));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> ReadNamed(BlobStore& store, const Manifest& manifest, std::string_view path) {
  const ManifestFile* const file = manifest.FindFile(path);
  if (file == nullptr) return InvalidField("files", fmt::format("'{}' is missing", path));
  return ReadBlob(store, file->digest, kMaxSmallFileBytes);
}

// Every entry of weight_map is true, and it names every tensor.
absl::Status CheckIndex(BlobStore& store, const Manifest& manifest) {
  if (manifest.FindFile(kIndexPath) == nullptr) {
    if (manifest.shards.size() <= 1) return absl::OkStatus();
    return InvalidField("files", fmt::format("'{}' is missing; {} shards need it", kIndexPath, manifest.shards.size()));
  }
  GWQ_ASSIGN_OR_RETURN(const std::string text, ReadNamed(store, manifest, kIndexPath));
  GWQ_ASSIGN_OR_RETURN(const nlohmann::json index, ParseJson(kIndexPath, text, {.max_bytes = kMaxSmallFileBytes}));
  const std::string field = fmt::format("{}.weight_map", kIndexPath);
  if (!index.is_object() || !index.contains("weight_map") || !index["weight_map"].is_object()) {
    return InvalidField(field, "missing: an object {tensor: file}");
  }
  std::map<std::string_view, std::string_view> place;
  for (const ManifestShard& shard : manifest.shards) {
    for (const ManifestTensor& tensor : shard.tensors) place.emplace(tensor.name, shard.path);
  }
  for (const auto& [name, file] : index["weight_map"].items()) {
    const auto found = place.find(name);
    if (found == place.end() || !file.is_string() || file.get_ref<const std::string&>() != found->second) {
      return InvalidField(
          fmt::format("{}[{}]", field, name.substr(0, 200)),
          found == place.end() ? "no shard holds this tensor" : fmt::format("the tensor is in '{}'", found->second));
    }
    place.erase(found);
  }
  if (place.empty()) return absl::OkStatus();
  return InvalidField(field, fmt::format("tensor {} of '{}' is missing", place.begin()->first, place.begin()->second));
}

// Types and shapes out of the files' headers.
absl::Status Describe(BlobStore& store, Manifest& manifest) {
  for (size_t i = 0; i < manifest.shards.size(); ++i) {
    ManifestShard& shard = manifest.shards[i];
    const absl::StatusOr<std::vector<SafetensorsTensor>> described = ReadShardHeader(store, shard);
    if (!described.ok()) return PrefixField(described.status(), fmt::format("shards[{}]", i));
    for (size_t k = 0; k < shard.tensors.size(); ++k) {
      shard.tensors[k].dtype = DTypeName((*described)[k].dtype);
      shard.tensors[k].shape = (*described)[k].shape;
      shard.tensors[k].kind = kExtraKind;
      shard.tensors[k].part = ModelPartName(ModelPart::kLanguage);
      shard.tensors[k].packed.reset();
    }
  }
  return absl::OkStatus();
}

absl::Status AssignRole(const TensorSpec& spec, ManifestTensor& tensor) {
  const std::string field = fmt::format("tensors[{}]", spec.name);
  GWQ_ASSIGN_OR_RETURN(const DType dtype, ParseDType(tensor.dtype));
  if (!IsWeightType(dtype)) {
    return InvalidField(field + ".dtype", fmt::format("{}: a weight is F32, F16 or BF16", tensor.dtype));
  }
  if (tensor.shape != spec.shape) {
    return InvalidField(field + ".shape",
                        fmt::format("{}, config.json makes it {}", ShapeString(tensor.shape), ShapeString(spec.shape)));
  }
  tensor.kind = TensorKindName(spec.kind);
  tensor.part = ModelPartName(spec.part);
  return absl::OkStatus();
}

absl::Status AssignRoles(const Model& model, Manifest& manifest, Progress& progress) {
  std::map<std::string_view, ManifestTensor*> tensors;
  for (ManifestShard& shard : manifest.shards) {
    for (ManifestTensor& tensor : shard.tensors) tensors.emplace(tensor.name, &tensor);
  }
  for (const TensorSpec& spec : model.tensors()) {
    const auto found = tensors.find(spec.name);
    if (found == tensors.end()) {
      return InvalidField(fmt::format("tensors[{}]", spec.name),
                          fmt::format("missing: {} with this config.json needs it", model.config().architecture));
    }
    GWQ_RETURN_IF_ERROR(AssignRole(spec, *found->second));
    tensors.erase(found);
  }
  std::vector<std::string> unused;
  for (const auto& [name, tensor] : tensors) unused.emplace_back(name);
  LogUnusedTensors(unused, model.config().architecture, "kept, never loaded", progress);
  return absl::OkStatus();
}

absl::StatusOr<Manifest> ImportDirectory(BlobStore& store, const Manifest& upload, Progress& progress) {
  Manifest out = upload;
  GWQ_ASSIGN_OR_RETURN(const std::string config_json, ReadNamed(store, upload, "config.json"));
  GWQ_ASSIGN_OR_RETURN(const ModelConfig config, ParseModelConfig(config_json));
  const TensorIndex tensors(upload);
  GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<Model> model,
                       CreateModel(config, [&](std::string_view name) { return tensors.Find(name) != nullptr; }));
  out.architecture = config.architecture;
  GWQ_RETURN_IF_ERROR(Describe(store, out));
  GWQ_RETURN_IF_ERROR(CheckIndex(store, out));
  GWQ_RETURN_IF_ERROR(AssignRoles(*model, out, progress));
  return out;
}

// What ends an answer and what prepares images is known when the model comes in, not when it is first asked.
absl::Status CheckUse(const std::map<std::string, std::string>& files) {
  GWQ_ASSIGN_OR_RETURN(const ModelConfig config, ParseModelConfig(files.at("config.json")));
  GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<const ModelText> text, ModelText::Load(files));
  GWQ_RETURN_IF_ERROR(CheckStopIds(files, *text, config));
  if (!config.vision.has_value()) return absl::OkStatus();
  return ReadImageProcessor(files, *config.vision).status();
}

absl::StatusOr<bool> IsGgufUpload(const Manifest& upload) {
  if (upload.kind != "model") return InvalidField("kind", "an upload is a 'model'");
  if (upload.shards.empty()) return InvalidField("shards", "no file of weights: send .safetensors or .gguf");
  const auto gguf = [](const ManifestShard& shard) { return shard.path.ends_with(".gguf"); };
  if (std::ranges::none_of(upload.shards, gguf)) return false;
  if (upload.shards.size() == 1) return true;
  return InvalidField("shards", "give one .gguf file alone; several, or a mix with .safetensors, are not read");
}

}  // namespace

absl::StatusOr<Digest> ImportModel(BlobStore& store, const Manifest& upload, Progress& progress) {
  GWQ_RETURN_IF_ERROR(CheckManifest(upload));
  GWQ_ASSIGN_OR_RETURN(const bool gguf, IsGgufUpload(upload));
  GWQ_RETURN_IF_ERROR(CheckBlobs(store, upload));
  GWQ_ASSIGN_OR_RETURN(const Manifest manifest,
                       gguf ? ConvertGguf(store, upload, progress) : ImportDirectory(store, upload, progress));
  if (manifest.FindFile("tokenizer.json") == nullptr) {
    return InvalidField("files", "'tokenizer.json' is missing: convert the tokenizer to the fast format");
  }
  GWQ_ASSIGN_OR_RETURN(const auto text_files, ReadTextFiles(store, manifest));
  GWQ_RETURN_IF_ERROR(CheckUse(text_files));
  GWQ_RETURN_IF_ERROR(CheckManifest(manifest));
  const std::string text = ManifestJson(manifest);
  return PutBlob(store, std::as_bytes(std::span(text)));
}

}  // namespace gwq
