#include <utility>

#include "core/backend/backend.h"

namespace gwq {

Activation::Activation(Activation&& other) noexcept
    : pass_(std::exchange(other.pass_, nullptr)), slot_(other.slot_), width_(other.width_) {}

Activation& Activation::operator=(Activation&& other) noexcept {
  if (this == &other) return *this;
  if (pass_ != nullptr) pass_->Release(slot_);
  pass_ = std::exchange(other.pass_, nullptr);
  slot_ = other.slot_;
  width_ = other.width_;
  return *this;
}

Activation::~Activation() {
  if (pass_ != nullptr) pass_->Release(slot_);
}

}  // namespace gwq
