#include "server/worker/lifeline.h"

#include <unistd.h>

#include <cerrno>
#include <thread>

namespace gwq {

void WatchLifeline(int fd, std::function<void()> ended) {
  std::thread([fd, ended = std::move(ended)] {
    char byte = 0;
    for (;;) {
      const ssize_t got = read(fd, &byte, 1);
      if (got == 0 || (got < 0 && errno != EINTR)) return ended();
    }
  }).detach();
}

}  // namespace gwq
