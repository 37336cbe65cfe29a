#include "client/cli/interrupts.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>

namespace gwq::cli {

Interrupts::Interrupts() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  signals_ = signalfd(-1, &set, SFD_CLOEXEC);
  stop_ = eventfd(0, EFD_CLOEXEC);
  thread_ = std::thread([this] { Wait(); });
}

Interrupts::~Interrupts() {
  eventfd_write(stop_, 1);
  thread_.join();
  close(stop_);
  close(signals_);
}

void Interrupts::Wait() {
  for (int count = 0;;) {
    pollfd events[2] = {{signals_, POLLIN, 0}, {stop_, POLLIN, 0}};
    if (poll(events, 2, -1) < 0) continue;
    if ((events[1].revents & POLLIN) != 0) return;
    signalfd_siginfo info;
    if (read(signals_, &info, sizeof(info)) != sizeof(info)) continue;
    if (++count > 1) _exit(130);
    canceller_.Cancel();
  }
}

}  // namespace gwq::cli
