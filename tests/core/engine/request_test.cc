#include "core/engine/request.h"

#include <gtest/gtest.h>

#include "core/base/status.h"
#include "tests/core/engine/fake_sink.h"

namespace gwq {
namespace {

constexpr RequestLimits kLimits = {
    .vocab_size = 100, .hidden_size = 2, .position_axes = 3, .max_context_tokens = 50, .max_prompt_tokens = 40};

std::string RefusedField(const std::function<void(GenerationRequest&)>& spoil) {
  GenerationRequest request = Ask({1, 2, 3}, 10);
  spoil(request);
  const absl::Status status = CheckRequest(request, kLimits);
  const auto violations = FieldViolations(status);
  return violations.empty() ? std::string(MessageOf(status)) : violations[0].field;
}

TEST(CheckRequest, NamesTheOffendingField) {
  EXPECT_EQ(RefusedField([](auto&) {}), "");
  EXPECT_EQ(RefusedField([](auto& r) { r.prompt.clear(); }), "prompt");
  EXPECT_EQ(RefusedField([](auto& r) { r.prompt.assign(41, 1); }), "prompt");
  EXPECT_EQ(RefusedField([](auto& r) { r.prompt.assign(40, 1); }), "");
  EXPECT_EQ(RefusedField([](auto& r) { r.prompt[1] = 100; }), "prompt[1]");
  EXPECT_EQ(RefusedField([](auto& r) { r.prompt[2] = -1; }), "prompt[2]");
  EXPECT_EQ(RefusedField([](auto& r) {
              r.input_field = "tokens.ids";
              r.prompt[0] = -1;
            }),
            "tokens.ids[0]");
  EXPECT_EQ(RefusedField([](auto& r) { r.max_tokens = 0; }), "max_tokens");
  EXPECT_EQ(RefusedField([](auto& r) { r.sampling.top_p = 2; }), "sampling.top_p");
  EXPECT_EQ(RefusedField([](auto& r) { r.stop = {""}; }), "stop[0]");
  EXPECT_EQ(RefusedField([](auto& r) {
              r.stop = {"x"};
              r.decoder = nullptr;
            }),
            "stop");
  EXPECT_EQ(RefusedField([](auto& r) { r.stop_ids = {5, 100}; }), "stop_ids[1]");
  EXPECT_EQ(RefusedField([](auto& r) { r.stop_ids.assign(257, 1); }), "stop_ids");
}

TEST(CheckRequest, AnIdBelowZeroNeedsItsImageRow) {
  const auto with_image = [](GenerationRequest& request) {
    request.images = std::make_shared<const std::vector<float>>(4);
  };
  EXPECT_EQ(RefusedField([&](auto& r) {
              with_image(r);
              r.prompt = {1, ~0, ~1};
            }),
            "");
  EXPECT_EQ(RefusedField([&](auto& r) {
              with_image(r);
              r.prompt = {1, ~0, ~2};
            }),
            "prompt[2]");
  GenerationRequest request = Ask({1, 2, 3}, 10);
  request.positions.positions.assign(8, 0);
  EXPECT_EQ(CheckRequest(request, kLimits).code(), absl::StatusCode::kInternal);
}

TEST(CheckRequest, NamesTheChoice) {
  EXPECT_EQ(RefusedField([](auto& r) { r.choices = {{1}, {2, 3}}; }), "");
  EXPECT_EQ(RefusedField([](auto& r) { r.choices = {{1}, {}}; }), "choices.texts[1]");
  EXPECT_EQ(RefusedField([](auto& r) { r.choices = {{1}, {100}}; }), "choices.texts[1]");
  EXPECT_EQ(RefusedField([](auto& r) { r.choices = {std::vector<int32_t>(47, 1)}; }), "");
  EXPECT_EQ(RefusedField([](auto& r) { r.choices = {std::vector<int32_t>(48, 1)}; }), "choices.texts[0]");
  EXPECT_EQ(RefusedField([](auto& r) { r.choices.assign(1001, {1}); }), "choices.texts");
}

TEST(CheckRequest, AnErrorTellsValueLimitAndRemedy) {
  GenerationRequest request = Ask(std::vector<int32_t>(41, 1), 10);
  const std::string message(MessageOf(CheckRequest(request, kLimits)));
  EXPECT_NE(message.find("41 tokens"), std::string::npos) << message;
  EXPECT_NE(message.find("limit is 40"), std::string::npos) << message;
  EXPECT_NE(message.find("shorten"), std::string::npos) << message;
}

}  // namespace
}  // namespace gwq
