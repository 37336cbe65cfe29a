#include "core/manifest/manifest_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <limits>
#include <span>
#include <vector>

#include "core/base/status.h"
#include "core/format/format.h"
#include "core/io/json.h"
#include "core/manifest/limits.h"

namespace gwq {
namespace {

using nlohmann::json;

constexpr std::string_view kFormat = "gwq-manifest-1";

// One JSON object being read. Keeps the first error; what is read after it is empty. Every field of the object must be
// among those that are known.
class Object {
 public:
  Object(const json& value, std::string path, std::initializer_list<std::string_view> known, absl::Status& status)
      : Object(value, std::move(path), std::span<const std::string_view>(known.begin(), known.size()), status) {}
  Object(const json& value, std::string path, std::span<const std::string_view> known, absl::Status& status)
      : value_(value), path_(std::move(path)), status_(status) {
    if (!value.is_object()) Fail("", "expected an object");
    if (!status_.ok()) return;
    for (const auto& [key, unused] : value.items()) {
      if (std::ranges::find(known, key) == known.end()) Fail(key.substr(0, 64), "unknown field");
    }
  }

  [[nodiscard]] std::string Field(std::string_view name) const {
    if (path_.empty() || name.empty()) return path_.empty() ? std::string(name.empty() ? "manifest" : name) : path_;
    return fmt::format("{}.{}", path_, name);
  }
  [[nodiscard]] bool Has(std::string_view name) const { return status_.ok() && value_.contains(std::string(name)); }

  [[nodiscard]] std::string String(std::string_view name) {
    const json* const found = Find(name, &json::is_string, "a string");
    return found == nullptr ? "" : found->get<std::string>();
  }
  [[nodiscard]] uint64_t Unsigned(std::string_view name) {
    const json* const found = Find(name, &json::is_number_unsigned, "a whole number");
    return found == nullptr ? 0 : found->get<uint64_t>();
  }
  [[nodiscard]] int64_t Signed(std::string_view name) {
    const uint64_t value = Unsigned(name);
    if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) Fail(name, "larger than 2^63 - 1");
    return static_cast<int64_t>(value);
  }
  [[nodiscard]] Digest Sha(std::string_view name) {
    const std::string hex = String(name);
    if (!status_.ok()) return {};
    const absl::StatusOr<Digest> digest = Digest::Parse(hex);
    if (!digest.ok()) Fail(name, MessageOf(digest.status()));
    return digest.value_or(Digest{});
  }
  [[nodiscard]] const json& List(std::string_view name) {
    static const json empty = json::array();
    const json* const found = Find(name, &json::is_array, "a list");
    return found == nullptr ? empty : *found;
  }
  [[nodiscard]] const json& Nested(std::string_view name) {
    static const json empty = json::object();
    const json* const found = Find(name, &json::is_object, "an object");
    return found == nullptr ? empty : *found;
  }
  void Fail(std::string_view name, std::string_view text) {
    if (status_.ok()) status_ = InvalidField(Field(name), text);
  }

 private:
  const json* Find(std::string_view name, bool (json::*is_type)() const noexcept, std::string_view type) {
    if (!status_.ok()) return nullptr;
    const auto found = value_.find(std::string(name));
    if (found == value_.end() || !((*found).*is_type)()) {
      Fail(name, fmt::format("{}: give {}", found == value_.end() ? "missing" : "of the wrong type", type));
      return nullptr;
    }
    return &*found;
  }

  const json& value_;
  const std::string path_;
  absl::Status& status_;
};

json FileTree(const ManifestFile& file) {
  return {{"path", file.path}, {"sha256", file.digest.Hex()}, {"size", file.size}};
}

// Format and version are left out for the first format, whose manifests were written before there was another.
json PackedTree(const PackedShape& packed) {
  json tree = {{"rows", packed.rows}, {"cols", packed.cols}};
  for (const ShapeField& field : packed.format->fields) tree[std::string(field.name)] = field.Get(packed);
  if (packed.format == &kAffine1) return tree;
  tree["format"] = packed.format->tag;
  tree["version"] = packed.format->version;
  return tree;
}

// Fields that an upload does not know yet are left out while they are empty.
json TensorTree(const ManifestTensor& tensor) {
  json tree = {
      {"name", tensor.name}, {"offset", tensor.offset}, {"sha256", tensor.digest.Hex()}, {"size", tensor.size}};
  if (!tensor.dtype.empty()) {
    tree["dtype"] = tensor.dtype;
    tree["shape"] = tensor.shape;
  }
  if (!tensor.kind.empty()) tree["kind"] = tensor.kind;
  if (!tensor.part.empty()) tree["part"] = tensor.part;
  if (tensor.packed) tree["packed"] = PackedTree(*tensor.packed);
  return tree;
}

json ShardTree(const ManifestShard& shard) {
  json tree = {{"header_sha256", shard.header.Hex()},
               {"header_size", shard.header_size},
               {"path", shard.path},
               {"size", shard.size},
               {"tensors", json::array()}};
  for (const ManifestTensor& tensor : shard.tensors) tree["tensors"].push_back(TensorTree(tensor));
  return tree;
}

ManifestFile ReadFile(const json& value, std::string path, absl::Status& status) {
  Object object(value, std::move(path), {"path", "sha256", "size"}, status);
  ManifestFile file;
  file.path = object.String("path");
  file.digest = object.Sha("sha256");
  file.size = object.Unsigned("size");
  return file;
}

// The format that `value` names; kAffine1 where it names none, and where it is no object.
const Format* ReadFormat(const json& value, const std::string& path, absl::Status& status) {
  if (!value.is_object() || (!value.contains("format") && !value.contains("version"))) return &kAffine1;
  json named = json::object();
  for (const char* const key : {"format", "version"}) {
    if (value.contains(key)) named[key] = value[key];
  }
  Object object(named, path, {"format", "version"}, status);
  const std::string tag = object.String("format");
  const int64_t version = object.Signed("version");
  if (!status.ok()) return &kAffine1;
  const absl::StatusOr<const Format*> found = FindFormat(tag, version);
  if (!found.ok()) {
    const FieldViolation violation = FieldViolations(found.status()).at(0);
    object.Fail(violation.field, violation.description);
    return &kAffine1;
  }
  // One spelling each, so that equal manifests are equal texts.
  if (*found == &kAffine1)
    object.Fail("version", fmt::format("{} is written without format and version", FormatName(kAffine1)));
  return *found;
}

PackedShape ReadPacked(const json& value, std::string path, absl::Status& status) {
  PackedShape packed;
  packed.format = ReadFormat(value, path, status);
  std::vector<std::string_view> known = {"rows", "cols"};
  if (packed.format != &kAffine1) known.insert(known.end(), {"format", "version"});
  for (const ShapeField& field : packed.format->fields) known.push_back(field.name);
  Object object(value, std::move(path), known, status);
  packed.rows = object.Signed("rows");
  packed.cols = object.Signed("cols");
  for (const ShapeField& field : packed.format->fields) field.Set(packed, object.Signed(field.name));
  return packed;
}

Shape ReadShape(Object& object) {
  Shape shape;
  for (const json& dimension : object.List("shape")) {
    if (!dimension.is_number_unsigned() || dimension.get<uint64_t>() > uint64_t{1} << 48) {
      object.Fail("shape", "each dimension is a whole number from 0 to 2^48");
      break;
    }
    shape.push_back(dimension.get<int64_t>());
  }
  return shape;
}

ManifestTensor ReadTensor(const json& value, std::string path, absl::Status& status) {
  Object object(value, std::move(path),
                {"dtype", "kind", "name", "offset", "packed", "part", "sha256", "shape", "size"}, status);
  ManifestTensor tensor;
  tensor.name = object.String("name");
  tensor.offset = object.Unsigned("offset");
  tensor.size = object.Unsigned("size");
  tensor.digest = object.Sha("sha256");
  if (object.Has("dtype") || object.Has("shape")) {
    tensor.dtype = object.String("dtype");
    tensor.shape = ReadShape(object);
    if (tensor.dtype.empty()) object.Fail("dtype", "empty: give an element type");
  }
  if (object.Has("kind")) tensor.kind = object.String("kind");
  if (object.Has("part")) tensor.part = object.String("part");
  if (object.Has("packed")) tensor.packed = ReadPacked(object.Nested("packed"), object.Field("packed"), status);
  return tensor;
}

ManifestShard ReadShard(const json& value, const std::string& path, absl::Status& status) {
  Object object(value, path, {"header_sha256", "header_size", "path", "size", "tensors"}, status);
  ManifestShard shard;
  shard.path = object.String("path");
  shard.size = object.Unsigned("size");
  shard.header = object.Sha("header_sha256");
  shard.header_size = object.Unsigned("header_size");
  size_t index = 0;
  for (const json& tensor : object.List("tensors")) {
    shard.tensors.push_back(ReadTensor(tensor, fmt::format("{}.tensors[{}]", path, index++), status));
    if (!status.ok()) break;
  }
  return shard;
}

}  // namespace

json ManifestTree(const Manifest& manifest) {
  json tree = {{"format", kFormat}, {"kind", manifest.kind}, {"files", json::array()}, {"shards", json::array()}};
  if (!manifest.architecture.empty()) tree["architecture"] = manifest.architecture;
  for (const ManifestFile& file : manifest.files) tree["files"].push_back(FileTree(file));
  for (const ManifestShard& shard : manifest.shards) tree["shards"].push_back(ShardTree(shard));
  if (manifest.source) tree["source"] = manifest.source->Hex();
  if (!manifest.recipe_json.empty()) tree["recipe"] = json::parse(manifest.recipe_json, nullptr, false);
  if (!manifest.producer_json.empty()) tree["producer"] = json::parse(manifest.producer_json, nullptr, false);
  if (!manifest.quality_json.empty()) tree["quality"] = json::parse(manifest.quality_json, nullptr, false);
  return tree;
}

absl::StatusOr<Manifest> ReadManifestTree(std::string_view text) {
  // 100 MB of manifest are half a million tensors.
  const JsonLimits limits{.max_bytes = kMaxManifestBytes, .max_depth = kMaxManifestDepth, .max_values = 10'000'000};
  GWQ_ASSIGN_OR_RETURN(const json tree, ParseJson("manifest", text, limits));
  absl::Status status;
  Object object(tree, "",
                {"architecture", "files", "format", "kind", "producer", "quality", "recipe", "shards", "source"},
                status);
  Manifest manifest;
  if (const std::string format = object.String("format"); format != kFormat) {
    object.Fail("format", fmt::format("'{}' is not read; '{}' is", format.substr(0, 64), kFormat));
  }
  manifest.kind = object.String("kind");
  if (object.Has("architecture")) manifest.architecture = object.String("architecture");
  size_t index = 0;
  for (const json& file : object.List("files")) {
    manifest.files.push_back(ReadFile(file, fmt::format("files[{}]", index++), status));
    if (!status.ok()) return status;
  }
  index = 0;
  for (const json& shard : object.List("shards")) {
    manifest.shards.push_back(ReadShard(shard, fmt::format("shards[{}]", index++), status));
    if (!status.ok()) return status;
  }
  if (object.Has("source")) manifest.source = object.Sha("source");
  if (object.Has("recipe")) manifest.recipe_json = CanonicalJson(object.Nested("recipe"));
  if (object.Has("producer")) manifest.producer_json = CanonicalJson(object.Nested("producer"));
  if (object.Has("quality")) manifest.quality_json = CanonicalJson(object.Nested("quality"));
  GWQ_RETURN_IF_ERROR(status);
  return manifest;
}

}  // namespace gwq
