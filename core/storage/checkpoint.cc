#include "core/storage/checkpoint.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <span>

#include "core/base/status.h"
#include "core/io/json.h"

namespace gwq {
namespace {

// Whatever is larger belongs into blobs that the checkpoint names.
constexpr JsonLimits kCheckpointLimits{.max_bytes = size_t{32} << 20};

absl::StatusOr<Checkpoint> Parse(std::string_view text) {
  GWQ_ASSIGN_OR_RETURN(const nlohmann::json json, ParseJson("checkpoint", text, kCheckpointLimits));
  if (!json.is_object() || !json.contains("blobs") || !json["blobs"].is_array() || !json.contains("state")) {
    return InvalidField("checkpoint", "not an object of blobs and a state");
  }
  Checkpoint checkpoint;
  checkpoint.state = CanonicalJson(json["state"]);
  for (const nlohmann::json& blob : json["blobs"]) {
    if (!blob.is_string()) return InvalidField("checkpoint.blobs", "an entry is not a string");
    GWQ_ASSIGN_OR_RETURN(checkpoint.blobs.emplace_back(), Digest::Parse(blob.get<std::string>()));
  }
  return checkpoint;
}

}  // namespace

absl::StatusOr<Digest> StoreCheckpoint(BlobStore& store, const Checkpoint& checkpoint) {
  GWQ_ASSIGN_OR_RETURN(nlohmann::json state, ParseJson("checkpoint.state", checkpoint.state, kCheckpointLimits));
  nlohmann::json blobs = nlohmann::json::array();
  for (const Digest& digest : checkpoint.blobs) blobs.push_back(digest.Hex());
  const std::string json = CanonicalJson({{"blobs", std::move(blobs)}, {"state", std::move(state)}});
  if (json.size() > kCheckpointLimits.max_bytes) {
    return InvalidField("checkpoint", fmt::format("{} bytes, at most {} are taken; put what is large into blobs",
                                                  json.size(), kCheckpointLimits.max_bytes));
  }
  return PutBlob(store, std::as_bytes(std::span(json)));
}

absl::StatusOr<Checkpoint> ReadCheckpoint(BlobStore& store, const Digest& digest) {
  const auto json = ReadBlob(store, digest, kCheckpointLimits.max_bytes);
  if (!json.ok() && !absl::IsNotFound(json.status())) return Annotate(json.status(), "checkpoint");
  auto checkpoint = json.ok() ? Parse(*json) : json.status();
  if (checkpoint.ok()) return checkpoint;
  return absl::DataLossError(fmt::format("checkpoint {}: {}", digest.Hex(), MessageOf(checkpoint.status())));
}

}  // namespace gwq
