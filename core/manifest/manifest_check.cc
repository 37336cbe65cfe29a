#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "absl/hash/hash.h"
#include "core/base/status.h"
#include "core/format/format.h"
#include "core/format/tensor_spec.h"
#include "core/io/gguf.h"
#include "core/io/json.h"
#include "core/io/safetensors.h"
#include "core/manifest/limits.h"
#include "core/manifest/manifest.h"

namespace gwq {
namespace {

constexpr size_t kMaxPathBytes = 255;
constexpr size_t kMaxNameBytes = 1024;
constexpr size_t kMaxFiles = 10'000;
constexpr uint64_t kMaxShardBytes = uint64_t{1} << 50;
constexpr uint64_t kMaxGgufPadding = 65536;  // the largest alignment that core/io/gguf reads

constexpr std::array<std::string_view, 11> kPickleSuffixes = {".bin",    ".pt",  ".pth", ".pkl", ".pickle", ".ckpt",
                                                              ".joblib", ".npy", ".npz", ".h5",  ".msgpack"};
constexpr std::array<std::string_view, 7> kTextSuffixes = {".json",  ".txt",      ".md",           ".jinja",
                                                           ".model", ".tiktoken", ".gitattributes"};
constexpr std::array<std::string_view, 7> kDatasetSuffixes = {".jsonl", ".txt",  ".md",  ".png",
                                                              ".jpg",   ".jpeg", ".webp"};
constexpr std::array<std::string_view, 4> kEvaluationSuffixes = {".json", ".jsonl", ".md", ".html"};
constexpr std::array<std::string_view, 4> kTextNames = {"LICENSE", "NOTICE", "README", "USE_POLICY"};

bool HasSuffix(std::string_view path, std::span<const std::string_view> suffixes) {
  std::string lower(path);
  std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return std::ranges::any_of(suffixes, [&](std::string_view suffix) { return lower.ends_with(suffix); });
}

bool IsGguf(std::string_view path) { return path.ends_with(".gguf"); }

std::string_view FileName(std::string_view path) { return path.substr(path.rfind('/') + 1); }

absl::Status RefusePickle(std::string_view field, std::string_view path) {
  if (!HasSuffix(path, kPickleSuffixes)) return absl::OkStatus();
  return InvalidField(field, fmt::format("'{}': pickle and other archives of weights can run code and are refused; "
                                         "convert them to safetensors",
                                         path));
}

absl::Status CheckFileType(std::string_view kind, std::string_view field, std::string_view path) {
  GWQ_RETURN_IF_ERROR(RefusePickle(field, path));
  if (kind == "evaluation") {
    if (HasSuffix(path, kEvaluationSuffixes)) return absl::OkStatus();
    return InvalidField(field, fmt::format("'{}' is of no type that an evaluation holds: .json, .jsonl, .md and .html "
                                           "are; leave it out",
                                           path));
  }
  if (kind == "dataset") {
    if (HasSuffix(path, kDatasetSuffixes)) return absl::OkStatus();
    return InvalidField(field, fmt::format("'{}' is of no type that a dataset holds: .jsonl, .txt, .md, .png, .jpg, "
                                           ".jpeg and .webp are",
                                           path));
  }
  const std::string_view name = FileName(path);
  const bool named =
      std::ranges::any_of(kTextNames, [&](std::string_view known) { return name.substr(0, name.find('.')) == known; });
  if (named || HasSuffix(path, kTextSuffixes)) return absl::OkStatus();
  return InvalidField(field, fmt::format("'{}' is of no known type: small files are .json, .txt, .md, .jinja, .model, "
                                         ".tiktoken or LICENSE, NOTICE, README; leave it out",
                                         path));
}

// Every path once, and none that needs another's file to be a folder.
class PathSet {
 public:
  [[nodiscard]] absl::Status Add(const std::string& field, const std::string& path) {
    GWQ_RETURN_IF_ERROR(CheckRelativePath(field, path));
    if (!paths_.insert(path).second) return InvalidField(field, fmt::format("'{}' appears twice", path));
    for (size_t slash = path.find('/'); slash != std::string::npos; slash = path.find('/', slash + 1)) {
      folders_.emplace(path.substr(0, slash), field);
    }
    return absl::OkStatus();
  }
  [[nodiscard]] absl::Status Finish() const {
    for (const auto& [folder, field] : folders_) {
      if (paths_.contains(folder)) return InvalidField(field, fmt::format("'{}' is a file and a folder", folder));
    }
    return absl::OkStatus();
  }

 private:
  std::set<std::string> paths_;
  std::unordered_map<std::string, std::string> folders_;
};

// One digest has one size.
class BlobSizes {
 public:
  [[nodiscard]] absl::Status Add(const std::string& field, const Digest& digest, uint64_t size) {
    const auto [known, added] = sizes_.emplace(digest, size);
    if (added || known->second == size) return absl::OkStatus();
    return InvalidField(field,
                        fmt::format("{}: the same blob {} has {} bytes elsewhere", size, digest.Hex(), known->second));
  }

 private:
  std::unordered_map<Digest, uint64_t, absl::Hash<Digest>> sizes_;
};

absl::Status CheckPacked(const std::string& field, const ManifestTensor& tensor) {
  const PackedShape& packed = *tensor.packed;
  const absl::Status shape = CheckPackedShape(packed);
  if (!shape.ok()) return InvalidField(field + ".packed", MessageOf(shape));
  const uint64_t size = LayoutOf(packed).total;
  if (size == tensor.size) return absl::OkStatus();
  return InvalidField(field + ".size",
                      fmt::format("{} bytes; a packed matrix in {} has {}", tensor.size, DescribeShape(packed), size));
}

absl::Status CheckElements(const std::string& field, const ManifestTensor& tensor) {
  const absl::StatusOr<DType> dtype = ParseDType(tensor.dtype);
  if (!dtype.ok()) return InvalidField(field + ".dtype", MessageOf(dtype.status()));
  const absl::StatusOr<int64_t> count = ElementCount(tensor.shape);
  if (!count.ok()) return InvalidField(field + ".shape", MessageOf(count.status()));
  const uint64_t element = DTypeSize(*dtype);
  if (tensor.size % element == 0 && tensor.size / element == static_cast<uint64_t>(*count)) return absl::OkStatus();
  return InvalidField(field + ".size", fmt::format("{} bytes, but {} {} takes {} elements of {} bytes", tensor.size,
                                                   tensor.dtype, ShapeString(tensor.shape), *count, element));
}

absl::Status CheckRole(const std::string& field, const ManifestTensor& tensor) {
  constexpr std::array kKinds = {TensorKind::kEmbedding, TensorKind::kNorm, TensorKind::kBias,
                                 TensorKind::kLinear,    TensorKind::kHead, TensorKind::kPosition};
  constexpr std::array kParts = {ModelPart::kLanguage, ModelPart::kVision, ModelPart::kProjector};
  if (tensor.kind != kExtraKind && std::ranges::find(kKinds, tensor.kind, TensorKindName) == kKinds.end()) {
    return InvalidField(field + ".kind", fmt::format("'{}' is not a kind of tensor", tensor.kind.substr(0, 64)));
  }
  if (std::ranges::find(kParts, tensor.part, ModelPartName) == kParts.end()) {
    return InvalidField(field + ".part", fmt::format("'{}' is not a part of a model", tensor.part.substr(0, 64)));
  }
  return absl::OkStatus();
}

absl::Status CheckTensor(const std::string& field, const Manifest& manifest, const ManifestTensor& tensor) {
  const bool control = std::ranges::any_of(tensor.name, [](unsigned char c) { return c < 0x20 || c == 0x7F; });
  if (tensor.name.empty() || tensor.name.size() > kMaxNameBytes || control || !IsValidUtf8(tensor.name)) {
    return InvalidField(field + ".name",
                        fmt::format("a name is UTF-8 of 1 to {} bytes without control characters", kMaxNameBytes));
  }
  if (tensor.packed) {
    if (manifest.kind != "artifact") return InvalidField(field + ".packed", "only artifacts hold packed matrices");
    GWQ_RETURN_IF_ERROR(CheckPacked(field, tensor));
  }
  if (!tensor.dtype.empty()) {
    GWQ_RETURN_IF_ERROR(CheckElements(field, tensor));
  } else if (!tensor.shape.empty()) {
    return InvalidField(field + ".dtype", "is missing although there is a shape");
  }
  const bool imported = !manifest.architecture.empty();
  if (imported && tensor.dtype.empty()) return InvalidField(field + ".dtype", "missing");
  if (imported || !tensor.kind.empty() || !tensor.part.empty()) return CheckRole(field, tensor);
  return absl::OkStatus();
}

absl::Status CheckShardSizes(const std::string& field, const ManifestShard& shard) {
  GWQ_RETURN_IF_ERROR(RefusePickle(field + ".path", shard.path));
  const bool gguf = IsGguf(shard.path);
  if (!gguf && !shard.path.ends_with(".safetensors")) {
    return InvalidField(field + ".path",
                        fmt::format("'{}' is not a file of weights: .safetensors and .gguf are", shard.path));
  }
  if (shard.size > kMaxShardBytes) {
    return InvalidField(field + ".size", fmt::format("{} bytes; the limit is {}", shard.size, kMaxShardBytes));
  }
  const uint64_t limit = std::min(gguf ? kMaxGgufHeader : 8 + kMaxSafetensorsHeader, shard.size);
  if (shard.header_size < 8 || shard.header_size > limit) {
    return InvalidField(field + ".header_size", fmt::format("{} bytes; 8 to {} are allowed", shard.header_size, limit));
  }
  return absl::OkStatus();
}

absl::Status CheckCover(const std::string& field, const ManifestShard& shard) {
  const uint64_t padding = IsGguf(shard.path) ? kMaxGgufPadding : 1;
  const uint64_t data_size = shard.size - shard.header_size;
  uint64_t next = 0;
  for (size_t i = 0; i < shard.tensors.size(); ++i) {
    const ManifestTensor& tensor = shard.tensors[i];
    const std::string place = fmt::format("{}.tensors[{}]", field, i);
    if (tensor.offset < next) {
      return InvalidField(place + ".offset",
                          fmt::format("{} lies inside the tensor before, which ends at {}", tensor.offset, next));
    }
    if (tensor.offset - next >= padding) {
      return InvalidField(place + ".offset", fmt::format("{} leaves a gap after the tensor before, which ends at {}",
                                                         tensor.offset, next));
    }
    if (tensor.size > data_size || tensor.offset > data_size - tensor.size) {
      return InvalidField(place + ".size", fmt::format("{} bytes at {} reach past the {} bytes of data", tensor.size,
                                                       tensor.offset, data_size));
    }
    next = tensor.offset + tensor.size;
  }
  if (data_size - next >= padding) {
    return InvalidField(field + ".size", fmt::format("the tensors end at {} of {} bytes of data", next, data_size));
  }
  return absl::OkStatus();
}

absl::Status CheckCanonicalObject(std::string_view field, const std::string& text) {
  if (text.empty()) return absl::OkStatus();
  // One level less than the manifest that it stands in may have.
  GWQ_ASSIGN_OR_RETURN(const nlohmann::json tree, ParseJson(field, text, {.max_depth = kMaxManifestDepth - 1}));
  if (tree.is_object() && CanonicalJson(tree) == text) return absl::OkStatus();
  return InvalidField(field, "is not a JSON object in canonical form");
}

absl::Status CheckHead(const Manifest& manifest) {
  constexpr std::array<std::string_view, 4> kKinds = {"model", "artifact", "dataset", "evaluation"};
  if (std::ranges::find(kKinds, manifest.kind) == kKinds.end()) {
    return InvalidField("kind",
                        fmt::format("'{}': give one of {}", manifest.kind.substr(0, 64), fmt::join(kKinds, ", ")));
  }
  const bool holds_tensors = manifest.kind == "model" || manifest.kind == "artifact";
  if (!holds_tensors && !manifest.shards.empty()) {
    return InvalidField("shards", fmt::format("a manifest of kind '{}' has none", manifest.kind));
  }
  if (manifest.architecture.size() > 128 || !IsValidUtf8(manifest.architecture)) {
    return InvalidField("architecture",
                        fmt::format("'{}' has {} bytes: it must be UTF-8 of at most 128 bytes; give the name of the "
                                    "model's class",
                                    ToValidUtf8(manifest.architecture.substr(0, 64)), manifest.architecture.size()));
  }
  if (manifest.files.size() > kMaxFiles || manifest.shards.size() > kMaxFiles) {
    return InvalidField(manifest.files.size() > kMaxFiles ? "files" : "shards",
                        fmt::format("has {} entries, the limit is {}; leave out files that no model needs",
                                    std::max(manifest.files.size(), manifest.shards.size()), kMaxFiles));
  }
  if (manifest.kind == "artifact") {
    if (manifest.architecture.empty()) return InvalidField("architecture", "missing: an artifact has one");
    if (!manifest.source) return InvalidField("source", "missing: an artifact names the model it was made from");
    if (manifest.recipe_json.empty()) return InvalidField("recipe", "missing: an artifact holds its recipe");
  } else if (!manifest.recipe_json.empty() || !manifest.quality_json.empty()) {
    return InvalidField(manifest.recipe_json.empty() ? "quality" : "recipe", "only an artifact has one");
  }
  GWQ_RETURN_IF_ERROR(CheckCanonicalObject("recipe", manifest.recipe_json));
  GWQ_RETURN_IF_ERROR(CheckCanonicalObject("producer", manifest.producer_json));
  return CheckCanonicalObject("quality", manifest.quality_json);
}

template <class Entry>
absl::Status CheckOrder(std::string_view list, const std::vector<Entry>& entries) {
  for (size_t i = 1; i < entries.size(); ++i) {
    if (entries[i].path < entries[i - 1].path) {
      return InvalidField(fmt::format("{}[{}].path", list, i),
                          fmt::format("'{}' comes after '{}': sort by path", entries[i].path, entries[i - 1].path));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckFiles(const Manifest& manifest, PathSet& paths, BlobSizes& sizes) {
  for (size_t i = 0; i < manifest.files.size(); ++i) {
    const ManifestFile& file = manifest.files[i];
    const std::string field = fmt::format("files[{}]", i);
    GWQ_RETURN_IF_ERROR(paths.Add(field + ".path", file.path));
    GWQ_RETURN_IF_ERROR(CheckFileType(manifest.kind, field + ".path", file.path));
    if (file.size > kMaxSmallFileBytes) {
      return InvalidField(field + ".size",
                          fmt::format("{} bytes; a small file has at most {}", file.size, kMaxSmallFileBytes));
    }
    GWQ_RETURN_IF_ERROR(sizes.Add(field + ".size", file.digest, file.size));
  }
  return CheckOrder("files", manifest.files);
}

absl::Status CheckShards(const Manifest& manifest, PathSet& paths, BlobSizes& sizes) {
  std::unordered_set<std::string_view> names;
  for (size_t i = 0; i < manifest.shards.size(); ++i) {
    const ManifestShard& shard = manifest.shards[i];
    const std::string field = fmt::format("shards[{}]", i);
    GWQ_RETURN_IF_ERROR(paths.Add(field + ".path", shard.path));
    GWQ_RETURN_IF_ERROR(CheckShardSizes(field, shard));
    GWQ_RETURN_IF_ERROR(CheckCover(field, shard));
    GWQ_RETURN_IF_ERROR(sizes.Add(field + ".header_size", shard.header, shard.header_size));
    for (size_t k = 0; k < shard.tensors.size(); ++k) {
      const ManifestTensor& tensor = shard.tensors[k];
      const std::string place = fmt::format("{}.tensors[{}]", field, k);
      GWQ_RETURN_IF_ERROR(CheckTensor(place, manifest, tensor));
      if (!names.insert(tensor.name).second) {
        return InvalidField(place + ".name", fmt::format("'{}' appears twice", tensor.name));
      }
      GWQ_RETURN_IF_ERROR(sizes.Add(place + ".size", tensor.digest, tensor.size));
    }
  }
  return CheckOrder("shards", manifest.shards);
}

}  // namespace

absl::Status CheckManifest(const Manifest& manifest) {
  GWQ_RETURN_IF_ERROR(CheckHead(manifest));
  PathSet paths;
  BlobSizes sizes;
  GWQ_RETURN_IF_ERROR(CheckFiles(manifest, paths, sizes));
  GWQ_RETURN_IF_ERROR(CheckShards(manifest, paths, sizes));
  return paths.Finish();
}

absl::Status CheckRelativePath(std::string_view field, std::string_view path) {
  if (path.empty() || path.size() > kMaxPathBytes) {
    return InvalidField(field, fmt::format("a path has 1 to {} bytes, this one {}", kMaxPathBytes, path.size()));
  }
  const bool control = std::ranges::any_of(path, [](unsigned char c) { return c < 0x20 || c == 0x7F || c == '\\'; });
  if (control || !IsValidUtf8(path)) {
    return InvalidField(field, "a path is UTF-8 without control characters and backslashes");
  }
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    const std::string_view part = path.substr(begin, end - begin);
    if (part.empty() || part == "." || part == "..") {
      return InvalidField(field, fmt::format("'{}': a path is relative, without empty parts, '.' and '..'", path));
    }
    begin = end + 1;
  }
  return absl::OkStatus();
}

}  // namespace gwq
