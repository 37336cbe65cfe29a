// What config.json says of rotary positions: which field wins, and what is refused.
#include "core/models/rope.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "core/base/status.h"
#include "tests/support/status_matchers.h"

namespace gwq {
namespace {

using nlohmann::json;
using testing::FailsAt;
using testing::HasCode;
using ::testing::HasSubstr;

constexpr int64_t kHeadDim = 8;
constexpr int64_t kPositions = 2048;

Rope Read(const json& fields) {
  ConfigReader config(fields, "config");
  Rope rope = ReadRope(config, kHeadDim, kPositions);
  EXPECT_TRUE(config.status().ok()) << config.status();
  return rope;
}

absl::Status Refusal(const json& fields) {
  ConfigReader config(fields, "config");
  (void)ReadRope(config, kHeadDim, kPositions);
  return config.status();
}

// Of the last pair, which turns slowest; base^(-6/8) for heads of 8.
float Slowest(const json& fields) { return Read(fields).inverse_frequencies.back(); }
float SlowestOf(float theta) { return std::pow(theta, -0.75F); }

TEST(Rope, TheBaseInsideTheParametersGoesBeforeTheOneOutside) {
  EXPECT_FLOAT_EQ(Slowest(json::object()), SlowestOf(10000));
  EXPECT_FLOAT_EQ(Slowest({{"rope_theta", 100}}), SlowestOf(100));
  EXPECT_FLOAT_EQ(Slowest({{"rope_theta", 100}, {"rope_parameters", {{"rope_theta", 500}}}}), SlowestOf(500));
  EXPECT_FLOAT_EQ(Slowest({{"rope_theta", 100}, {"rope_parameters", {{"rope_theta", nullptr}}}}), SlowestOf(100));
}

TEST(Rope, ParametersOfVersion5GoBeforeAScalingOfVersion4) {
  const json scaling = {{"type", "linear"}, {"factor", 4}};
  EXPECT_FLOAT_EQ(Slowest({{"rope_scaling", scaling}}), SlowestOf(10000) / 4);
  EXPECT_FLOAT_EQ(Slowest({{"rope_scaling", scaling}, {"rope_parameters", nullptr}}), SlowestOf(10000) / 4);
  EXPECT_FLOAT_EQ(Slowest({{"rope_scaling", scaling}, {"rope_parameters", json::object()}}), SlowestOf(10000));
  // Of two names of the type in one object the newer one counts.
  EXPECT_FLOAT_EQ(Slowest({{"rope_scaling", {{"type", "yarn"}, {"rope_type", "default"}}}}), SlowestOf(10000));
}

TEST(Rope, AFactorOfOneChangesNothing) {
  const auto plain = Read(json::object()).inverse_frequencies;
  for (const char* type : {"linear", "yarn"}) {
    const Rope rope = Read({{"rope_scaling", {{"rope_type", type}, {"factor", 1}}}});
    // Tolerance: yarn blends two equal frequencies, which rounds.
    EXPECT_THAT(rope.inverse_frequencies, ::testing::Pointwise(::testing::FloatEq(), plain)) << type;
    EXPECT_EQ(rope.attention_factor, 1) << type;
  }
}

TEST(Rope, AYarnWhoseRampHasNoLengthStaysFinite) {
  for (const json& odd : {json{{"beta_fast", 4}, {"beta_slow", 4}}, json{{"original_max_position_embeddings", 1}},
                          json{{"beta_fast", 1e6}, {"beta_slow", 1e-6}, {"truncate", false}}, json{{"factor", 1e6}}}) {
    json scaling = {{"rope_type", "yarn"}, {"factor", 4}};
    scaling.update(odd);
    for (const float frequency : Read({{"rope_scaling", scaling}}).inverse_frequencies) {
      EXPECT_TRUE(frequency > 0 && frequency <= 1) << odd;
    }
  }
}

struct Bad {
  const char* field;  // behind "config.rope_scaling."
  json scaling;
};

TEST(Rope, AScalingThatMakesNoSenseIsRefusedByName) {
  const Bad bad[] = {
      {"rope_type", {{"rope_type", 7}}},
      {"rope_theta", {{"rope_theta", 1}}},
      {"factor", {{"rope_type", "linear"}, {"factor", 0.5}}},
      {"factor", {{"rope_type", "linear"}, {"factor", "2"}}},
      {"factor", {{"rope_type", "linear"}, {"factor", 2e6}}},
      {"factor", {{"rope_type", "llama3"}, {"low_freq_factor", 1}, {"high_freq_factor", 4}}},
      {"low_freq_factor", {{"rope_type", "llama3"}, {"factor", 8}, {"high_freq_factor", 4}}},
      {"high_freq_factor", {{"rope_type", "llama3"}, {"factor", 8}, {"low_freq_factor", 4}, {"high_freq_factor", 4}}},
      {"factor", {{"rope_type", "yarn"}, {"factor", 0.5}}},
      {"original_max_position_embeddings", {{"rope_type", "yarn"}, {"original_max_position_embeddings", 0}}},
      {"beta_fast", {{"rope_type", "yarn"}, {"beta_fast", 0}}},
      {"truncate", {{"rope_type", "yarn"}, {"truncate", 1}}},
      {"attention_factor", {{"rope_type", "yarn"}, {"attention_factor", 0}}},
      {"mrope_section", {{"mrope_section", {2, 2}}}},
      {"mrope_section", {{"mrope_section", {1, 1, 1}}}},
      {"mrope_section", {{"mrope_section", {-1, 2, 3}}}},
      {"mrope_section", {{"mrope_section", {1 << 30, 1 << 30, 1 << 30, 1 << 30}}}},
      {"partial_rotary_factor", {{"partial_rotary_factor", 1.5}}}};
  for (const auto& [field, scaling] : bad) {
    EXPECT_THAT(Refusal({{"rope_scaling", scaling}}), FailsAt(std::string("config.rope_scaling.") + field)) << scaling;
  }
  for (const json& theta : {json(1), json(-5), json(2e12), json("10000")}) {
    EXPECT_THAT(Refusal({{"rope_theta", theta}}), FailsAt("config.rope_theta")) << theta;
  }
  EXPECT_THAT(Refusal({{"rope_parameters", json::array()}}), FailsAt("config.rope_parameters"));
}

TEST(Rope, AnAxisPerSectionNeedsItsSections) {
  const absl::Status missing = Refusal({{"rope_scaling", {{"type", "mrope"}}}});
  EXPECT_THAT(missing, HasCode(absl::StatusCode::kUnimplemented));
  EXPECT_THAT(std::string(MessageOf(missing)), HasSubstr("'mrope' is not supported"));
  const json whole = {{"type", "mrope"}, {"mrope_section", {2, 0, 2}}};
  EXPECT_THAT(Read({{"rope_scaling", whole}}).sections, ::testing::ElementsAre(2, 0, 2));
}

}  // namespace
}  // namespace gwq
