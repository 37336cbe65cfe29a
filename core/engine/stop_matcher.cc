#include "core/engine/stop_matcher.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/base/status.h"

namespace gwq {
namespace {

constexpr size_t kMaxStops = 16;
constexpr size_t kMaxStopBytes = 256;

}  // namespace

absl::Status CheckStopStrings(const std::vector<std::string>& stops) {
  if (stops.size() > kMaxStops) {
    return InvalidField("stop", fmt::format("{} stop strings, the limit is {}", stops.size(), kMaxStops));
  }
  for (size_t i = 0; i < stops.size(); ++i) {
    const std::string field = fmt::format("stop[{}]", i);
    if (stops[i].empty()) return InvalidField(field, "is empty and would stop at once; leave it out");
    if (stops[i].size() > kMaxStopBytes) {
      return InvalidField(field, fmt::format("has {} bytes, the limit is {}", stops[i].size(), kMaxStopBytes));
    }
  }
  return absl::OkStatus();
}

const std::string* StopMatcher::EndingAt(size_t end) const {
  const std::string_view text = std::string_view(held_).substr(0, end);
  const std::string* longest = nullptr;
  for (const std::string& stop : stops_) {
    if (text.ends_with(stop) && (longest == nullptr || stop.size() > longest->size())) longest = &stop;
  }
  return longest;
}

// Bytes at the end of held_ that are a proper prefix of some stop string, as many as possible.
size_t StopMatcher::HeldBytes() const {
  const std::string_view text(held_);
  size_t held = 0;
  for (const std::string& stop : stops_) {
    for (size_t size = std::min(text.size(), stop.size() - 1); size > held; --size) {
      if (text.ends_with(std::string_view(stop).substr(0, size))) held = size;
    }
  }
  return held;
}

std::string StopMatcher::Push(std::string_view piece) {
  const size_t old_size = held_.size();
  held_.append(piece);
  for (size_t end = old_size + 1; end <= held_.size(); ++end) {
    if (const std::string* stop = EndingAt(end); stop != nullptr) {
      match_ = *stop;
      held_.resize(end - stop->size());
      return std::exchange(held_, {});
    }
  }
  std::string out = held_.substr(0, held_.size() - HeldBytes());
  held_.erase(0, out.size());
  return out;
}

std::string StopMatcher::Flush() { return std::exchange(held_, {}); }

}  // namespace gwq
