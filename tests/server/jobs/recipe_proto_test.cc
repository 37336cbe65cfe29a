#include "server/jobs/recipe_proto.h"

#include <gtest/gtest.h>

#include <set>

#include "core/base/sha256.h"
#include "core/base/status.h"
#include "server/jobs/job_watchers.h"
#include "server/jobs/timers.h"

namespace gwq {
namespace {

// Leaf fields of a message with their paths, as RecipeFields() names them.
void AddLeaves(const google::protobuf::Descriptor& message, const std::string& prefix, std::set<std::string>& out) {
  for (int i = 0; i < message.field_count(); ++i) {
    const auto& field = *message.field(i);
    const std::string path = prefix + field.name();
    if (field.message_type() != nullptr) {
      AddLeaves(*field.message_type(), path + ".", out);
    } else {
      out.insert(path);
    }
  }
}

TEST(RecipeProto, HasTheFieldsOfTheTableNoMoreAndNoLess) {
  std::set<std::string> wire, table;
  AddLeaves(*v1::Recipe::descriptor(), "", wire);
  // Read for one version, and no fields of the table.
  for (const char* old :
       {"outlier_ratio", "select", "loss", "evaluation_text", "evaluation_tokens", "evaluation_window"})
    EXPECT_EQ(wire.erase(old), 1U) << old;
  for (const RecipeField& field : RecipeFields()) table.insert(std::string(field.name));
  EXPECT_EQ(wire, table);
}

Recipe Unusual() {
  Recipe recipe;
  recipe.method = Method::kRtn;
  recipe.bits = 3;
  recipe.group_size = 32;
  recipe.format_version = 2;
  recipe.scale_bits = 8;
  recipe.gwq.outlier_ratio = 0.25;
  recipe.gwq.select = Select::kRandom;
  recipe.head_bits = 16;
  recipe.embedding_bits = 16;
  recipe.gwq.loss = Loss::kAll;
  recipe.threads = 1;
  recipe.seed = 99;
  recipe.calibration.source = CalibrationSource::kChat;
  recipe.calibration.messages = {{"user", "hello"}};
  recipe.calibration.max_tokens = 100;
  recipe.calibration.samples = 1;
  recipe.gptq = {0.5, false, true};
  recipe.spqr = {0.125, 0.25, false};
  recipe.tuned = {0.125, 1, 0, 3, 0.25};
  recipe.target = {0, 123456789, 7, true, true};
  recipe.effort = Effort::kFast;
  recipe.rules.push_back({"*.down_proj", "language", "linear", Method::kGwq, 8, 16, 0.5});
  recipe.rules.push_back(
      {.pattern = "*", .part = "", .kind = "", .method = {}, .bits = {}, .group_size = {}, .outlier_ratio = 0.125});
  return recipe;
}

TEST(RecipeProto, EveryFieldSurvivesTheRoundTrip) {
  const auto back = RecipeFromProto(RecipeToProto(Unusual()));
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(*back, Unusual());
  EXPECT_EQ(*RecipeFromProto({}), Recipe{}) << "unset fields are core's defaults";
  Recipe tokens;
  tokens.calibration.source = CalibrationSource::kTokenIds;
  tokens.calibration.token_ids = {1, 2, 3};
  EXPECT_EQ(*RecipeFromProto(RecipeToProto(tokens)), tokens);
  Recipe dataset;
  dataset.calibration.source = CalibrationSource::kDataset;
  dataset.calibration.dataset = Sha256Of("manifest").Hex();
  EXPECT_EQ(*RecipeFromProto(RecipeToProto(dataset)), dataset);
  Recipe mix;
  mix.calibration.source = CalibrationSource::kMix;
  mix.calibration.parts = {{CalibrationSource::kDefault, "", "", "", 2.5},
                           {CalibrationSource::kText, "a text", "", "", 1},
                           {CalibrationSource::kFile, "", Sha256Of("blob").Hex(), "", 1},
                           {CalibrationSource::kDataset, "", "", Sha256Of("manifest").Hex(), 0.5}};
  EXPECT_EQ(*RecipeFromProto(RecipeToProto(mix)), mix);
  v1::Recipe unset;
  unset.mutable_calibration()->set_source(v1::Calibration::MIX);
  unset.mutable_calibration()->add_parts();
  EXPECT_EQ(RecipeFromProto(unset)->calibration.parts, std::vector{CalibrationPart{}});
}

TEST(RecipeProto, WhatIsLeftOpenIsAsInJson) {
  v1::Recipe proto;
  EXPECT_EQ(RecipeFromProto(proto).value(), ParseRecipe("{}").value());
  proto.set_method(v1::TUNED);
  proto.set_effort(v1::THOROUGH);
  EXPECT_EQ(RecipeFromProto(proto).value(), ParseRecipe(R"({"method":"tuned","effort":"thorough"})").value());
  proto.set_format_version(1);
  EXPECT_EQ(RecipeFromProto(proto).value(),
            ParseRecipe(R"({"method":"tuned","effort":"thorough","format_version":1})").value());
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
TEST(RecipeProto, FieldsOfOneVersionAgoAreRead) {
  v1::Recipe proto;
  proto.set_outlier_ratio(0.25);
  proto.set_loss(v1::ALL);
  proto.mutable_gwq()->set_loss(v1::LAST);
  const auto recipe = RecipeFromProto(proto);
  ASSERT_TRUE(recipe.ok()) << recipe.status();
  EXPECT_EQ(recipe->gwq.outlier_ratio, 0.25);
  EXPECT_EQ(recipe->gwq.loss, Loss::kLast) << "the new field wins";
}

TEST(RecipeProto, TheTextOfOneVersionAgoIsReadApart) {
  EXPECT_FALSE(OldTextEvaluationFromProto({}).given());
  v1::Recipe proto;
  proto.set_evaluation_text("t");
  proto.set_evaluation_tokens(0);
  proto.set_evaluation_window(7);
  const OldTextEvaluation old = OldTextEvaluationFromProto(proto);
  EXPECT_EQ(old.text, "t");
  EXPECT_EQ(old.tokens, 0);
  EXPECT_EQ(old.window, 7);
}
#pragma GCC diagnostic pop

TEST(RecipeProto, UnknownEnumValuesAreNamed) {
  v1::Recipe proto;
  proto.add_rules();
  proto.add_rules()->set_method(static_cast<v1::Method>(9));
  EXPECT_EQ(FieldViolations(RecipeFromProto(proto).status())[0].field, "recipe.rules[1].method");
}

TEST(JobWatchers, TellOfTheirJobAndOfTheEnd) {
  JobWatchers watchers;
  int one = 0, all = 0, closed = 0;
  const uint64_t first = watchers.Add("a", [&](bool closing) { ++(closing ? closed : one); });
  (void)watchers.Add("", [&](bool closing) { ++(closing ? closed : all); });
  watchers.Notify("a");
  watchers.Notify("b");
  EXPECT_EQ(one, 1);
  EXPECT_EQ(all, 2);
  watchers.Remove(first);
  watchers.Notify("a");
  EXPECT_EQ(one, 1);
  watchers.Close();
  EXPECT_EQ(closed, 1);
  (void)watchers.Add("a", [&](bool closing) { closed += closing; });
  EXPECT_EQ(closed, 2) << "who comes after the close is told at once";
}

TEST(Timers, RunInOrderOfTimeAndNotAfterCancel) {
  Timers timers;
  Mutex mutex;
  CondVar changed;
  std::string order;
  const auto add = [&](char c) {
    MutexLock lock(mutex);
    order += c;
    changed.NotifyAll();
  };
  const uint64_t cancelled = timers.After(20, [&] { add('x'); });
  timers.After(60, [&] { add('b'); });
  timers.After(30, [&] { add('a'); });
  timers.Cancel(cancelled);
  timers.After(3'600'000, [&] { add('y'); });
  MutexLock lock(mutex);
  while (order.size() < 2) changed.Wait(mutex);
  EXPECT_EQ(order, "ab");
}

}  // namespace
}  // namespace gwq
