#include "client/library/canceller.h"

namespace gwq::client {

void Canceller::Cancel() {
  {
    MutexLock lock(mutex_);
    cancelled_ = true;
    for (grpc::ClientContext* const context : contexts_) context->TryCancel();
  }
  changed_.NotifyAll();
}

bool Canceller::cancelled() const {
  MutexLock lock(mutex_);
  return cancelled_;
}

bool Canceller::WaitFor(std::chrono::milliseconds pause) {
  const auto until = std::chrono::steady_clock::now() + pause;
  MutexLock lock(mutex_);
  while (!cancelled_ && changed_.WaitUntil(mutex_, until)) {
  }
  return cancelled_;
}

Canceller::Attachment::Attachment(Canceller* canceller, grpc::ClientContext& context)
    : canceller_(canceller), context_(context) {
  if (canceller_ == nullptr) return;
  MutexLock lock(canceller_->mutex_);
  canceller_->contexts_.insert(&context);
  if (canceller_->cancelled_) context.TryCancel();
}

Canceller::Attachment::~Attachment() {
  if (canceller_ == nullptr) return;
  MutexLock lock(canceller_->mutex_);
  canceller_->contexts_.erase(&context_);
}

}  // namespace gwq::client
