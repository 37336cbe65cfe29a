#include "core/calibration/state_store.h"

#include <fmt/format.h>

#include "core/base/status.h"

namespace gwq {

absl::Status StateStore::Put(int stage, size_t sample, std::vector<float> values) {
  Drop(stage, sample);
  const uint64_t bytes = values.size() * sizeof(float);
  Entry entry;
  entry.count = values.size();
  if (memory_used_ + bytes <= memory_limit_) {
    memory_used_ += bytes;
    entry.values = std::move(values);
  } else {
    if (file_ == nullptr) {
      GWQ_ASSIGN_OR_RETURN(file_, ScratchFile::Create());
    }
    entry.in_file = true;
    entry.offset = TakeRoom(bytes);
    GWQ_RETURN_IF_ERROR(file_->Write(entry.offset, std::as_bytes(std::span(values))));
  }
  entries_.emplace(std::pair(stage, sample), std::move(entry));
  return absl::OkStatus();
}

absl::StatusOr<std::vector<float>> StateStore::Get(int stage, size_t sample) const {
  const auto found = entries_.find({stage, sample});
  if (found == entries_.end()) {
    return absl::InternalError(fmt::format("no state of sample {} before stage {} is held", sample, stage));
  }
  const Entry& entry = found->second;
  if (!entry.in_file) return entry.values;
  std::vector<float> values(entry.count);
  GWQ_RETURN_IF_ERROR(file_->Read(entry.offset, std::as_writable_bytes(std::span(values))));
  return values;
}

void StateStore::Drop(int stage, size_t sample) {
  const auto found = entries_.find({stage, sample});
  if (found == entries_.end()) return;
  const Entry& entry = found->second;
  if (entry.in_file) {
    free_.emplace(entry.count * sizeof(float), entry.offset);
  } else {
    memory_used_ -= entry.count * sizeof(float);
  }
  entries_.erase(found);
}

uint64_t StateStore::TakeRoom(uint64_t bytes) {
  // States of one walk have few sizes, so room of exactly the size is what is found.
  if (const auto found = free_.find(bytes); found != free_.end()) {
    const uint64_t offset = found->second;
    free_.erase(found);
    return offset;
  }
  const uint64_t offset = file_end_;
  file_end_ += bytes;
  return offset;
}

}  // namespace gwq
