// Exports an artifact of a local store without a service, for the check with other programs' loaders.
//
//   export_local STORE DIGEST OUT FORMAT [OUTLIERS] [GGUF_TYPE] [WIDTHS]
//
//   STORE     folder of the blob store that quantize_local made
//   DIGEST    of the artifact: what it wrote to artifact.digest
//   OUT       gets the files of the export
//   FORMAT, OUTLIERS, GGUF_TYPE, WIDTHS   as core/spec/export_options.h names them; "" for none
#include <cstdio>
#include <iostream>

#include "core/base/clock.h"
#include "core/base/status.h"
#include "core/export/export.h"
#include "core/io/file_system.h"
#include "core/manifest/limits.h"
#include "core/storage/local_blob_store.h"
#include "tests/tools/model_folder.h"

namespace gwq {
namespace {

class Lines final : public Progress {
 public:
  void Step(std::string_view, int64_t, int64_t) override {}
  void Log(std::string_view line) override { std::fprintf(stderr, "%s\n", std::string(line).c_str()); }
  absl::Status Check() override { return absl::OkStatus(); }
};

absl::Status Run(const std::string& store_path, const std::string& digest, const std::string& out,
                 const ExportOptions& options) {
  Lines progress;
  GWQ_ASSIGN_OR_RETURN(const auto store, OpenLocalBlobStore(LocalFileSystem(), store_path, SystemClock()));
  GWQ_ASSIGN_OR_RETURN(const Digest artifact, Digest::Parse(digest));
  GWQ_ASSIGN_OR_RETURN(const ExportResult result, ExportArtifact(*store, artifact, options, progress));
  GWQ_ASSIGN_OR_RETURN(const std::string json, ReadBlob(*store, result.model, kMaxManifestBytes));
  GWQ_ASSIGN_OR_RETURN(const Manifest manifest, ParseManifest(json));
  return WriteModelFolder(*store, manifest, out);
}

absl::Status RunFromNames(int argc, char** argv) {
  GWQ_ASSIGN_OR_RETURN(const ExportOptions options, ParseExportOptions({.format = argv[4],
                                                                        .outliers = argc > 5 ? argv[5] : "",
                                                                        .gguf_type = argc > 6 ? argv[6] : "",
                                                                        .widths = argc > 7 ? argv[7] : ""}));
  return Run(argv[1], argv[2], argv[3], options);
}

}  // namespace
}  // namespace gwq

int main(int argc, char** argv) {
  if (argc < 5 || argc > 8) {
    std::cerr << "usage: export_local STORE DIGEST OUT FORMAT [OUTLIERS] [GGUF_TYPE] [WIDTHS]\n";
    return 2;
  }
  const absl::Status status = gwq::RunFromNames(argc, argv);
  if (!status.ok()) std::cerr << "export_local: " << gwq::MessageOf(status) << "\n";
  return status.ok() ? 0 : 1;
}
