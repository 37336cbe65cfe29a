// A model on the client's disk, cut into the blobs an upload consists of.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/library/canceller.h"
#include "client/library/progress_sink.h"
#include "core/base/sha256.h"

namespace gwq::client {

// A byte range of a local file that travels as one blob.
struct LocalBlob {
  std::string path;  // on disk
  uint64_t offset = 0;
  uint64_t size = 0;
  Digest digest;
};

struct LocalTensor {
  std::string tensor;
  LocalBlob blob;
};

struct LocalFile {
  std::string name;  // relative path in the upload
  uint64_t size = 0;
  LocalBlob head;                    // the whole file, or the header where it has cuts
  std::vector<LocalTensor> tensors;  // by offset
};

struct LocalModel {
  std::vector<LocalFile> files;  // by name
  uint64_t total_bytes = 0;
  // SHA-256 over names, sizes and digests: names the upload, so that a second push goes on with it.
  Digest fingerprint;
};

// Scans a Hugging Face directory (config, tokenizer, templates, safetensors with index) or one GGUF file and hashes
// every blob once. Files that no service reads (weights in other formats, images, dot files) are left out.
// INVALID_ARGUMENT if the path holds no model, one of its files is a pipe, socket or device, or a header is
// malformed; NOT_FOUND if one is a link to nothing. Memory is bounded by a header and one read buffer. CANCELLED
// once `canceller`, which may be null, says so.
[[nodiscard]] absl::StatusOr<LocalModel> ScanModel(const std::string& path, ProgressSink& progress,
                                                   const Canceller* canceller = nullptr);

}  // namespace gwq::client
