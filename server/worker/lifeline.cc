#include "server/worker/lifeline.h"

#include <unistd.h>

#include <cerrno>
#include <thread>

namespace gwq {

void ExitAtEndOf(int descriptor) {
  if (descriptor < 0) return;
  std::thread([descriptor] {
    char byte;
    for (;;) {
      const ssize_t got = read(descriptor, &byte, 1);
      if (got == 0 || (got < 0 && errno != EINTR)) _exit(0);
    }
  }).detach();
}

}  // namespace gwq
