#include "core/manifest/text_files.h"

#include "core/base/status.h"
#include "core/manifest/limits.h"

namespace gwq {

absl::StatusOr<std::map<std::string, std::string>> ReadTextFiles(BlobStore& store, const Manifest& manifest) {
  std::map<std::string, std::string> files;
  for (const ManifestFile& file : manifest.files) {
    const bool text = file.path.ends_with(".json") || file.path.ends_with(".jinja");
    if (!text || file.path.find('/') != std::string::npos || file.path.ends_with(".index.json")) continue;
    GWQ_ASSIGN_OR_RETURN(files[file.path], ReadBlob(store, file.digest, kMaxSmallFileBytes));
  }
  return files;
}

}  // namespace gwq
