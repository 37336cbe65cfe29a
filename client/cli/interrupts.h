// Ctrl-C and SIGTERM as an ordinary event.
#pragma once

#include <thread>

#include "client/library/canceller.h"

namespace gwq::cli {

// Make one in main before any other thread exists: it blocks both signals for the process and waits for them in a
// thread of its own. The first cancels `canceller()`; a second ends the process with status 130.
class Interrupts {
 public:
  Interrupts();
  ~Interrupts();
  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;

  [[nodiscard]] client::Canceller& canceller() { return canceller_; }

 private:
  void Wait();

  client::Canceller canceller_;
  int stop_ = -1;  // eventfd that ends the thread
  int signals_ = -1;
  std::thread thread_;
};

}  // namespace gwq::cli
