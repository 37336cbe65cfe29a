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

void SetTime(int64_t wall_millis, google::protobuf::Timestamp& out);
[[nodiscard]] bool IsLive(JobState state);
// With the spec as the record has it: long texts are cut (core/jobs/spec_texts.h). Without one if this version cannot
// read it.
[[nodiscard]] v1::Job JobToProto(const Job& job);
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
