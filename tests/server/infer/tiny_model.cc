#include "tests/server/infer/tiny_model.h"

#include <fmt/format.h>

#include <cstdlib>
#include <span>

#include "core/artifact/import.h"
#include "core/base/status.h"
#include "core/io/file_system.h"
#include "core/manifest/manifest.h"
#include "tests/support/temp_folder.h"
#include "tests/support/upload_builder.h"

namespace gwq::testing {
namespace {

constexpr uint64_t kMaxFile = 64 << 20;

const std::vector<std::string> kVlmFiles = {"config.json", "tokenizer.json", "tokenizer_config.json",
                                            "preprocessor_config.json"};

// Runs a script that writes a model directory and uploads the named files of it and its weights.
absl::StatusOr<Digest> ImportMade(BlobStore& store, const std::string& script, int seed,
                                  const std::vector<std::string>& names, const std::string& options = "") {
  const TempFolder folder;
  const char* source = std::getenv("GWQ_SOURCE_DIR");
  const std::string command = fmt::format("python3 '{}/tests/support/{}' '{}' --seed {} {}",
                                          source == nullptr ? "." : source, script, folder.path(), seed, options);
  if (std::system(command.c_str()) != 0) return absl::InternalError(command + " failed");
  UploadBuilder upload(store);
  for (const std::string& name : names) {
    GWQ_ASSIGN_OR_RETURN(std::string text, ReadSmallFile(LocalFileSystem(), folder / name, kMaxFile));
    constexpr std::string_view kPositions = "\"max_position_embeddings\": 512";
    if (const size_t at = text.find(kPositions); at != std::string::npos) {
      text.replace(at, kPositions.size(), "\"max_position_embeddings\": 8192");
    }
    upload.File(name, text);
  }
  GWQ_ASSIGN_OR_RETURN(const std::string weights,
                       ReadSmallFile(LocalFileSystem(), folder / "model.safetensors", kMaxFile));
  upload.Safetensors("model.safetensors", weights);
  return ImportModel(store, upload.Build(), NoProgress());
}

}  // namespace

absl::StatusOr<Digest> ImportTinyModel(BlobStore& store, int seed) {
  return ImportMade(store, "tiny_model.py", seed, {"config.json", "tokenizer.json", "tokenizer_config.json"});
}

absl::StatusOr<Digest> ImportTinyVlm(BlobStore& store, int seed) {
  return ImportMade(store, "tiny_vlm.py", seed, kVlmFiles);
}

absl::StatusOr<Digest> WithoutFile(BlobStore& store, const Digest& model, std::string_view path) {
  GWQ_ASSIGN_OR_RETURN(const std::string json, ReadBlob(store, model, kMaxFile));
  GWQ_ASSIGN_OR_RETURN(Manifest manifest, ParseManifest(json));
  std::erase_if(manifest.files, [&](const ManifestFile& file) { return file.path == path; });
  const std::string without = ManifestJson(manifest);
  return PutBlob(store, std::as_bytes(std::span(without)));
}

absl::StatusOr<Digest> ImportTinyFamily(BlobStore& store, std::string_view family, int seed) {
  return ImportMade(store, "golden_family.py", seed, kVlmFiles, fmt::format("--family {}", family));
}

}  // namespace gwq::testing
