#include "core/base/status.h"

#include <gtest/gtest.h>

namespace gwq {
namespace {

absl::StatusOr<int> Half(int value) {
  if (value % 2 != 0) return InvalidField("value", "is odd; give an even one");
  return value / 2;
}

absl::StatusOr<int> Quarter(int value) {
  GWQ_ASSIGN_OR_RETURN(const int half, Half(value));
  GWQ_ASSIGN_OR_RETURN(const int quarter, Half(half));
  return quarter;
}

TEST(StatusTest, AnInvalidFieldCarriesItsPathAndDescription) {
  const absl::Status status = InvalidField("recipe.bits", "5 is none of 3, 4, 8");
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(MessageOf(status), "recipe.bits: 5 is none of 3, 4, 8");
  const auto violations = FieldViolations(status);
  ASSERT_EQ(violations.size(), 1u);
  EXPECT_EQ(violations[0].field, "recipe.bits");
  EXPECT_EQ(violations[0].description, "5 is none of 3, 4, 8");
  EXPECT_TRUE(FieldViolations(absl::OkStatus()).empty());
  EXPECT_TRUE(FieldViolations(absl::InternalError("x")).empty());
}

TEST(StatusTest, AnnotateKeepsCodeAndPayloads) {
  const absl::Status status = Annotate(WithRetryDelay(InvalidField("f", "d"), 250), "while reading");
  EXPECT_EQ(MessageOf(status), "while reading: f: d");
  EXPECT_EQ(FieldViolations(status).size(), 1u);
  EXPECT_EQ(RetryDelayMilliseconds(status), 250);
  EXPECT_TRUE(Annotate(absl::OkStatus(), "x").ok());
  EXPECT_EQ(RetryDelayMilliseconds(absl::InternalError("x")), -1);
}

TEST(StatusTest, AFieldOfAPartBecomesOneOfTheWhole) {
  const auto prefixed = [](std::string_view field) {
    return FieldViolations(PrefixField(InvalidField(field, "d"), "rules"))[0].field;
  };
  EXPECT_EQ(prefixed("bits"), "rules.bits");
  EXPECT_EQ(prefixed("[2].bits"), "rules[2].bits");
  EXPECT_EQ(prefixed(""), "rules");
  const absl::Status status = PrefixField(WithRetryDelay(InvalidField("bits", "d"), 250), "recipe");
  EXPECT_EQ(MessageOf(status), "recipe.bits: d");
  EXPECT_EQ(RetryDelayMilliseconds(status), 250);
  EXPECT_EQ(PrefixField(absl::DataLossError("cut"), "recipe"), absl::DataLossError("recipe: cut"));
  EXPECT_TRUE(PrefixField(absl::OkStatus(), "recipe").ok());
}

TEST(StatusTest, AFaultOfWhatAFieldHoldsIsAViolationOfTheField) {
  const absl::Status status = AsField(absl::InvalidArgumentError("no digest"), "sha256");
  EXPECT_EQ(FieldViolations(status)[0].field, "sha256");
  EXPECT_EQ(FieldViolations(status)[0].description, "no digest");
  EXPECT_EQ(AsField(absl::DataLossError("cut"), "sha256"), absl::DataLossError("sha256: cut"));
  EXPECT_TRUE(AsField(absl::OkStatus(), "sha256").ok());
}

TEST(StatusTest, AFieldOrDescriptionMayHoldAnyByte) {
  // Keys of a client's JSON become fields.
  const std::string odd("a\0:1\xff", 6);
  for (const auto& [field, description] :
       {std::pair<std::string, std::string>{odd, "d"}, {"f", odd}, {"12", "3:4"}, {"", ""}, {"", odd}, {odd, ""}}) {
    const auto violations = FieldViolations(InvalidField(field, description));
    ASSERT_EQ(violations.size(), 1u);
    EXPECT_EQ(violations[0].field, field);
    EXPECT_EQ(violations[0].description, description);
  }
}

TEST(StatusTest, PrefixesAndContextsStack) {
  absl::Status status = PrefixField(PrefixField(InvalidField("bits", "d"), "[1]"), "rules");
  status = Annotate(PrefixField(status, "recipe"), "line 3");
  EXPECT_EQ(FieldViolations(status)[0].field, "recipe.rules[1].bits");
  EXPECT_EQ(MessageOf(status), "line 3: recipe.rules[1].bits: d");
  // A prefix names the field anew; a context that went before is not part of it.
  EXPECT_EQ(MessageOf(PrefixField(status, "job")), "job.recipe.rules[1].bits: d");
}

TEST(StatusTest, ARetryDelayKeepsTheError) {
  const absl::Status full = WithRetryDelay(absl::ResourceExhaustedError("full"), 0);
  EXPECT_EQ(full.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(MessageOf(full), "full");
  EXPECT_EQ(RetryDelayMilliseconds(full), 0);
  EXPECT_EQ(RetryDelayMilliseconds(WithRetryDelay(full, int64_t{1} << 40)), int64_t{1} << 40);
  EXPECT_EQ(RetryDelayMilliseconds(AsField(full, "f")), 0);
  EXPECT_TRUE(WithRetryDelay(absl::OkStatus(), 5).ok());
}

TEST(StatusTest, TheMacrosEvaluateTheirExpressionOnce) {
  int calls = 0;
  const auto step = [&](absl::Status result) {
    ++calls;
    return result;
  };
  const auto run = [&](absl::Status result) -> absl::Status {
    GWQ_RETURN_IF_ERROR(step(result));
    return absl::AlreadyExistsError("went on");
  };
  EXPECT_TRUE(absl::IsAlreadyExists(run(absl::OkStatus())));
  EXPECT_TRUE(absl::IsAborted(run(absl::AbortedError("stop"))));
  EXPECT_EQ(calls, 2);
}

TEST(StatusTest, AssignOrReturnHandsTheFirstErrorUp) {
  EXPECT_EQ(*Quarter(8), 2);
  EXPECT_EQ(FieldViolations(Quarter(6).status()).size(), 1u);
  EXPECT_FALSE(Quarter(7).ok());
}

}  // namespace
}  // namespace gwq
