#include "server/infer/settings.h"

#include <gtest/gtest.h>

#include "core/base/status.h"

namespace gwq {
namespace {

TEST(InferSettings, NamesAreSplitAtCommas) {
  EXPECT_EQ(SplitNames(""), std::vector<std::string>());
  EXPECT_EQ(SplitNames("a"), (std::vector<std::string>{"a"}));
  EXPECT_EQ(SplitNames("models/a, artifacts/b,,"), (std::vector<std::string>{"models/a", "artifacts/b"}));
}

TEST(InferSettings, WhatDoesNotFitTogetherIsNamed) {
  const auto field = [](const InferSettings& settings) {
    const auto violations = FieldViolations(CheckInferSettings(settings));
    return violations.empty() ? std::string() : violations[0].field;
  };
  InferSettings settings;
  EXPECT_EQ(field(settings), "jobs");
  for (const char* const address : {"here", "here:", ":7411", "here:port", "here:0", "here:65536", "here:1x"}) {
    settings.jobs = address;
    EXPECT_EQ(field(settings), "jobs") << address;
  }
  for (const char* const address : {"127.0.0.1:1", "jobs.example:7411", "[::1]:7411", "unix:/run/gwq", "dns:///a:1"}) {
    settings.jobs = address;
    EXPECT_EQ(field(settings), "") << address;
  }
  settings.isa = "mmx";
  EXPECT_EQ(field(settings), "isa");
  settings.isa = "scalar";
  EXPECT_EQ(field(settings), "");
  settings.max_running = 256;
  EXPECT_EQ(field(settings), "step-tokens");
}

}  // namespace
}  // namespace gwq
