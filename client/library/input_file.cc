#include "client/library/input_file.h"

#include "core/io/file_system.h"

namespace gwq::client {

absl::StatusOr<std::string> ReadInputFile(const std::string& path, uint64_t limit) {
  auto text = ReadSmallFile(LocalFileSystem(), path, limit);
  if (absl::IsResourceExhausted(text.status())) return absl::InvalidArgumentError(text.status().message());
  return text;
}

}  // namespace gwq::client
