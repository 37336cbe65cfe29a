#include "core/artifact/gguf_import.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "core/artifact/gguf_layout.h"
#include "core/artifact/unused_tensors.h"
#include "core/artifact/writer.h"
#include "core/base/status.h"
#include "core/io/gguf.h"
#include "core/manifest/limits.h"
#include "core/models/model.h"
#include "core/storage/commit_group.h"
#include "core/text/gguf_metadata.h"

namespace gwq {
namespace {

constexpr size_t kChunkElements = size_t{1} << 18;
constexpr uint64_t kDropBytes = uint64_t{8} << 20;
constexpr std::string_view kRopeFactors = "rope_freqs.weight";

absl::StatusOr<GgufHeader> ReadHeader(BlobStore& store, const ManifestShard& shard) {
  GWQ_ASSIGN_OR_RETURN(const std::string text, ReadBlob(store, shard.header, kMaxGgufHeader));
  GWQ_ASSIGN_OR_RETURN(GgufHeader header, ParseGgufHeader(std::as_bytes(std::span(text)), shard.size));
  if (header.header_size != shard.header_size) {
    return InvalidField("shards[0].header_size", fmt::format("{} was declared, the file's data starts at {}",
                                                             shard.header_size, header.header_size));
  }
  if (header.tensors.size() != shard.tensors.size()) {
    return InvalidField("shards[0].tensors", fmt::format("{} were declared, the file's header describes {}",
                                                         shard.tensors.size(), header.tensors.size()));
  }
  for (size_t i = 0; i < shard.tensors.size(); ++i) {
    const ManifestTensor& declared = shard.tensors[i];
    const GgufTensor& tensor = header.tensors[i];
    const std::string_view wrong = tensor.name != declared.name       ? "name"
                                   : tensor.offset != declared.offset ? "offset"
                                   : tensor.size != declared.size     ? "size"
                                                                      : "";
    if (wrong.empty()) continue;
    return InvalidField(
        fmt::format("shards[0].tensors[{}].{}", i, wrong),
        fmt::format("{} ({} bytes at {}) was declared, the file's header says {} ({} bytes at {})", declared.name,
                    declared.size, declared.offset, tensor.name, tensor.size, tensor.offset));
  }
  return header;
}

// Where a tensor's elements come from.
struct Source {
  const GgufTensor* info = nullptr;
  const ManifestTensor* stored = nullptr;
};
using Sources = std::map<std::string, Source, std::less<>>;

absl::StatusOr<std::shared_ptr<const PinnedBlob>> Pin(BlobStore& store, const Source& source) {
  GWQ_ASSIGN_OR_RETURN(std::shared_ptr<const PinnedBlob> blob, store.Materialize(source.stored->digest));
  if (blob->bytes().size() == source.info->size) return blob;
  return absl::DataLossError(fmt::format("blob {} of {} has {} bytes, not {}", source.stored->digest.Hex(),
                                         source.info->name, blob->bytes().size(), source.info->size));
}

absl::StatusOr<std::vector<float>> ReadFactors(BlobStore& store, const Sources& sources) {
  const auto found = sources.find(kRopeFactors);
  if (found == sources.end()) return std::vector<float>();
  const Source& source = found->second;
  GWQ_ASSIGN_OR_RETURN(const int64_t count, ElementCount(source.info->shape));
  if (count > 4096) return InvalidField("tensors[rope_freqs.weight].shape", "more than 4096 factors");
  GWQ_ASSIGN_OR_RETURN(const std::shared_ptr<const PinnedBlob> blob, Pin(store, source));
  std::vector<float> factors(static_cast<size_t>(count));
  DequantizeGgml(source.info->type, blob->bytes(), factors);
  return factors;
}

// Widens row by row, puts the rows in the original's order and writes them as FP16.
class Converter {
 public:
  Converter(BlobStore& store, const GgufHeader& header) : store_(store), header_(header) {}

  // The tensor's bytes, written and not yet committed.
  [[nodiscard]] absl::StatusOr<std::unique_ptr<BlobWriter>> Convert(const TensorSpec& spec, const Source& source) {
    const int64_t cols = spec.shape.size() == 1 ? 1 : spec.shape.back();
    const int64_t rows = spec.shape.front();
    const int64_t heads = PairedHeads(header_, spec.name);
    if (heads != 0 && rows % (2 * heads) != 0) {
      return InvalidField(fmt::format("tensors[{}].shape", source.info->name),
                          fmt::format("{} rows do not make {} heads of even size", rows, heads));
    }
    // A vector's elements may share blocks, so it is taken as one row; its elements are the rows to reorder.
    const bool vector = spec.shape.size() == 1;
    GWQ_ASSIGN_OR_RETURN(const std::shared_ptr<const PinnedBlob> blob, Pin(store_, source));
    GWQ_ASSIGN_OR_RETURN(std::unique_ptr<BlobWriter> writer, store_.BeginUnnamed());
    if (vector) {
      std::vector<float> values(static_cast<size_t>(rows));
      DequantizeGgml(source.info->type, blob->bytes(), values);
      std::vector<float> ordered(values.size());
      for (int64_t r = 0; r < rows; ++r) ordered[r] = values[StoredRow(r, rows, heads)];
      GWQ_RETURN_IF_ERROR(Write(source, ordered, *writer));
    } else {
      GWQ_RETURN_IF_ERROR(ConvertMatrix(source, *blob, rows, cols, heads, *writer));
    }
    blob->DropPages();
    return writer;
  }

 private:
  absl::Status ConvertMatrix(const Source& source, const PinnedBlob& blob, int64_t rows, int64_t cols, int64_t heads,
                             BlobWriter& writer) {
    const std::span<const std::byte> bytes = blob.bytes();
    uint64_t dropped = 0;
    const uint64_t row_bytes = GgmlBytes(source.info->type, cols);
    const auto width = static_cast<size_t>(cols);
    std::vector<float> chunk;
    for (int64_t row = 0; row < rows; ++row) {
      const auto stored = static_cast<uint64_t>(StoredRow(row, rows, heads));
      chunk.resize(chunk.size() + width);
      DequantizeGgml(source.info->type, bytes.subspan(stored * row_bytes, row_bytes), std::span(chunk).last(width));
      if (chunk.size() < kChunkElements && row + 1 < rows) continue;
      GWQ_RETURN_IF_ERROR(Write(source, chunk, writer));
      chunk.clear();
      const uint64_t touched = (row + 1) * row_bytes;
      // Mapped pages count as this process's memory while they are there.
      if (touched - dropped < kDropBytes) continue;
      blob.DropPages();
      dropped = touched;
    }
    return absl::OkStatus();
  }

  absl::Status Write(const Source& source, std::span<const float> values, BlobWriter& writer) {
    halves_.resize(values.size());
    for (size_t i = 0; i < values.size(); ++i) {
      halves_[i] = FloatToHalf(values[i]);
      if ((halves_[i] & 0x7C00U) == 0x7C00U) {
        return InvalidField(fmt::format("tensors[{}]", source.info->name),
                            fmt::format("holds {}, which FP16 (at most 65504) cannot: import the original "
                                        "safetensors instead",
                                        values[i]));
      }
    }
    return writer.Append(std::as_bytes(std::span(halves_)));
  }

  BlobStore& store_;
  const GgufHeader& header_;
  std::vector<uint16_t> halves_;
};

absl::StatusOr<Source> FindSource(const TensorSpec& spec, const Sources& sources) {
  const std::string name = GgufTensorName(spec.name);
  const auto found = sources.find(name);
  if (found == sources.end()) {
    return InvalidField(fmt::format("tensors[{}]", name), fmt::format("missing: the model needs {}", spec.name));
  }
  if (found->second.info->shape != spec.shape) {
    return InvalidField(
        fmt::format("tensors[{}].shape", name),
        fmt::format("{}, the metadata makes it {}", ShapeString(found->second.info->shape), ShapeString(spec.shape)));
  }
  return found->second;
}

absl::StatusOr<std::vector<ManifestTensor>> ConvertTensors(BlobStore& store, const GgufHeader& header,
                                                           const Model& model, const Sources& sources,
                                                           Progress& progress) {
  int64_t total = 0;
  for (const TensorSpec& spec : model.tensors()) {
    GWQ_ASSIGN_OR_RETURN(const Source source, FindSource(spec, sources));
    total += static_cast<int64_t>(source.info->size);
  }
  Converter converter(store, header);
  std::vector<ManifestTensor> tensors;
  tensors.reserve(model.tensors().size());  // the commits write into the elements
  CommitGroup commits;
  int64_t done = 0;
  for (const TensorSpec& spec : model.tensors()) {
    GWQ_RETURN_IF_ERROR(progress.Check());
    GWQ_ASSIGN_OR_RETURN(const Source source, FindSource(spec, sources));
    GWQ_ASSIGN_OR_RETURN(const int64_t count, ElementCount(spec.shape));
    ManifestTensor tensor;
    tensor.name = spec.name;
    tensor.dtype = DTypeName(DType::kF16);
    tensor.shape = spec.shape;
    tensor.size = static_cast<uint64_t>(count) * 2;
    tensor.kind = TensorKindName(spec.kind);
    tensor.part = ModelPartName(spec.part);
    GWQ_ASSIGN_OR_RETURN(std::unique_ptr<BlobWriter> writer, converter.Convert(spec, source));
    tensors.push_back(std::move(tensor));
    commits.Commit(std::move(writer), &tensors.back().digest);
    done += static_cast<int64_t>(source.info->size);
    progress.Step("import", done, total);
  }
  GWQ_RETURN_IF_ERROR(commits.Finish());
  return tensors;
}

void LogUnused(const Model& model, const Sources& sources, Progress& progress) {
  std::set<std::string> used = {std::string(kRopeFactors)};
  for (const TensorSpec& spec : model.tensors()) used.insert(GgufTensorName(spec.name));
  std::vector<std::string> unused;
  for (const auto& [name, source] : sources) {
    if (!used.contains(name)) unused.push_back(name);
  }
  LogUnusedTensors(unused, model.config().architecture, "left out", progress);
}

// Files of the upload stay, except those that are written from the metadata.
absl::Status AddFiles(BlobStore& store, const Manifest& upload, std::map<std::string, std::string> written,
                      Manifest& out) {
  std::map<std::string, ManifestFile> files;
  for (const ManifestFile& file : upload.files) files.emplace(file.path, file);
  for (const auto& [path, text] : written) {
    GWQ_ASSIGN_OR_RETURN(const Digest digest, PutBlob(store, std::as_bytes(std::span(text))));
    files[path] = {path, text.size(), digest};
  }
  for (auto& [path, file] : files) out.files.push_back(std::move(file));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Manifest> ConvertGguf(BlobStore& store, const Manifest& upload, Progress& progress) {
  const ManifestShard& shard = upload.shards.front();
  GWQ_ASSIGN_OR_RETURN(const GgufHeader header, ReadHeader(store, shard));
  Sources sources;
  for (size_t i = 0; i < shard.tensors.size(); ++i) {
    sources.emplace(header.tensors[i].name, Source{&header.tensors[i], &shard.tensors[i]});
  }
  GWQ_ASSIGN_OR_RETURN(const std::vector<float> rope_factors, ReadFactors(store, sources));
  GWQ_ASSIGN_OR_RETURN(const std::string config_json, GgufConfigJson(header, rope_factors));
  GWQ_ASSIGN_OR_RETURN(const ModelConfig config, ParseModelConfig(config_json));
  GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<Model> model, CreateModel(config));
  GWQ_ASSIGN_OR_RETURN(const GgufTokenizer tokenizer, ReadGgufTokenizer(header));
  GWQ_ASSIGN_OR_RETURN(auto files, BuildTokenizerFiles(tokenizer));
  files["config.json"] = config_json;

  Manifest out;
  out.kind = "model";
  out.architecture = config.architecture;
  GWQ_RETURN_IF_ERROR(AddFiles(store, upload, std::move(files), out));
  LogUnused(*model, sources, progress);
  GWQ_ASSIGN_OR_RETURN(std::vector<ManifestTensor> tensors, ConvertTensors(store, header, *model, sources, progress));
  GWQ_ASSIGN_OR_RETURN(ManifestShard single, MakeSingleShard(store, std::move(tensors)));
  out.shards.push_back(std::move(single));
  return out;
}

}  // namespace gwq
