// Ends the calls that are under way from another thread: Ctrl-C, a caller's own deadline.
#pragma once

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <set>

#include "core/base/mutex.h"

namespace gwq::client {

// Thread-safe. Cancelling is final: a call attached later is cancelled at once.
class Canceller {
 public:
  void Cancel();
  [[nodiscard]] bool cancelled() const;
  // Blocks for `pause`, less where Cancel comes; whether it came.
  bool WaitFor(std::chrono::milliseconds pause);

  // Holds a call open to cancellation for the life of the object; any number at once.
  class Attachment {
   public:
    Attachment(Canceller& canceller, grpc::ClientContext& context) : Attachment(&canceller, context) {}
    // Without a canceller it does nothing.
    Attachment(Canceller* canceller, grpc::ClientContext& context);
    ~Attachment();
    Attachment(const Attachment&) = delete;
    Attachment& operator=(const Attachment&) = delete;

   private:
    Canceller* const canceller_;
    grpc::ClientContext& context_;
  };

 private:
  mutable Mutex mutex_;
  CondVar changed_;
  std::set<grpc::ClientContext*> contexts_ ABSL_GUARDED_BY(mutex_);
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace gwq::client
