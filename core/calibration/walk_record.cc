#include "core/calibration/walk_record.h"

#include <fmt/format.h>

#include <memory>
#include <utility>

#include "core/base/status.h"

namespace gwq {

nlohmann::json WalkRecordJson(const WalkRecord& record) {
  nlohmann::json states = nlohmann::json::object();
  for (const auto& [name, digest] : record.states) states[name] = digest.Hex();
  return {{"phase", record.phase}, {"stage", record.stage}, {"loss", record.loss}, {"states", std::move(states)}};
}

absl::StatusOr<WalkRecord> ParseWalkRecord(const nlohmann::json& json) {
  const auto is = [&](const char* key, bool (nlohmann::json::*test)() const noexcept) {
    return json.is_object() && json.contains(key) && (json[key].*test)();
  };
  if (!is("phase", &nlohmann::json::is_string) || !is("stage", &nlohmann::json::is_number_integer) ||
      !is("loss", &nlohmann::json::is_number) || !is("states", &nlohmann::json::is_object)) {
    return absl::DataLossError("a checkpoint's record of its walk is malformed");
  }
  WalkRecord record{json["phase"], json["stage"], json["loss"], {}};
  for (const auto& [name, value] : json["states"].items()) {
    if (!value.is_string()) return absl::DataLossError(fmt::format("a checkpoint's state {} names no blob", name));
    GWQ_ASSIGN_OR_RETURN(record.states[name], Digest::Parse(value.get<std::string>()));
  }
  return record;
}

std::vector<Digest> BlobsOf(const WalkRecord& record) {
  std::vector<Digest> out;
  for (const auto& [name, digest] : record.states) out.push_back(digest);
  return out;
}

absl::StatusOr<Digest> StoreStates(BlobStore& store, const StateStore& states, int stage, size_t samples) {
  GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<BlobWriter> writer, store.BeginUnnamed());
  for (size_t i = 0; i < samples; ++i) {
    std::vector<float> values;
    if (states.Holds(stage, i)) {
      GWQ_ASSIGN_OR_RETURN(values, states.Get(stage, i));
    }
    const uint64_t count = values.size();
    GWQ_RETURN_IF_ERROR(writer->Append(std::as_bytes(std::span(&count, 1))));
    GWQ_RETURN_IF_ERROR(writer->Append(std::as_bytes(std::span(values))));
  }
  return writer->Commit();
}

absl::Status LoadStates(BlobStore& store, const Digest& blob, int stage, size_t samples, StateStore& states) {
  GWQ_ASSIGN_OR_RETURN(const BlobInfo info, store.Stat(blob));
  uint64_t offset = 0;
  for (size_t i = 0; i < samples; ++i) {
    uint64_t count = 0;
    GWQ_RETURN_IF_ERROR(store.Read(blob, offset, std::as_writable_bytes(std::span(&count, 1))));
    offset += sizeof(count);
    if (count > (info.size - offset) / sizeof(float)) {
      return absl::DataLossError(fmt::format("blob {} ends inside the state of sample {}", blob.Hex(), i));
    }
    std::vector<float> values(count);
    GWQ_RETURN_IF_ERROR(store.Read(blob, offset, std::as_writable_bytes(std::span(values))));
    offset += count * sizeof(float);
    if (count > 0) GWQ_RETURN_IF_ERROR(states.Put(stage, i, std::move(values)));
  }
  return absl::OkStatus();
}

}  // namespace gwq
