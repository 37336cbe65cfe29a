#include "server/infer/image_store.h"

#include <fmt/format.h>

#include <algorithm>

namespace gwq {

absl::StatusOr<Digest> ImageStore::Put(const std::string& principal, std::string file) {
  if (file.size() > max_bytes_) {
    return absl::ResourceExhaustedError(
        fmt::format("the image has {} bytes, all uploaded images together may have {}; send it with the request",
                    file.size(), max_bytes_));
  }
  const Digest digest = Sha256Of(file);
  const std::string hex = digest.Hex();
  MutexLock lock(mutex_);
  Owner& owner = owners_[principal];
  const size_t size = file.size();
  const auto found = std::ranges::find(owner.entries, hex, &Entry::digest);
  if (found != owner.entries.end()) {
    owner.entries.splice(owner.entries.begin(), owner.entries, found);
    return digest;
  }
  owner.bytes += size;
  bytes_ += size;
  owner.entries.push_front({hex, std::make_shared<const std::string>(std::move(file))});
  Shrink();
  // It goes last of its owner's, so it is gone only with its owner.
  if (!owners_.contains(principal)) {
    return absl::ResourceExhaustedError(
        fmt::format("the image has {} bytes, and all uploaded images together may have {}, of which others use {}; "
                    "send it with the request",
                    size, max_bytes_, bytes_));
  }
  return digest;
}

void ImageStore::Shrink() {
  while (bytes_ > max_bytes_) {
    const auto largest = std::ranges::max_element(owners_, {}, [](const auto& owner) { return owner.second.bytes; });
    Owner& owner = largest->second;
    const size_t size = owner.entries.back().file->size();
    owner.bytes -= size;
    bytes_ -= size;
    owner.entries.pop_back();
    if (owner.entries.empty()) owners_.erase(largest);
  }
}

absl::StatusOr<std::shared_ptr<const std::string>> ImageStore::Find(const std::string& principal,
                                                                    const Digest& digest) {
  const std::string hex = digest.Hex();
  MutexLock lock(mutex_);
  if (const auto owner = owners_.find(principal); owner != owners_.end()) {
    auto& entries = owner->second.entries;
    const auto found = std::ranges::find(entries, hex, &Entry::digest);
    if (found != entries.end()) {
      entries.splice(entries.begin(), entries, found);
      return entries.front().file;
    }
  }
  return absl::NotFoundError(fmt::format("no image {} is kept here; upload it again or send its bytes", hex));
}

size_t ImageStore::bytes() const {
  MutexLock lock(mutex_);
  return bytes_;
}

}  // namespace gwq
