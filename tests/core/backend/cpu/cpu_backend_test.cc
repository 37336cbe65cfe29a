// CpuBackend on every instruction set of this machine, with one thread and with two.
#include "core/backend/cpu/cpu_backend.h"

#include <gtest/gtest.h>

#include "tests/core/backend/backend_conformance.h"
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

INSTANTIATE_TEST_SUITE_P(Cpu, BackendConformance, ::testing::ValuesIn(Cases()), CaseName);

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

// A block of a tower: layer norm, projections of all three at once, attention within segments, a gated linear.
std::vector<float> TowerOf(const CpuBackendOptions& options, const WeightForm& form) {
  constexpr int64_t kRows = 83, kWidth = 60;
  constexpr AttentionShape kShape = {3, 3, 20, 0.2F};
  std::mt19937 random(32);
  const auto backend = CreateCpuBackend(options).value();
  const TestWeight norm = RandomVector(*backend, kWidth, 1.0, random);
  const TestWeight bias = RandomVector(*backend, kWidth, 0.1, random);
  const TestWeight qkv = RandomWeight(*backend, form, 3 * kWidth, kWidth, random);
  const TestWeight wide = RandomWeight(*backend, form, 90, 2 * kWidth, random);
  const std::vector<float> x = RandomFloats(kRows * kWidth, 1.0, random);
  const std::vector<float> cosines = RandomFloats(kRows * 10, 1.0, random);
  const std::vector<float> sines = RandomFloats(kRows * 10, 1.0, random);
  const std::vector<int64_t> ends = {5, 30, kRows};
  const std::vector<int32_t> order = {82, 3, -1, 7, 44, 45};
  const Batch batch = BatchOfRows(kRows);
  auto pass = backend->Begin(batch, nullptr).value();
  const Activation normed =
      pass->Normalize(pass->Input(x, kWidth), {norm.weight.get(), 1e-6F, NormKind::kLayer, bias.weight.get()});
  const Activation all = pass->Apply(normed, {qkv.weight.get(), nullptr});
  const Activation attended = pass->AttendWithin({&all, nullptr, nullptr}, {kShape, ends, cosines, sines});
  const Activation joined = pass->Regroup(attended, order, 2);
  return ReadAll(*pass, pass->Apply(joined, {wide.weight.get(), nullptr}, Gate::kQuickGelu), 3);
}

TEST(CpuBackend, ATowerGetsTheSameBitsOnEveryInstructionSetAndNumberOfThreads) {
  for (const WeightForm& form : AllForms()) {
    const std::vector<float> expected = TowerOf({1, IsaLevel::kScalar}, form);
    ASSERT_EQ(expected.size(), 3u * 90);
    for (IsaLevel level : SupportedIsaLevels()) {
      for (int threads : {1, 2, 5}) {
        EXPECT_EQ(TowerOf({threads, level}, form), expected)
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
