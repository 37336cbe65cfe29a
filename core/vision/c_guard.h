// Calls into C libraries that report errors by not returning (libjpeg, libpng).
#pragma once

#include <csetjmp>
#include <cstdio>
#include <string>

namespace gwq {

// The library's error handler calls Fail, which ends the call of Run it came from. Nothing between the two may own
// anything: `body` captures by reference and makes no object with a destructor; what it fills belongs to Run's caller.
class CGuard {
 public:
  // False if Fail was called meanwhile; message() tells why.
  template <class Body>
  [[nodiscard]] bool Run(const Body& body) {
    if (setjmp(return_point_) != 0) return false;
    body();
    return true;
  }

  [[noreturn]] void Fail() { std::longjmp(return_point_, 1); }
  [[noreturn]] void Fail(const char* reason) {
    std::snprintf(message_, sizeof message_, "%s", reason);
    Fail();
  }

  [[nodiscard]] std::string message() const { return message_; }
  char* buffer() { return message_; }  // kMessageSize bytes, for a library that formats the message itself
  static constexpr int kMessageSize = 256;

 private:
  std::jmp_buf return_point_;
  char message_[kMessageSize] = {};
};

}  // namespace gwq
