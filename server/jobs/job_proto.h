// Jobs and catalogue entries on the wire, and the job's read view as an operation.
#pragma once

#include <string>

#include "core/jobs/catalogue.h"
#include "core/jobs/records.h"
#include "google/longrunning/operations_proto.pb.h"
#include "gwq/v1/artifacts.pb.h"
#include "gwq/v1/jobs.pb.h"
#include "gwq/v1/models.pb.h"

namespace gwq {

[[nodiscard]] v1::Model ModelToProto(const CatalogueEntry& entry);
[[nodiscard]] v1::Artifact ArtifactToProto(const CatalogueEntry& entry);
[[nodiscard]] v1::Upload UploadToProto(const Upload& upload);
[[nodiscard]] v1::Job JobToProto(const Job& job);

// Done with a Model or an Artifact as its response, with the job's error, or not done; metadata is always JobMetadata.
[[nodiscard]] google::longrunning::Operation OperationOf(const Job& job);

// What a job's result_json keeps of the entry it published, for the operation's response after the entry is gone.
[[nodiscard]] std::string ResultJson(const CatalogueEntry& entry);

[[nodiscard]] bool IsEnded(JobState state);

}  // namespace gwq
