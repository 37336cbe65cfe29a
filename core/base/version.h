// The version of the programs, as they print it. CMakeLists.txt has the same number.
#pragma once

namespace gwq {

inline constexpr char kVersion[] = "gwq 0.1.0";

}  // namespace gwq
