// Names of files and folders.
#pragma once

#include <string>

namespace gwq {

// "a/b/c" -> "a/b", "c" -> ".", "/c" -> "/".
[[nodiscard]] std::string ParentFolder(const std::string& path);

// A name part that no other call of this or another process on any machine gives. Thread-safe.
[[nodiscard]] std::string UniqueSuffix();

}  // namespace gwq
