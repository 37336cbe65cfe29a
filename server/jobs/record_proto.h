// Records of the store as the messages of the API.
#pragma once

#include "absl/status/statusor.h"
#include "core/jobs/catalogue.h"
#include "core/jobs/records.h"
#include "google/longrunning/operations.pb.h"
#include "gwq/v1/artifacts.pb.h"
#include "gwq/v1/evaluations.pb.h"
#include "gwq/v1/jobs.pb.h"
#include "gwq/v1/models.pb.h"

namespace gwq {

[[nodiscard]] bool IsLive(JobState state);
// Without a spec where the record has none.
[[nodiscard]] v1::Job JobToProto(const Job& job);
// The same with the texts of its spec that have more than 1 KiB cut, a "…" behind them: for lists, watches and
// operations.
[[nodiscard]] v1::Job JobSummary(Job job);
void CopySpec(const v1::Job& from, v1::Job& to);
[[nodiscard]] v1::Model ModelToProto(const CatalogueEntry& entry);
[[nodiscard]] v1::Artifact ArtifactToProto(const CatalogueEntry& entry);
[[nodiscard]] v1::Dataset DatasetToProto(const CatalogueEntry& entry);
[[nodiscard]] v1::Evaluation EvaluationToProto(const CatalogueEntry& entry);
[[nodiscard]] v1::Upload UploadToProto(const Upload& upload);

// The job's view as an operation: response Model, Artifact, Dataset or Evaluation, or the error; metadata JobMetadata.
[[nodiscard]] google::longrunning::Operation OperationOf(const Job& job);

// What a finished job keeps of what it made, so that its operation still answers after the entry was replaced or
// deleted.
[[nodiscard]] std::string ResultJson(const CatalogueEntry& entry);

}  // namespace gwq
