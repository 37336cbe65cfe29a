// CpuBackend on every instruction set of this machine, with one thread and with two.
#include "core/backend/cpu/cpu_backend.h"

#include <gtest/gtest.h>

#include "tests/core/backend/backend_suite.h"
#include "tests/core/backend/tiny_decoder.h"

namespace gwq::testing {
namespace {

std::vector<BackendCase> Cases() {
  std::vector<BackendCase> cases;
  for (IsaLevel level : SupportedIsaLevels()) {
    for (int threads : {1, 2}) {
      BackendCase backend;
      backend.name = std::string(IsaLevelName(level)) + "_threads" + std::to_string(threads);
      backend.create = [level, threads] { return CreateCpuBackend({threads, level}); };
      backend.tolerance = 3e-6;
      cases.push_back(backend);
    }
  }
  return cases;
}

INSTANTIATE_TEST_SUITE_P(Cpu, BackendSuite, ::testing::ValuesIn(Cases()), CaseName);

std::vector<float> LogitsOf(const CpuBackendOptions& options, const WeightForm& form) {
  const auto backend = CreateCpuBackend(options).value();
  const TinyDecoder decoder(*backend, form, 31);
  const auto cache = backend->CreateKvCache(TinyDecoder::CacheShape(16)).value();
  std::vector<float> all = decoder.Run(cache.get(), {{0, 0, 70}, {1, 0, 3}});
  const std::vector<float> step = decoder.Run(cache.get(), {{0, 70, 1}, {1, 3, 2}});
  all.insert(all.end(), step.begin(), step.end());
  return all;
}

TEST(CpuBackend, EveryInstructionSetAndNumberOfThreadsGivesTheSameBits) {
  for (const WeightForm& form : AllForms()) {
    const std::vector<float> expected = LogitsOf({1, IsaLevel::kScalar}, form);
    for (IsaLevel level : SupportedIsaLevels()) {
      for (int threads : {1, 2, 3, 7}) {
        EXPECT_EQ(LogitsOf({threads, level}, form), expected)
            << form.name << " " << IsaLevelName(level) << " with " << threads << " threads";
      }
    }
  }
}

TEST(CpuBackend, OptionsOutOfRangeAreRefused) {
  EXPECT_EQ(CreateCpuBackend({0, {}}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(CreateCpuBackend({100000, {}}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(CreateCpuBackend({}).ok());
}

TEST(CpuBackend, ACacheThatCannotBeHadIsAnError) {
  const auto backend = CreateCpuBackend({}).value();
  EXPECT_EQ(backend->CreateKvCache({4096, 4096, 4096, 4096, 1 << 24}).status().code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(backend->CreateKvCache({1, 1, 64, 16, 0}).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(CpuFeatures, LevelsHaveNamesThatParse) {
  for (IsaLevel level : SupportedIsaLevels()) EXPECT_EQ(ParseIsaLevel(IsaLevelName(level)).value(), level);
  EXPECT_FALSE(ParseIsaLevel("sse9").ok());
  EXPECT_EQ(SupportedIsaLevels().front(), IsaLevel::kScalar);
}

}  // namespace
}  // namespace gwq::testing
