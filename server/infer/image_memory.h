// Limits the memory for the encoded images of all waiting and running requests.
#pragma once

#include <fmt/format.h>

#include <atomic>
#include <cstddef>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/status.h"

namespace gwq {

// Thread-safe. The memory that it returns may outlive it.
class ImageMemory {
 public:
  explicit ImageMemory(size_t max_bytes) : max_bytes_(max_bytes) {}

  // The memory counts until the last reference is gone. RESOURCE_EXHAUSTED with a retry delay if others hold too much,
  // and without one if the request exceeds the limit by itself.
  [[nodiscard]] absl::StatusOr<std::shared_ptr<std::vector<float>>> Floats(size_t count) {
    const size_t bytes = count * sizeof(float);
    if (bytes > max_bytes_) {
      return absl::ResourceExhaustedError(
          fmt::format("the images become {} bytes, the limit is {}; send fewer or smaller ones", bytes, max_bytes_));
    }
    if (used_->fetch_add(bytes) + bytes > max_bytes_) {
      used_->fetch_sub(bytes);
      return WithRetryDelay(
          absl::ResourceExhaustedError("images of other requests fill the memory for them; try again"), kRetryMillis);
    }
    return std::shared_ptr<std::vector<float>>(new std::vector<float>(count),
                                               [used = used_, bytes](std::vector<float>* floats) {
                                                 delete floats;
                                                 used->fetch_sub(bytes);
                                               });
  }
  [[nodiscard]] size_t used() const { return used_->load(); }

 private:
  static constexpr int64_t kRetryMillis = 500;
  const size_t max_bytes_;
  const std::shared_ptr<std::atomic<size_t>> used_ = std::make_shared<std::atomic<size_t>>(0);
};

}  // namespace gwq
