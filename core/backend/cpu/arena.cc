#include "core/backend/cpu/arena.h"

#include <algorithm>
#include <utility>

namespace gwq {
namespace {

constexpr uint64_t kKeptBytes = 4 << 20;  // of one buffer: a few rows of logits

}  // namespace

AlignedBuffer<float> Arena::Take(size_t floats) {
  auto best = idle_.end();
  for (auto it = idle_.begin(); it != idle_.end(); ++it) {
    if (it->size() >= floats && (best == idle_.end() || it->size() < best->size())) best = it;
  }
  if (best == idle_.end()) return AlignedBuffer<float>::Allocate(floats);
  AlignedBuffer<float> buffer = std::move(*best);
  idle_.erase(best);
  return buffer;
}

void Arena::Return(AlignedBuffer<float> buffer) {
  if (buffer.data() != nullptr) idle_.push_back(std::move(buffer));
}

void Arena::Trim() {
  std::erase_if(idle_, [](const AlignedBuffer<float>& buffer) { return buffer.bytes() > kKeptBytes; });
  // The largest few serve the next pass; more of them would only add up.
  constexpr size_t kKeptBuffers = 16;
  std::sort(idle_.begin(), idle_.end(), [](const auto& a, const auto& b) { return a.size() > b.size(); });
  if (idle_.size() > kKeptBuffers) idle_.resize(kKeptBuffers);
}

uint64_t Arena::idle_bytes() const {
  uint64_t bytes = 0;
  for (const auto& buffer : idle_) bytes += buffer.bytes();
  return bytes;
}

}  // namespace gwq
