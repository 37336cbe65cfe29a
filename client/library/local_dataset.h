// Questions and images on the client's disk as what an upload consists of.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "client/library/local_model.h"
#include "client/library/progress_sink.h"
#include "core/spec/evaluation_task.h"

namespace gwq::client {

struct LocalDataset {
  LocalModel files;
  EvaluationKind kind = EvaluationKind::kText;  // what its first line, or the file's type, is made for
};

// `path`: a .txt file, or a .jsonl file, whose images are looked for beside it under the paths that the lines name.
// Every line is read and every file hashed. INVALID_ARGUMENT at "line N.key" or naming the file.
[[nodiscard]] absl::StatusOr<LocalDataset> ScanDataset(const std::string& path, ProgressSink& progress);

// One image as a dataset of its own: a calibration names it by `digest`.
struct LocalImage {
  LocalModel files;
  Digest digest;
};
[[nodiscard]] absl::StatusOr<LocalImage> ScanImage(const std::string& path);

}  // namespace gwq::client
