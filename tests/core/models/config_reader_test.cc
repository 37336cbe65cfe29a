#include "core/models/config_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/base/status.h"
#include "tests/support/status_matchers.h"

namespace gwq {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using testing::FailsAt;
using ::testing::IsEmpty;

TEST(ConfigReader, ANullFieldIsMissing) {
  const json object = {{"none", nullptr}};
  ConfigReader reader(object, "config");
  EXPECT_FALSE(reader.Has("none"));
  EXPECT_EQ(reader.IntOr("none", 7, 0, 9), 7);
  EXPECT_EQ(reader.StringOr("none", "text"), "text");
  EXPECT_TRUE(reader.BoolOr("none", true));
  EXPECT_THAT(reader.Ints("none", 0, 9), IsEmpty());
  EXPECT_THAT(reader.Strings("none"), IsEmpty());
  EXPECT_FALSE(reader.Object("none").has_value());
  EXPECT_TRUE(reader.status().ok()) << reader.status();
}

TEST(ConfigReader, TheFirstErrorIsKeptWithValueAndLimits) {
  const json object = {{"a", 12}, {"b", "x"}};
  ConfigReader reader(object, "config.part");
  EXPECT_EQ(reader.Int("a", 1, 9), 1) << "a value within the limits, so that what is made of it is harmless";
  EXPECT_FALSE(reader.BoolOr("b", false));
  reader.Unsupported("c", "later");
  EXPECT_THAT(reader.status(), FailsAt("config.part.a"));
  EXPECT_EQ(MessageOf(reader.status()), "config.part.a: is 12, must be from 1 to 9");
}

TEST(ConfigReader, ALongValueIsCutInTheError) {
  const json object = {{"a", std::string(100'000, 'x')}};
  ConfigReader reader(object, "config");
  (void)reader.Int("a", 0, 9);
  EXPECT_LT(MessageOf(reader.status()).size(), 120u);
}

TEST(ConfigReader, NumbersKeepTheirLimitsAtBothEnds) {
  const json object = {{"low", INT64_MIN}, {"high", UINT64_MAX}, {"half", 0.5}, {"list", {1, 2, 10}}};
  EXPECT_EQ(ConfigReader(object, "c").Int("low", INT64_MIN, 0), INT64_MIN);
  EXPECT_EQ(ConfigReader(object, "c").Number("half", 0.5, 0.5), 0.5);
  ConfigReader high(object, "c"), below(object, "c"), list(object, "c");
  EXPECT_EQ(high.Int("high", -5, INT64_MAX), -5) << "it would be -1 as a signed number";
  EXPECT_THAT(high.status(), FailsAt("c.high"));
  (void)below.Number("half", 0.6, 1);
  EXPECT_THAT(below.status(), FailsAt("c.half"));
  EXPECT_THAT(list.Ints("list", 0, 9), ElementsAre(1, 2, 0));
  EXPECT_THAT(list.status(), FailsAt("c.list"));
}

TEST(ConfigReader, AnObjectInsideKeepsItsOwnErrors) {
  const json object = {{"inner", {{"a", 3}}}, {"text", "x"}};
  ConfigReader reader(object, "config");
  EXPECT_TRUE(reader.HasNestedObject());
  auto inner = reader.Object("inner");
  ASSERT_TRUE(inner.has_value());
  (void)inner->Int("a", 4, 5);
  EXPECT_THAT(inner->status(), FailsAt("config.inner.a"));
  EXPECT_TRUE(reader.status().ok());
  EXPECT_FALSE(inner->HasNestedObject());
  EXPECT_FALSE(reader.Object("text").has_value());
  EXPECT_THAT(reader.status(), FailsAt("config.text"));
}

}  // namespace
}  // namespace gwq
