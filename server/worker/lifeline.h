// Ends this process when its parent goes: the parent holds the other end of a pipe and never writes.
#pragma once

namespace gwq {

// Waits in a detached thread for the end of file on `descriptor`, then leaves at once with _exit: a worker may be
// killed at any time, so there is nothing to tidy up. A negative descriptor does nothing.
void ExitAtEndOf(int descriptor);

}  // namespace gwq
