// Ends this process when its parent ends.
#pragma once

#include <functional>

namespace gwq {

// Watches `fd`, the read end of a pipe whose write end only the parent holds, on a separate thread for the life of the
// process. Calls `ended` at end of file.
void WatchLifeline(int fd, std::function<void()> ended);

}  // namespace gwq
