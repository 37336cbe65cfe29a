// How far a walk came: what the next attempt of a job needs to go on with it.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/progress.h"
#include "core/base/sha256.h"
#include "core/calibration/sample_set.h"
#include "core/calibration/state_store.h"
#include "core/storage/blob_store.h"

namespace gwq {

struct WalkRecord {
  std::string phase;  // "forward", "backward" or "blocks"
  int stage = 0;      // the next one of that phase; on the way back -1 if none is left
  double loss = 0;    // in phase "backward"
  // Blobs of states: "in.7" is what stage 7 reads, "gradient" what the next stage goes back from, "images" the rows of
  // the images; in phase "blocks", "quantized" and "full" are what the next stage reads of either stream.
  std::map<std::string, Digest> states;
};

[[nodiscard]] nlohmann::json WalkRecordJson(const WalkRecord& record);
// DATA_LOSS if it is none, or holds what no walk writes.
[[nodiscard]] absl::StatusOr<WalkRecord> ParseWalkRecord(const nlohmann::json& json);
// Every blob that the record names.
[[nodiscard]] std::vector<Digest> BlobsOf(const WalkRecord& record);

// One vector of floats per sample, as a scratch blob (core/storage/checkpoint.h): behind its header, for each a
// little-endian u64 count and its values. Reads and writes a sample at a time, and looks for
// a cancel before each.
[[nodiscard]] absl::StatusOr<Digest> StoreStates(BlobStore& store, const StateStore& states, int stage, size_t samples,
                                                 Progress& progress);
// DATA_LOSS if the blob does not hold exactly `samples` states.
[[nodiscard]] absl::Status LoadStates(BlobStore& store, const Digest& blob, int stage, size_t samples,
                                      StateStore& states, Progress& progress);

// The tokens of every sample, as a scratch blob: behind its header, for each a little-endian u64 count and its int32
// ids.
[[nodiscard]] absl::StatusOr<Digest> StoreTokens(BlobStore& store, const SampleSet& samples);
// DATA_LOSS if StoreTokens has not written the blob.
[[nodiscard]] absl::StatusOr<SampleSet> LoadTokens(BlobStore& store, const Digest& blob);

}  // namespace gwq
