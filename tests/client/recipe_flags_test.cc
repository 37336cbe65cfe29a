#include "client/cli/recipe_flags.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "absl/strings/ascii.h"
#include "client/cli/evaluation_flags.h"
#include "core/base/status.h"
#include "core/spec/recipe.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"

namespace gwq::cli {
namespace {

absl::StatusOr<v1::Recipe> Parse(std::vector<std::string> flags) {
  CLI::App app;
  RecipeArguments arguments;
  AddRecipeFlags(app, arguments);
  std::reverse(flags.begin(), flags.end());
  try {
    app.parse(flags);
  } catch (const CLI::ParseError& error) {
    return absl::InvalidArgumentError(error.what());
  }
  return RecipeOf(arguments);
}

TEST(RecipeFlagsTest, EveryFieldOfTheTableHasAFlag) {
  CLI::App app;
  RecipeArguments arguments;
  AddRecipeFlags(app, arguments);
  for (const RecipeField& field : RecipeFields()) {
    std::string flag = RecipeFlagName(field.name);
    if (flag.starts_with("--rules")) flag = "--rule";
    if (flag.starts_with("--calibration-messages")) flag = "--calibration-messages";
    if (flag.starts_with("--calibration-parts")) flag = "--calibration-part";
    EXPECT_NE(app.get_option_no_throw(flag), nullptr) << flag;
  }
}

// The field of a recipe with this path, "calibration.source".
const google::protobuf::FieldDescriptor& FieldAt(std::string_view path) {
  const google::protobuf::Descriptor* message = v1::Recipe::descriptor();
  for (size_t dot = path.find('.'); dot != std::string_view::npos; dot = path.find('.')) {
    message = message->FindFieldByName(std::string(path.substr(0, dot)))->message_type();
    path.remove_prefix(dot + 1);
  }
  return *message->FindFieldByName(std::string(path));
}

TEST(RecipeFlagsTest, EveryEnumTakesItsNamesInLowerCase) {
  for (const RecipeField& field : RecipeFields()) {
    if (field.type != "enum" || field.name.starts_with("rules.") || field.name.starts_with("calibration.parts."))
      continue;
    const google::protobuf::EnumDescriptor& type = *FieldAt(field.name).enum_type();
    for (int i = 1; i < type.value_count(); ++i) {
      const std::string name = absl::AsciiStrToLower(type.value(i)->name());
      EXPECT_THAT(Parse({RecipeFlagName(field.name), name}), testing::IsOk()) << field.name << " " << name;
    }
  }
  const auto recipe = Parse({"--method", "tuned", "--effort", "thorough"});
  ASSERT_THAT(recipe, testing::IsOk());
  EXPECT_EQ(recipe->effort(), v1::THOROUGH);
  const absl::Status unknown = Parse({"--effort", "lots"}).status();
  EXPECT_THAT(unknown, testing::FailsAt("recipe.effort"));
  EXPECT_THAT(std::string(unknown.message()), ::testing::HasSubstr("fast, normal or thorough"));
}

TEST(RecipeFlagsTest, HelpTellsWhatHoldsWhereAFlagIsNotGiven) {
  CLI::App app;
  RecipeArguments recipe;
  AddRecipeFlags(app, recipe);
  TaskArguments task;
  AddTaskFlags(*app.add_subcommand("task"), task);
  EXPECT_THAT(app.help(), ::testing::HasSubstr(fmt::format("--bits TEXT={}", Recipe{}.bits)));
  EXPECT_THAT(app.help(), ::testing::HasSubstr("--method TEXT=gwq"));
  EXPECT_THAT(app.help(), ::testing::HasSubstr("--calibration-max-tokens TEXT=512"));
  EXPECT_THAT(app.get_subcommand("task")->help(), ::testing::HasSubstr("--window TEXT=512"));
  EXPECT_FALSE(Parse({})->has_bits()) << "what is not given is left to the service";
}

TEST(RecipeFlagsTest, FlagsBecomeTheFieldsTheyName) {
  const auto recipe =
      Parse({"--method", "rtn", "--bits", "3", "--group-size", "128", "--gwq-outlier-ratio", "0.02", "--gwq-loss",
             "all", "--gptq-act-order", "true", "--calibration-token-ids", "5,6,7", "--calibration-max-tokens", "64"});
  ASSERT_TRUE(recipe.ok()) << recipe.status();
  EXPECT_EQ(recipe->method(), v1::RTN);
  EXPECT_EQ(recipe->bits(), 3);
  EXPECT_EQ(recipe->group_size(), 128);
  EXPECT_DOUBLE_EQ(recipe->gwq().outlier_ratio(), 0.02);
  EXPECT_EQ(recipe->gwq().loss(), v1::ALL);
  EXPECT_TRUE(recipe->gptq().act_order());
  EXPECT_EQ(recipe->calibration().source(), v1::Calibration::TOKEN_IDS);
  EXPECT_THAT(recipe->calibration().token_ids(), ::testing::ElementsAre(5, 6, 7));
  EXPECT_EQ(recipe->calibration().max_tokens(), 64);
  EXPECT_FALSE(recipe->has_threads());
}

TEST(RecipeFlagsTest, ADatasetIsTheSourceAndItsNameMayStandAlone) {
  for (const char* const name : {"texts", "datasets/texts"}) {
    const auto recipe = Parse({"--calibration-dataset", name, "--calibration-samples", "64"});
    ASSERT_TRUE(recipe.ok()) << recipe.status();
    EXPECT_EQ(recipe->calibration().source(), v1::Calibration::DATASET);
    EXPECT_EQ(recipe->calibration().dataset(), "datasets/texts");
    EXPECT_EQ(recipe->calibration().samples(), 64);
  }
}

TEST(RecipeFlagsTest, PartsMakeAMix) {
  const testing::TempFolder folder;
  std::ofstream(folder / "own.txt") << "our words";
  const auto recipe = Parse({"--calibration-part", "dataset=texts,weight=2.5", "--calibration-part", "source=default",
                             "--calibration-part", "text_file=" + (folder / "own.txt"), "--calibration-part",
                             "source=generated,weight=0.5"});
  ASSERT_TRUE(recipe.ok()) << recipe.status();
  const v1::Calibration& calibration = recipe->calibration();
  EXPECT_EQ(calibration.source(), v1::Calibration::MIX);
  ASSERT_EQ(calibration.parts_size(), 4);
  EXPECT_EQ(calibration.parts(0).source(), v1::Calibration::DATASET);
  EXPECT_EQ(calibration.parts(0).dataset(), "datasets/texts");
  EXPECT_EQ(calibration.parts(0).weight(), 2.5);
  EXPECT_EQ(calibration.parts(1).source(), v1::Calibration::DEFAULT);
  EXPECT_FALSE(calibration.parts(1).has_weight());
  EXPECT_EQ(calibration.parts(2).source(), v1::Calibration::TEXT);
  EXPECT_EQ(calibration.parts(2).text(), "our words");
  EXPECT_EQ(calibration.parts(3).source(), v1::Calibration::GENERATED);
}

TEST(RecipeFlagsTest, PartsOfARecipesFileMakeAMixToo) {
  const testing::TempFolder folder;
  std::ofstream(folder / "recipe.json") << R"({"calibration": {"parts": [{"source": "dataset", "dataset": "texts"}]}})";
  const auto recipe = Parse({"--recipe", folder / "recipe.json"});
  ASSERT_TRUE(recipe.ok()) << recipe.status();
  EXPECT_EQ(recipe->calibration().source(), v1::Calibration::MIX);
  EXPECT_EQ(recipe->calibration().parts(0).dataset(), "datasets/texts");
}

TEST(RecipeFlagsTest, APartThatCannotBeReadIsRefusedByItsFlag) {
  for (const char* const part :
       {"colour=3", "dataset", "text=a,text_file=/nowhere", "weight=much", "dataset=a,dataset=b", "source=best"}) {
    EXPECT_THAT(Parse({"--calibration-part", part}), testing::FailsAt("calibration-part")) << part;
  }
  const auto missing = Parse({"--calibration-part", "text_file=/nowhere"});
  EXPECT_THAT(missing, testing::HasCode(absl::StatusCode::kNotFound));
  EXPECT_EQ(missing.status().message().find("calibration-part: "), 0U) << missing.status();
}

TEST(RecipeFlagsTest, FlagsOfOneVersionAgoAreReadAndTold) {
  CLI::App app;
  RecipeArguments arguments;
  AddRecipeFlags(app, arguments);
  EXPECT_THAT(app.help(), ::testing::Not(::testing::HasSubstr("  --outlier-ratio")));
  app.parse(std::vector<std::string>{"all", "--loss", "0.02", "--outlier-ratio"});
  std::vector<std::string> notes;
  const auto recipe = RecipeOf(arguments, &notes);
  ASSERT_TRUE(recipe.ok()) << recipe.status();
  EXPECT_DOUBLE_EQ(recipe->gwq().outlier_ratio(), 0.02);
  EXPECT_EQ(recipe->gwq().loss(), v1::ALL);
  EXPECT_THAT(notes, ::testing::UnorderedElementsAre(::testing::HasSubstr("--gwq-outlier-ratio"),
                                                     ::testing::HasSubstr("--gwq-loss")));
}

TEST(RecipeFlagsTest, TheTextOfOneVersionAgoIsLeftInTheFieldsThatTheServiceReadsAndTold) {
  const testing::TempFolder folder;
  std::ofstream(folder / "text.txt") << "some words";
  std::ofstream(folder / "recipe.json") << R"({"evaluation_window": 16, "evaluation_tokens": 9})";
  CLI::App app;
  RecipeArguments arguments;
  AddRecipeFlags(app, arguments);
  EXPECT_THAT(app.help(), ::testing::Not(::testing::HasSubstr("--evaluation")));
  app.parse(std::vector<std::string>{folder / "text.txt", "--evaluation-file", "0", "--evaluation-tokens",
                                     folder / "recipe.json", "--recipe"});
  std::vector<std::string> notes;
  const auto recipe = RecipeOf(arguments, &notes);
  ASSERT_TRUE(recipe.ok()) << recipe.status();
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
  EXPECT_EQ(recipe->evaluation_text(), "some words");
  EXPECT_TRUE(recipe->has_evaluation_tokens());
  EXPECT_EQ(recipe->evaluation_tokens(), 0) << "the flag wins";
  EXPECT_EQ(recipe->evaluation_window(), 16);
#pragma GCC diagnostic pop
  EXPECT_THAT(notes, ::testing::UnorderedElementsAre(
                         ::testing::StartsWith("--evaluation-file is now --evaluate kind=text,text_file="),
                         ::testing::StartsWith("--evaluation-tokens is now"),
                         ::testing::StartsWith("recipe.evaluation_tokens is now"),
                         ::testing::StartsWith("recipe.evaluation_window is now")));
}

TEST(RecipeFlagsTest, BytesThatAreNoTextAreRefused) {
  const std::string bytes = "\xFF\xFE";
  testing::TempFolder folder;
  const std::string path = folder.path() + "/noise.txt";
  std::ofstream(path) << bytes;
  for (const auto& [flag, value] : {std::pair("--calibration-text", bytes),
                                    {"--method", bytes},
                                    {"--rule", "*:method=" + bytes},
                                    {"--calibration-file", path}}) {
    EXPECT_EQ(Parse({flag, value}).status().code(), absl::StatusCode::kInvalidArgument) << flag;
  }
}

TEST(RecipeFlagsTest, RulesKeepTheirOrder) {
  const auto recipe = Parse({"--rule", "*.down_proj:bits=8,group_size=32", "--rule", "model.layers.0.*:method=keep"});
  ASSERT_TRUE(recipe.ok()) << recipe.status();
  ASSERT_EQ(recipe->rules_size(), 2);
  EXPECT_EQ(recipe->rules(0).pattern(), "*.down_proj");
  EXPECT_EQ(recipe->rules(0).bits(), 8);
  EXPECT_EQ(recipe->rules(0).group_size(), 32);
  EXPECT_EQ(recipe->rules(1).method(), v1::KEEP);
}

TEST(RecipeFlagsTest, WhatIsNoValueIsRefusedByItsField) {
  for (const auto& [flag, value] : {std::pair("--bits", "four"),
                                    {"--gwq-outlier-ratio", "1e"},
                                    {"--gptq-act-order", "yes"},
                                    {"--method", "awq"},
                                    {"--evaluation-tokens", "many"},
                                    {"--calibration-token-ids", "1,x"},
                                    {"--rule", "no-colon"},
                                    {"--rule", "a:b"},
                                    {"--rule", "*:colour=3"}}) {
    const auto recipe = Parse({flag, value});
    EXPECT_EQ(recipe.status().code(), absl::StatusCode::kInvalidArgument) << flag << " " << value;
  }
}

TEST(RecipeFlagsTest, BitsBesideATargetAreRefusedBecauseTheyWouldHaveNoEffect) {
  for (const char* const target : {"--target-bits", "--target-bytes"}) {
    const auto both = Parse({"--bits", "3", target, "100000000"});
    EXPECT_THAT(both, gwq::testing::HasCode(absl::StatusCode::kInvalidArgument));
    EXPECT_THAT(MessageOf(both.status()), ::testing::HasSubstr("beside a target"));
  }
  EXPECT_THAT(Parse({"--group-size", "128", "--target-bits", "3"}), gwq::testing::IsOk()) << "the head's group size";
}

TEST(RecipeFlagsTest, AKeyThatIsGivenTwiceIsRefusedByItsName) {
  for (const auto& [rule, key] : {std::pair("*:bits=3,bits=4", "'bits'"),
                                  {"*:bits=3,method=rtn,bits=3", "'bits'"},
                                  {"*:group_size=32,groupSize=64", "'groupSize'"},
                                  {"*:pattern=a", "'pattern'"}}) {
    const auto recipe = Parse({"--rule", rule});
    EXPECT_THAT(recipe, testing::FailsAt("rule")) << rule;
    EXPECT_NE(MessageOf(recipe.status()).find(key), std::string_view::npos) << recipe.status();
  }
  EXPECT_TRUE(Parse({"--rule", "*:bits=3", "--rule", "*:bits=4"}).ok()) << "rules of their own";

  const auto task = ParseTask("kind=choices,limit=1,limit=2");
  EXPECT_THAT(task, testing::FailsAt("evaluate"));
  EXPECT_NE(MessageOf(task.status()).find("'limit'"), std::string_view::npos) << task.status();
  EXPECT_EQ(ParseTask("kind=choices,limit=1,delimiter==")->delimiter(), "=");
}

TEST(RecipeFlagsTest, AFlagOfAGroupThatTheRecipesFileMakesSomethingElseIsRefused) {
  const testing::TempFolder folder;
  for (const char* const file : {R"({"calibration": 5})", R"({"calibration": "text"})", R"({"calibration": [1]})"}) {
    std::ofstream(folder / "recipe.json") << file;
    const std::vector<std::string> flags = {"--recipe", folder / "recipe.json", "--calibration-max-tokens", "5"};
    EXPECT_THAT(Parse(flags), testing::FailsAt("calibration")) << file;
  }
}

TEST(RecipeFlagsTest, AFileThatIsTheSampleContradictsAnotherSourceByItsFlag) {
  const testing::TempFolder folder;
  const std::string text = folder / "sample.txt", recipe = folder / "recipe.json";
  std::ofstream(text) << "a text";
  std::ofstream(recipe) << R"({"calibration": {"source": 5}})";
  for (const char* const source : {"file", "chat"}) {
    EXPECT_THAT(
        std::string(Parse({"--calibration-source", source, "--calibration-file", text}).status().message()),
        ::testing::AllOf(::testing::HasSubstr("--calibration-file gives a calibration whose source is 'text', but "
                                              "--calibration-source"),
                         ::testing::HasSubstr("leave that out")));
  }
  EXPECT_FALSE(Parse({"--recipe", recipe, "--calibration-file", text}).ok());
  EXPECT_EQ(Parse({"--calibration-source", "TEXT", "--calibration-file", text})->calibration().text(), "a text");
}

TEST(RecipeFlagsTest, ASampleThatIsTooLargeIsRefusedByItsFlagWithBothSizesAndARemedy) {
  const testing::TempFolder folder;
  const std::string path = folder / "sample.txt";
  std::ofstream(path) << std::string(kMaxRecipeTextBytes, 'a');
  const auto largest = Parse({"--calibration-file", path});
  ASSERT_THAT(largest, testing::IsOk());
  EXPECT_EQ(largest->calibration().text().size(), kMaxRecipeTextBytes);
  std::ofstream(path, std::ios::app) << "a";
  const absl::Status refused = Parse({"--calibration-file", path}).status();
  EXPECT_THAT(refused, testing::HasCode(absl::StatusCode::kInvalidArgument));
  EXPECT_EQ(refused.message(),
            fmt::format("--calibration-file: '{}' has 4194305 bytes, at most 4194304 are read; shorten "
                        "it, or push it as a .jsonl dataset and give --calibration-dataset",
                        path));
}

TEST(RecipeFlagsTest, AKeyThatStandsTwiceInARecipesFileIsRefused) {
  const testing::TempFolder folder;
  const std::string path = folder / "recipe.json";
  std::ofstream(path) << R"({"bits": 3, "calibration": {"text": "a", "text": "b"}})";
  const auto recipe = Parse({"--recipe", path});
  EXPECT_THAT(recipe, testing::FailsAt("recipe"));
  EXPECT_NE(MessageOf(recipe.status()).find("text"), std::string_view::npos) << recipe.status();
}

}  // namespace
}  // namespace gwq::cli
