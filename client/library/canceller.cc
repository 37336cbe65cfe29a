#include "client/library/canceller.h"

namespace gwq::client {

void Canceller::Cancel() {
  MutexLock lock(mutex_);
  cancelled_ = true;
  if (context_ != nullptr) context_->TryCancel();
}

bool Canceller::cancelled() const {
  MutexLock lock(mutex_);
  return cancelled_;
}

Canceller::Attachment::Attachment(Canceller& canceller, grpc::ClientContext& context) : canceller_(canceller) {
  MutexLock lock(canceller_.mutex_);
  canceller_.context_ = &context;
  if (canceller_.cancelled_) context.TryCancel();
}

Canceller::Attachment::~Attachment() {
  MutexLock lock(canceller_.mutex_);
  canceller_.context_ = nullptr;
}

}  // namespace gwq::client
