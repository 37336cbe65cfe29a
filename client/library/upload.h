// gwq models push: manifest, missing blobs, commit.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "client/library/connection.h"
#include "client/library/local_model.h"
#include "client/library/progress_sink.h"
#include "client/library/retry.h"
#include "google/longrunning/operations.pb.h"

namespace gwq::client {

// Attempts are counted for each blob; each goes on where the server's disk ends.
struct UploadOptions : RetryOptions {
  std::string model_id;
  std::string dataset_id;  // in the place of model_id, for a dataset
};

struct UploadSummary {
  uint64_t total_bytes = 0;
  uint64_t sent_bytes = 0;                   // what the server lacked
  google::longrunning::Operation operation;  // of the import
};

// Sends what the server lacks, on a few streams with one part of each in memory, and commits. Calling it again after a
// cut goes on with the same upload. Blocks until the last byte is safe on the server's disk. CANCELLED once the
// connection's canceller says so.
[[nodiscard]] absl::StatusOr<UploadSummary> PushModel(const Connection& jobs, const LocalModel& model,
                                                      const UploadOptions& options, ProgressSink& progress);

}  // namespace gwq::client
