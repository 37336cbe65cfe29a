// What a model, an artifact, a dataset or an evaluation is: small files, and for each safetensors file its header and
// the list of its tensors' blobs. The original files can be written again byte for byte. A manifest's digest names the
// model.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/sha256.h"
#include "core/base/tensor_view.h"
#include "core/format/packed_matrix.h"

namespace gwq {

struct ManifestFile {
  std::string path;  // see CheckRelativePath
  uint64_t size = 0;
  Digest digest;
};

// The kind of a tensor that a file holds and the family does not use.
inline constexpr char kExtraKind[] = "extra";

struct ManifestTensor {
  std::string name;
  std::string dtype;    // of the safetensors header; "U8" for a packed matrix
  Shape shape;          // of the stored tensor; [blob bytes] for a packed matrix
  uint64_t offset = 0;  // in the data part of its safetensors file
  uint64_t size = 0;
  Digest digest;
  std::string kind;                   // TensorKindName: "linear", "norm", ...; empty before import
  std::string part;                   // ModelPartName
  std::optional<PackedShape> packed;  // set for a packed matrix
};

struct ManifestShard {
  std::string path;   // "model-00001-of-00002.safetensors"
  uint64_t size = 0;  // whole file
  Digest header;      // blob: the first 8 + N bytes of the file (length word and JSON)
  uint64_t header_size = 0;
  std::vector<ManifestTensor> tensors;  // by offset
};

struct Manifest {
  std::string kind;                   // "model", "artifact", "dataset" or "evaluation"; the last two hold files alone
  std::string architecture;           // empty before import
  std::vector<ManifestFile> files;    // by path
  std::vector<ManifestShard> shards;  // by path
  // Artifacts only: everything else that determines the bytes.
  std::optional<Digest> source;  // the model's manifest digest
  std::string recipe_json;       // canonical JSON of the expanded recipe; empty for a model
  std::string producer_json;     // canonical JSON: calibration threads, ISA level, versions that change bits
  // Canonical JSON of the quality contract under which it was published, with what was measured
  // (core/spec/quality_gate.h); empty: none.
  std::string quality_json;

  [[nodiscard]] const ManifestFile* FindFile(std::string_view path) const;
  // Every blob it names, headers included, without its own.
  [[nodiscard]] std::vector<Digest> Blobs() const;
  // Bytes of all distinct blobs it names.
  [[nodiscard]] uint64_t StoredBytes() const;
};

// Finds a manifest's tensors by name. The manifest outlives it and does not change meanwhile.
class TensorIndex {
 public:
  explicit TensorIndex(const Manifest& manifest);
  // Null if there is none.
  [[nodiscard]] const ManifestTensor* Find(std::string_view name) const;

 private:
  std::unordered_map<std::string_view, const ManifestTensor*> tensors_;
};

// Canonical JSON (sorted keys, no spaces, UTF-8): the same manifest gives the same text, and SHA-256 of it is its
// digest.
[[nodiscard]] std::string ManifestJson(const Manifest& manifest);
[[nodiscard]] Digest ManifestDigest(const Manifest& manifest);
// Strict: unknown fields, wrong types, unsafe paths, overlapping or uncovered tensors are INVALID_ARGUMENT naming the
// field.
[[nodiscard]] absl::StatusOr<Manifest> ParseManifest(std::string_view json);
// The structural checks alone: paths, sizes, order, no overlap or gap, no duplicate tensor name across shards, known
// file types (pickle files are refused by name and say so).
[[nodiscard]] absl::Status CheckManifest(const Manifest& manifest);
// "a/b.json" yes; "", "/a", "../a", "a//b", "a\\b", control characters, more than 255 bytes no.
[[nodiscard]] absl::Status CheckRelativePath(std::string_view field, std::string_view path);

}  // namespace gwq
