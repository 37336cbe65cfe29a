// Ends the call that is under way from another thread: Ctrl-C, a caller's own deadline.
#pragma once

#include <grpcpp/grpcpp.h>

#include "core/base/mutex.h"

namespace gwq::client {

// Thread-safe. Cancelling is final: a call attached later is cancelled at once.
class Canceller {
 public:
  void Cancel();
  [[nodiscard]] bool cancelled() const;

  // Holds a call open to cancellation for the life of the object.
  class Attachment {
   public:
    Attachment(Canceller& canceller, grpc::ClientContext& context);
    ~Attachment();
    Attachment(const Attachment&) = delete;
    Attachment& operator=(const Attachment&) = delete;

   private:
    Canceller& canceller_;
  };

 private:
  mutable Mutex mutex_;
  grpc::ClientContext* context_ ABSL_GUARDED_BY(mutex_) = nullptr;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace gwq::client
