// Names that nobody has used or can guess.
#pragma once

#include <string>

namespace gwq {

// 26 characters [a-z2-7] from the kernel's random numbers.
[[nodiscard]] std::string RandomId();

}  // namespace gwq
