// What code writes to the standard streams of this process.
#pragma once

#include <gtest/gtest.h>

#include <string>

namespace gwq::testing {

struct Printed {
  std::string out, error;
};

template <class Body>
Printed PrintedBy(const Body& body) {
  ::testing::internal::CaptureStdout();
  ::testing::internal::CaptureStderr();
  body();
  std::string error = ::testing::internal::GetCapturedStderr();
  return {::testing::internal::GetCapturedStdout(), std::move(error)};
}

}  // namespace gwq::testing
