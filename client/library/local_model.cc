#include "client/library/local_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>

#include "core/base/status.h"
#include "core/io/file_system.h"
#include "core/io/gguf.h"
#include "core/io/safetensors.h"

namespace gwq::client {
namespace {

constexpr size_t kReadBytes = 1 << 20;

bool IsModelFile(const std::filesystem::path& path) {
  constexpr std::array<std::string_view, 6> kExtensions = {".json", ".safetensors", ".jinja", ".txt", ".md", ".model"};
  const std::string name = path.filename().string();
  if (name.starts_with(".") || name == "gwq-manifest.json") return false;
  if (name == "LICENSE") return true;
  return std::find(kExtensions.begin(), kExtensions.end(), path.extension().string()) != kExtensions.end();
}

absl::StatusOr<std::vector<std::string>> ModelPaths(const std::string& root) {
  std::error_code error;
  if (!std::filesystem::is_directory(root, error)) {
    GWQ_RETURN_IF_ERROR(LocalFileSystem().Size(root).status());
    if (std::filesystem::path(root).extension() == ".gguf") return std::vector<std::string>{root};
    return absl::InvalidArgumentError(
        fmt::format("{} is a single file and no .gguf; give a Hugging Face directory or a GGUF file", root));
  }
  std::vector<std::string> paths;
  bool weights = false;
  for (std::filesystem::directory_iterator it(root, error), end; !error && it != end; it.increment(error)) {
    // What is neither file nor folder, a link to nothing too, is not left out but refused when its size is asked for.
    std::error_code no_folder;
    if (!IsModelFile(it->path()) || it->is_directory(no_folder)) continue;
    weights = weights || it->path().extension() == ".safetensors";
    paths.push_back(it->path().string());
  }
  if (error) return absl::InvalidArgumentError(fmt::format("{}: {}", root, error.message()));
  if (!weights) {
    return absl::InvalidArgumentError(
        fmt::format("{} holds no .safetensors file; convert other formats with transformers' save_pretrained", root));
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

// Where the blobs of a file lie: its header's size (the whole file where it has no cuts) and the tensors.
struct Layout {
  struct Tensor {
    std::string tensor;
    uint64_t offset, size;
  };
  uint64_t header_size = 0;
  std::vector<Tensor> tensors;
};

absl::StatusOr<Layout> CutSafetensors(const std::string& path, uint64_t size) {
  std::array<std::byte, 8> first{};
  if (size < first.size()) return absl::InvalidArgumentError("has less than 8 bytes: the file is cut");
  GWQ_RETURN_IF_ERROR(LocalFileSystem().Read(path, 0, first));
  GWQ_ASSIGN_OR_RETURN(const uint64_t header_size, SafetensorsHeaderSize(first, size));
  std::vector<std::byte> bytes(header_size);
  GWQ_RETURN_IF_ERROR(LocalFileSystem().Read(path, 0, bytes));
  GWQ_ASSIGN_OR_RETURN(const SafetensorsHeader header, ParseSafetensorsHeader(bytes, size));
  Layout layout{header_size, {}};
  for (const SafetensorsTensor& tensor : header.tensors)
    layout.tensors.push_back({tensor.name, header_size + tensor.offset, tensor.size});
  return layout;
}

absl::StatusOr<Layout> CutGguf(const std::string& path, uint64_t size) {
  // Only the header's pages of the mapping are touched.
  GWQ_ASSIGN_OR_RETURN(const auto mapped, LocalFileSystem().Map(path));
  GWQ_ASSIGN_OR_RETURN(const GgufHeader header, ParseGgufHeader(mapped->bytes(), size));
  Layout layout{header.header_size, {}};
  for (const GgufTensor& tensor : header.tensors)
    layout.tensors.push_back({tensor.name, header.header_size + tensor.offset, tensor.size});
  return layout;
}

class Scanner {
 public:
  Scanner(ProgressSink& progress, const Canceller* canceller)
      : progress_(progress), canceller_(canceller), buffer_(kReadBytes) {}

  absl::StatusOr<LocalModel> Run(const std::string& root) {
    GWQ_ASSIGN_OR_RETURN(const std::vector<std::string> paths, ModelPaths(root));
    for (const std::string& path : paths) {
      GWQ_ASSIGN_OR_RETURN(const uint64_t size, LocalFileSystem().Size(path));
      model_.total_bytes += size;
    }
    Sha256 fingerprint;
    for (const std::string& path : paths) {
      auto file = Scan(path);
      if (!file.ok()) return Annotate(file.status(), path);
      fingerprint.Update(fmt::format("{} {} {}\n", file->name, file->size, file->head.digest.Hex()));
      for (const LocalTensor& piece : file->tensors) fingerprint.Update(piece.blob.digest.Hex());
      model_.files.push_back(*std::move(file));
    }
    // With the padding of a GGUF file, which is no blob.
    progress_.Update("hash", model_.total_bytes, model_.total_bytes, "B");
    progress_.Done();
    model_.fingerprint = fingerprint.Finish();
    return std::move(model_);
  }

 private:
  absl::StatusOr<LocalFile> Scan(const std::string& path) {
    LocalFile file;
    file.name = std::filesystem::path(path).filename().string();
    GWQ_ASSIGN_OR_RETURN(file.size, LocalFileSystem().Size(path));
    Layout layout{file.size, {}};
    if (path.ends_with(".safetensors")) {
      GWQ_ASSIGN_OR_RETURN(layout, CutSafetensors(path, file.size));
    } else if (path.ends_with(".gguf")) {
      GWQ_ASSIGN_OR_RETURN(layout, CutGguf(path, file.size));
    }
    GWQ_ASSIGN_OR_RETURN(file.head, Hash(path, 0, layout.header_size));
    for (const Layout::Tensor& piece : layout.tensors) {
      GWQ_ASSIGN_OR_RETURN(LocalBlob blob, Hash(path, piece.offset, piece.size));
      file.tensors.push_back({piece.tensor, std::move(blob)});
    }
    return file;
  }

  absl::StatusOr<LocalBlob> Hash(const std::string& path, uint64_t offset, uint64_t size) {
    Sha256 hash;
    for (uint64_t done = 0; done < size;) {
      if (canceller_ != nullptr && canceller_->cancelled())
        return absl::CancelledError("interrupted; nothing was sent");
      const std::span<std::byte> part(buffer_.data(),
                                      static_cast<size_t>(std::min<uint64_t>(buffer_.size(), size - done)));
      GWQ_RETURN_IF_ERROR(LocalFileSystem().Read(path, offset + done, part));
      hash.Update(part);
      done += part.size();
      hashed_ += part.size();
      progress_.Update("hash", std::min(hashed_, model_.total_bytes), model_.total_bytes, "B");
    }
    return LocalBlob{path, offset, size, hash.Finish()};
  }

  ProgressSink& progress_;
  const Canceller* const canceller_;
  std::vector<std::byte> buffer_;
  LocalModel model_;
  uint64_t hashed_ = 0;
};

}  // namespace

absl::StatusOr<LocalModel> ScanModel(const std::string& path, ProgressSink& progress, const Canceller* canceller) {
  return Scanner(progress, canceller).Run(path);
}

}  // namespace gwq::client
