#include "core/calibration/walk_record.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <string_view>
#include <utility>

#include "core/base/status.h"
#include "core/storage/checkpoint.h"

namespace gwq {

namespace {

// More stages than any model has.
constexpr int64_t kMaxStages = 1'000'000;

bool IsPhase(std::string_view phase) { return phase == "forward" || phase == "backward" || phase == "blocks"; }

// "in.7" and the like, or one of the names without a number.
bool IsStateName(std::string_view name) {
  if (name == "gradient" || name == "images" || name == "quantized" || name == "full") return true;
  constexpr std::string_view kInput = "in.";
  const std::string_view digits = name.substr(name.starts_with(kInput) ? kInput.size() : name.size());
  return !digits.empty() && digits.size() <= 6 &&
         std::ranges::all_of(digits, [](char digit) { return digit >= '0' && digit <= '9'; });
}

absl::StatusOr<int> ParseStage(const nlohmann::json& stage) {
  // Beyond the signed range get<int64_t> wraps.
  const bool fits = !stage.is_number_unsigned() || stage.get<uint64_t>() <= static_cast<uint64_t>(kMaxStages);
  const int64_t value = stage.get<int64_t>();
  if (!fits || value < -1 || value > kMaxStages) {
    return absl::DataLossError(fmt::format("a checkpoint's walk stands at stage {}, which no model has", stage.dump()));
  }
  return static_cast<int>(value);
}

absl::StatusOr<Digest> ParseState(const std::string& name, const nlohmann::json& value) {
  if (!IsStateName(name)) return absl::DataLossError(fmt::format("a checkpoint has an unknown state '{}'", name));
  if (value.is_string()) {
    if (auto digest = Digest::Parse(value.get<std::string>()); digest.ok()) return *digest;
  }
  return absl::DataLossError(fmt::format("a checkpoint's state '{}' names no blob", name));
}

absl::Status EndsInside(const Digest& blob, size_t sample) {
  return absl::DataLossError(fmt::format("blob {} ends inside the state of sample {}", blob.Hex(), sample));
}

}  // namespace

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
  WalkRecord record{json["phase"], 0, json["loss"], {}};
  if (!IsPhase(record.phase)) {
    return absl::DataLossError(fmt::format("a checkpoint's walk is in an unknown phase '{}'", record.phase));
  }
  GWQ_ASSIGN_OR_RETURN(record.stage, ParseStage(json["stage"]));
  for (const auto& [name, value] : json["states"].items()) {
    GWQ_ASSIGN_OR_RETURN(record.states[name], ParseState(name, value));
  }
  return record;
}

std::vector<Digest> BlobsOf(const WalkRecord& record) {
  std::vector<Digest> out;
  for (const auto& [name, digest] : record.states) out.push_back(digest);
  return out;
}

absl::StatusOr<Digest> StoreStates(BlobStore& store, const StateStore& states, int stage, size_t samples,
                                   Progress& progress) {
  GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<BlobWriter> writer, BeginScratch(store));
  for (size_t i = 0; i < samples; ++i) {
    GWQ_RETURN_IF_ERROR(progress.Check());
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

absl::Status LoadStates(BlobStore& store, const Digest& blob, int stage, size_t samples, StateStore& states,
                        Progress& progress) {
  GWQ_ASSIGN_OR_RETURN(const BlobInfo info, store.Stat(blob));
  uint64_t offset = kScratchHeaderBytes;
  if (info.size < offset) return EndsInside(blob, 0);
  for (size_t i = 0; i < samples; ++i) {
    GWQ_RETURN_IF_ERROR(progress.Check());
    uint64_t count = 0;
    if (info.size - offset < sizeof(count)) return EndsInside(blob, i);
    GWQ_RETURN_IF_ERROR(store.Read(blob, offset, std::as_writable_bytes(std::span(&count, 1))));
    offset += sizeof(count);
    if (count > (info.size - offset) / sizeof(float)) return EndsInside(blob, i);
    std::vector<float> values(count);
    GWQ_RETURN_IF_ERROR(store.Read(blob, offset, std::as_writable_bytes(std::span(values))));
    offset += count * sizeof(float);
    if (count > 0) GWQ_RETURN_IF_ERROR(states.Put(stage, i, std::move(values)));
  }
  if (offset == info.size) return absl::OkStatus();
  return absl::DataLossError(
      fmt::format("blob {} holds {} bytes behind the states of {} samples", blob.Hex(), info.size - offset, samples));
}

absl::StatusOr<Digest> StoreTokens(BlobStore& store, const SampleSet& samples) {
  GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<BlobWriter> writer, BeginScratch(store));
  for (const CalibrationSample& sample : samples) {
    const uint64_t count = sample.tokens.size();
    GWQ_RETURN_IF_ERROR(writer->Append(std::as_bytes(std::span(&count, 1))));
    GWQ_RETURN_IF_ERROR(writer->Append(std::as_bytes(std::span(sample.tokens))));
  }
  return writer->Commit();
}

absl::StatusOr<SampleSet> LoadTokens(BlobStore& store, const Digest& blob) {
  GWQ_ASSIGN_OR_RETURN(const BlobInfo info, store.Stat(blob));
  SampleSet samples;
  uint64_t offset = kScratchHeaderBytes, count = 0;
  if (info.size < offset) return absl::DataLossError(fmt::format("blob {} ends before a sample", blob.Hex()));
  while (offset < info.size) {
    const uint64_t left = info.size - offset;
    if (left < sizeof(count)) return absl::DataLossError(fmt::format("blob {} ends inside a sample", blob.Hex()));
    GWQ_RETURN_IF_ERROR(store.Read(blob, offset, std::as_writable_bytes(std::span(&count, 1))));
    if (count > (left - sizeof(count)) / sizeof(int32_t)) {
      return absl::DataLossError(fmt::format("blob {} ends inside a sample", blob.Hex()));
    }
    std::vector<int32_t>& tokens = samples.emplace_back().tokens;
    tokens.resize(count);
    GWQ_RETURN_IF_ERROR(store.Read(blob, offset + sizeof(count), std::as_writable_bytes(std::span(tokens))));
    offset += sizeof(count) + count * sizeof(int32_t);
  }
  return samples;
}

}  // namespace gwq
