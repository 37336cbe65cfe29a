#include "core/base/address.h"

#include <gtest/gtest.h>

#include <string>

#include "core/base/status.h"

namespace gwq {
namespace {

TEST(AddressTest, IsAHostWithAPortOrWhatGrpcResolvesByItself) {
  for (const char* const address : {"localhost:1", "127.0.0.1:7411", "[::1]:7411", "host.example:65535",
                                    "unix:/run/gwq", "dns:///jobs:7411", "dns:jobs"}) {
    EXPECT_TRUE(CheckAddress(address).ok()) << address;
  }
}

TEST(AddressTest, WhatNoCallCouldReachIsRefused) {
  for (const char* const address : {"",
                                    ":",
                                    "localhost",
                                    "localhost:",
                                    ":7411",
                                    "localhost:0",
                                    "localhost:65536",
                                    "localhost:4294967297",
                                    "localhost:port",
                                    "localhost:1x",
                                    "localhost:+80",
                                    "localhost:-1",
                                    "localhost: 80",
                                    "localhost:80\n",
                                    "http://127.0.0.1:7411",
                                    "here/there:1",
                                    "a b:1",
                                    "\xff:1",
                                    "[]:1",
                                    "::1:7411",
                                    "[::1:7411",
                                    "dns:",
                                    "unix:"}) {
    EXPECT_EQ(CheckAddress(address).code(), absl::StatusCode::kInvalidArgument) << address;
  }
  EXPECT_FALSE(CheckAddress(std::string_view("a\0:1", 4)).ok());
}

TEST(AddressTest, TheRefusalTellsTheValueTheLimitAndTheRemedy) {
  EXPECT_EQ(MessageOf(CheckAddress("here\xff:0\n")),
            "'here\\xff:0\\n' is not an address: give HOST:PORT with a port from 1 to 65535, as 127.0.0.1:7411 or "
            "[::1]:7411");
  const std::string long_one(10'000, 'x');
  EXPECT_LT(MessageOf(CheckAddress(long_one)).size(), 300u);
}

}  // namespace
}  // namespace gwq
