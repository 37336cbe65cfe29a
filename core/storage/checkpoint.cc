#include "core/storage/checkpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <span>

#include "core/base/random_id.h"
#include "core/base/status.h"
#include "core/io/json.h"

namespace gwq {
namespace {

// Whatever is larger belongs into blobs that the checkpoint names.
constexpr JsonLimits kCheckpointLimits{.max_bytes = size_t{32} << 20};

constexpr std::string_view kScratchMagic = "gwq scratch\n";

bool IsScratch(BlobStore& store, const Digest& digest) {
  std::string begin(kScratchMagic.size(), '\0');
  return store.Read(digest, 0, std::as_writable_bytes(std::span(begin))).ok() && begin == kScratchMagic;
}

absl::StatusOr<std::vector<Digest>> ParseDigests(std::string_view field, const nlohmann::json& list) {
  if (!list.is_array()) return InvalidField(field, "not a list");
  std::vector<Digest> digests;
  for (const nlohmann::json& blob : list) {
    if (!blob.is_string()) return InvalidField(field, "an entry is not a string");
    GWQ_ASSIGN_OR_RETURN(digests.emplace_back(), Digest::Parse(blob.get<std::string>()));
  }
  return digests;
}

absl::StatusOr<Checkpoint> Parse(std::string_view text) {
  GWQ_ASSIGN_OR_RETURN(const nlohmann::json json, ParseJson("checkpoint", text, kCheckpointLimits));
  if (!json.is_object() || !json.contains("blobs") || !json["blobs"].is_array() || !json.contains("state")) {
    return InvalidField("checkpoint", "not an object of blobs and a state");
  }
  Checkpoint checkpoint;
  checkpoint.state = CanonicalJson(json["state"]);
  GWQ_ASSIGN_OR_RETURN(checkpoint.blobs, ParseDigests("checkpoint.blobs", json["blobs"]));
  if (json.contains("scratch")) {
    GWQ_ASSIGN_OR_RETURN(checkpoint.scratch, ParseDigests("checkpoint.scratch", json["scratch"]));
  }
  return checkpoint;
}

nlohmann::json DigestsJson(const std::vector<Digest>& digests) {
  nlohmann::json out = nlohmann::json::array();
  for (const Digest& digest : digests) out.push_back(digest.Hex());
  return out;
}

}  // namespace

absl::StatusOr<std::unique_ptr<BlobWriter>> BeginScratch(BlobStore& store) {
  GWQ_ASSIGN_OR_RETURN(std::unique_ptr<BlobWriter> writer, store.BeginUnnamed());
  const std::string header = std::string(kScratchMagic) + RandomId();
  GWQ_RETURN_IF_ERROR(writer->Append(std::as_bytes(std::span(header))));
  return writer;
}

void RemoveScratch(BlobStore& store, const Digest& digest, const std::vector<Digest>& kept) {
  const auto checkpoint = ReadCheckpoint(store, digest);
  // Without scratch another job's checkpoint may be this very blob.
  if (!checkpoint.ok() || checkpoint->scratch.empty()) return;
  for (const Digest& blob : checkpoint->scratch) {
    if (std::ranges::find(kept, blob) == kept.end() && IsScratch(store, blob)) store.Remove(blob).IgnoreError();
  }
  store.Remove(digest).IgnoreError();
}

absl::StatusOr<Digest> StoreCheckpoint(BlobStore& store, const Checkpoint& checkpoint) {
  GWQ_ASSIGN_OR_RETURN(nlohmann::json state, ParseJson("checkpoint.state", checkpoint.state, kCheckpointLimits));
  nlohmann::json object = {{"blobs", DigestsJson(checkpoint.blobs)}, {"state", std::move(state)}};
  if (!checkpoint.scratch.empty()) object["scratch"] = DigestsJson(checkpoint.scratch);
  const std::string json = CanonicalJson(object);
  if (json.size() > kCheckpointLimits.max_bytes) {
    return InvalidField("checkpoint", fmt::format("{} bytes, at most {} are taken; put what is large into blobs",
                                                  json.size(), kCheckpointLimits.max_bytes));
  }
  return PutBlob(store, std::as_bytes(std::span(json)));
}

absl::StatusOr<Checkpoint> ReadCheckpoint(BlobStore& store, const Digest& digest) {
  const auto json = ReadBlob(store, digest, kCheckpointLimits.max_bytes);
  if (!json.ok() && !absl::IsNotFound(json.status())) return Annotate(json.status(), "checkpoint");
  if (json.ok() && Sha256Of(*json) != digest) {
    return absl::DataLossError(fmt::format("checkpoint {} is damaged: its bytes have another SHA-256", digest.Hex()));
  }
  auto checkpoint = json.ok() ? Parse(*json) : json.status();
  if (checkpoint.ok()) return checkpoint;
  return absl::DataLossError(fmt::format("checkpoint {}: {}", digest.Hex(), MessageOf(checkpoint.status())));
}

}  // namespace gwq
