// The end of the parent ends this process.
#pragma once

#include <functional>

namespace gwq {

// Watches `fd`, the read end of a pipe whose write end only the parent holds, on a thread of its own for the life of
// the process; calls `ended` at its end of file.
void WatchLifeline(int fd, std::function<void()> ended);

}  // namespace gwq
