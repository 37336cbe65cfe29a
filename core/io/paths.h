// Names of files and folders.
#pragma once

#include <string>

namespace gwq {

// "a/b/c" -> "a/b", "c" -> ".", "/c" -> "/".
[[nodiscard]] std::string ParentFolder(const std::string& path);

// A part of a name that no other call returns, in this or another process on any machine. Thread-safe.
[[nodiscard]] std::string UniqueSuffix();

}  // namespace gwq
