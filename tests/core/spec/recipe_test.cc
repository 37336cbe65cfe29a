#include "core/spec/recipe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "core/base/sha256.h"
#include "core/base/status.h"
#include "core/spec/glob.h"
#include "core/spec/recipe_names.h"

namespace gwq {
namespace {

using Json = nlohmann::json;

// Every field away from its default.
Recipe Unusual() {
  Recipe recipe;
  recipe.method = Method::kRtn;
  recipe.bits = 3;
  recipe.group_size = 128;
  recipe.format_version = 2;
  recipe.scale_bits = 8;
  recipe.gwq.outlier_ratio = 0.1;
  recipe.gwq.select = Select::kRandom;
  recipe.head_bits = 16;
  recipe.embedding_bits = 16;
  recipe.gwq.loss = Loss::kAll;
  recipe.threads = 7;
  recipe.seed = 18446744073709551615U;
  recipe.calibration.source = CalibrationSource::kChat;
  recipe.calibration.messages = {{"user", "Grüße\n"}, {"assistant", "\"hi\""}};
  recipe.calibration.max_tokens = 99;
  recipe.calibration.samples = 1;
  recipe.gptq = {0.02, false, true};
  recipe.spqr = {0.03, 0.04, false};
  recipe.tuned = {0.05, 1, 2, 3, 0.25};
  recipe.target = {3.5, 0, 7, true, true};
  recipe.effort = Effort::kThorough;
  recipe.rules = {{"*.down_proj", "language", "linear", Method::kGwq, 8, 32, 0.0},
                  {"lm_head", "", "head", Method::kKeep}};
  return recipe;
}

Recipe FromDataset() {
  Recipe recipe;
  recipe.calibration.source = CalibrationSource::kDataset;
  recipe.calibration.dataset = Sha256Of("manifest").Hex();
  recipe.calibration.samples = 100;
  return recipe;
}

Recipe FromParts() {
  Recipe recipe;
  recipe.calibration.source = CalibrationSource::kMix;
  recipe.calibration.parts = {
      {.source = CalibrationSource::kDefault, .text = "", .blob = "", .dataset = "", .weight = 2.5},
      {CalibrationSource::kText, "a text", "", "", 1},
      {CalibrationSource::kFile, "", Sha256Of("blob").Hex(), "", 1},
      {CalibrationSource::kDataset, "", "", Sha256Of("manifest").Hex(), 0.5},
      {CalibrationSource::kGenerated, "", "", "", 1}};
  return recipe;
}

// The paths of all leaves below `json`: array entries share their array's path.
void Collect(const Json& json, const std::string& path, std::set<std::string>& out) {
  if (json.is_object()) {
    for (const auto& [key, value] : json.items()) Collect(value, path.empty() ? key : path + "." + key, out);
  } else if (json.is_array() && !json.empty() && json[0].is_object()) {
    for (const Json& one : json) Collect(one, path, out);
  } else {
    out.insert(path);
  }
}

std::string FieldOf(const absl::Status& status) {
  const auto violations = FieldViolations(status);
  return violations.empty() ? "" : violations[0].field;
}

TEST(Recipe, RoundTripsWithNothingMissing) {
  for (const Recipe& recipe : {Recipe{}, Unusual(), FromDataset(), FromParts()}) {
    const auto again = ParseRecipe(RecipeJson(recipe));
    ASSERT_TRUE(again.ok()) << again.status();
    EXPECT_EQ(*again, recipe);
    EXPECT_EQ(RecipeJson(*again), RecipeJson(recipe));
  }
}

TEST(Recipe, ExampleChangesEveryField) {
  const Recipe unusual = Unusual();
  const Json changed = Json::parse(RecipeJson(unusual));
  const Json plain = Json::parse(RecipeJson(Recipe{}));
  for (const auto& [key, value] : changed.items()) EXPECT_NE(value, plain[key]) << key;
}

TEST(Recipe, TableListsEveryPrintedFieldAndNoOther) {
  Recipe recipe = Unusual();
  recipe.calibration.token_ids = {1, 2};  // the lists must not be empty for their fields to show
  recipe.calibration.parts = FromParts().calibration.parts;
  std::set<std::string> printed;
  Collect(Json::parse(RecipeJson(recipe)), "", printed);
  std::set<std::string> listed;
  for (const RecipeField& field : RecipeFields()) {
    EXPECT_TRUE(listed.insert(std::string(field.name)).second) << field.name;
    EXPECT_FALSE(field.help.empty()) << field.name;
    EXPECT_THAT(field.type, testing::AnyOf("enum", "int", "double", "bool", "string", "repeated")) << field.name;
  }
  EXPECT_EQ(printed, listed);
}

TEST(Recipe, BytesRecipeIsTheFirstVersionsWithWhatTheMethodsAdd) {
  Json all = Json::parse(RecipeJson(Unusual()));
  for (const char* field : {"gptq", "spqr", "tuned", "effort"}) ASSERT_EQ(all.erase(field), 1U);
  for (const char* field : {"dataset", "parts"}) ASSERT_EQ(all["calibration"].erase(field), 1U);
  const Json gwq = all["gwq"];
  for (const auto& [key, value] : gwq.items()) all[key] = value;
  all.erase("gwq");
  EXPECT_EQ(BytesRecipeJson(Unusual()), all.dump());
  EXPECT_EQ(BytesRecipeJson(Recipe{}),
            R"({"bits":4,"calibration":{"answer":"","blob":"","max_tokens":512,"messages":[],"question":"",)"
            R"("source":"generated","text":"","token_ids":[]},"embedding_bits":8,"group_size":64,"head_bits":8,)"
            R"("loss":"last","method":"gwq","outlier_ratio":0.01,"rules":[],"seed":0,"select":"gradient",)"
            R"("threads":2})");
  Recipe gptq;
  gptq.rules = {{"*", "", "", Method::kGptq}};
  EXPECT_TRUE(Json::parse(BytesRecipeJson(gptq)).contains("gptq"));
  EXPECT_FALSE(Json::parse(BytesRecipeJson(gptq)).contains("spqr"));
  EXPECT_FALSE(Json::parse(BytesRecipeJson(gptq)).contains("tuned"));
  EXPECT_EQ(Json::parse(BytesRecipeJson(FromDataset()))["calibration"]["dataset"], FromDataset().calibration.dataset);
  EXPECT_EQ(Json::parse(BytesRecipeJson(FromParts()))["calibration"]["parts"].size(), 5U);
}

TEST(Recipe, TunedStoresTheSmallerFormatUnlessTold) {
  const auto form = [](const std::string& json) {
    const Recipe recipe = ParseRecipe(json).value();
    return std::pair(recipe.format_version, recipe.scale_bits);
  };
  EXPECT_EQ(form(R"({"method":"tuned"})"), std::pair(2, 8));
  EXPECT_EQ(form(R"({"method":"tuned","scale_bits":16})"), std::pair(2, 16));
  EXPECT_EQ(form(R"({"method":"tuned","format_version":1})"), std::pair(1, 16));
  EXPECT_EQ(form(R"({"method":"gptq","effort":"fast"})"), std::pair(1, 16));
  EXPECT_EQ(form(R"({"method":"gptq","format_version":2})"), std::pair(2, 16));
}

TEST(Recipe, OnlyThoroughLearnsFromTheTextsThemselves) {
  EXPECT_EQ(ParseRecipe(R"({"method":"tuned"})")->tuned.text_share, 0);
  EXPECT_GT(ParseRecipe(R"({"method":"tuned","effort":"thorough"})")->tuned.text_share, 0);
  EXPECT_EQ(ParseRecipe(R"({"effort":"thorough","tuned":{"text_share":0}})")->tuned.text_share, 0);
}

TEST(Recipe, FieldsOfOneVersionAgoAreReadAndTold) {
  std::vector<std::string> notes;
  const auto recipe = ParseRecipe(R"({"outlier_ratio":0.02,"loss":"all","gwq":{"loss":"last"}})", &notes);
  ASSERT_TRUE(recipe.ok()) << recipe.status();
  EXPECT_EQ(recipe->gwq.outlier_ratio, 0.02);
  EXPECT_EQ(recipe->gwq.loss, Loss::kLast) << "the new name wins";
  ASSERT_EQ(notes.size(), 2U);
  EXPECT_THAT(notes[0], testing::HasSubstr("recipe.gwq.outlier_ratio"));
  (void)ParseRecipe(R"({"gwq":{"select":"random"}})", &notes);
  EXPECT_TRUE(notes.empty());
}

TEST(Recipe, JsonIsCanonical) {
  EXPECT_EQ(
      RecipeJson(Recipe{}),
      R"({"bits":4,"calibration":{"answer":"","blob":"","dataset":"","max_tokens":512,"messages":[],"parts":[],)"
      R"("question":"","samples":0,"source":"generated","text":"",)"
      R"("token_ids":[]},"effort":"normal","embedding_bits":8,"format_version":1,"gptq":{"act_order":false,"damping":0.01,"range_search":true},)"
      R"("group_size":64,"gwq":{"loss":"last","outlier_ratio":0.01,"select":"gradient"},"head_bits":8,)"
      R"("method":"gwq","rules":[],"scale_bits":16,"seed":0,)"
      R"("spqr":{"damping":0.01,"outlier_ratio":0.01,"range_search":true},)"
      R"("target":{"bits":0.0,"bytes":0,"outliers":false,"samples":16,"tie_fused":false},"threads":2,)"
      R"("tuned":{"block_steps":40,"metric_samples":16,"model_steps":48,"outlier_ratio":0.0,"text_share":0.0}})");
  EXPECT_EQ(*ParseRecipe("{}"), Recipe{});
}

std::vector<int64_t> SharesOf(std::vector<double> weights, int64_t samples) {
  Calibration calibration;
  calibration.source = CalibrationSource::kMix;
  for (const double weight : weights) calibration.parts.emplace_back().weight = weight;
  std::vector<int64_t> out;
  for (const Calibration& part : CalibrationParts(calibration, samples)) out.push_back(part.samples);
  return out;
}

TEST(CalibrationParts, DivideTheSamplesByWeightWithTheLargestRemainders) {
  EXPECT_THAT(SharesOf({2, 1, 1}, 40), testing::ElementsAre(20, 10, 10));
  EXPECT_THAT(SharesOf({1, 1, 1}, 32), testing::ElementsAre(11, 11, 10)) << "of equal remainders the first";
  EXPECT_THAT(SharesOf({0.6, 0.3, 0.1}, 4), testing::ElementsAre(3, 1, 0));
  EXPECT_THAT(SharesOf({1, 10'000}, 10), testing::ElementsAre(0, 10));
  for (int64_t samples = 1; samples < 200; ++samples) {
    const std::vector<int64_t> shares = SharesOf({0.1, 0.2, 0.3, 7}, samples);
    EXPECT_EQ(shares[0] + shares[1] + shares[2] + shares[3], samples);
  }
}

TEST(CalibrationParts, AreCalibrationsOfTheirOwn) {
  const Recipe recipe = FromParts();
  const std::vector<Calibration> parts = CalibrationParts(recipe.calibration, 12);
  ASSERT_EQ(parts.size(), 5U);
  EXPECT_EQ(parts[1].text, "a text");
  EXPECT_EQ(parts[3].dataset, recipe.calibration.parts[3].dataset);
  for (const Calibration& part : parts) {
    EXPECT_EQ(part.max_tokens, recipe.calibration.max_tokens);
    Recipe alone;
    alone.calibration = part;
    EXPECT_TRUE(CheckRecipe(alone).ok()) << CheckRecipe(alone);
  }
  const std::vector<Calibration> whole = CalibrationParts(FromDataset().calibration, 7);
  ASSERT_EQ(whole.size(), 1U);
  EXPECT_EQ(whole[0].samples, 7);
}

TEST(CalibrationParts, WhatTheyNameIsFoundWithItsField) {
  const std::vector<NamedDigest> datasets = CalibrationDatasets(FromParts().calibration);
  ASSERT_EQ(datasets.size(), 1U);
  EXPECT_EQ(datasets[0].field, "recipe.calibration.parts[3].dataset");
  const std::vector<NamedDigest> blobs = CalibrationBlobs(FromParts().calibration);
  ASSERT_EQ(blobs.size(), 1U);
  EXPECT_EQ(blobs[0].field, "recipe.calibration.parts[2].blob");
  EXPECT_EQ(CalibrationDatasets(FromDataset().calibration)[0].field, "recipe.calibration.dataset");
}

TEST(CalibrationParts, AFaultIsNamedAtItsPart) {
  const auto field = [](size_t part, auto change) {
    Recipe recipe = FromParts();
    change(recipe.calibration.parts[part]);
    return FieldOf(CheckRecipe(recipe));
  };
  EXPECT_EQ(field(0, [](auto& part) { part.weight = 0; }), "recipe.calibration.parts[0].weight");
  EXPECT_EQ(field(0, [](auto& part) { part.text = "x"; }), "recipe.calibration.parts[0].text");
  EXPECT_EQ(field(1, [](auto& part) { part.text = ""; }), "recipe.calibration.parts[1].text");
  EXPECT_EQ(field(2, [](auto& part) { part.blob = "xyz"; }), "recipe.calibration.parts[2].blob");
  EXPECT_EQ(field(4, [](auto& part) { part.source = CalibrationSource::kImage; }),
            "recipe.calibration.parts[4].source");
  Recipe empty;
  empty.calibration.source = CalibrationSource::kMix;
  EXPECT_EQ(FieldOf(CheckRecipe(empty)), "recipe.calibration.parts");
  Recipe stray = FromParts();
  stray.calibration.source = CalibrationSource::kDefault;
  EXPECT_EQ(FieldOf(CheckRecipe(stray)), "recipe.calibration.parts");
}

TEST(Recipe, EveryEnumNameRoundTrips) {
  for (const auto& entry : kMethodNames) EXPECT_EQ(EnumOf<Method>(EnumText(entry.value)), entry.value);
  for (const auto& entry : kSelectNames) EXPECT_EQ(EnumOf<Select>(EnumText(entry.value)), entry.value);
  for (const auto& entry : kLossNames) EXPECT_EQ(EnumOf<Loss>(EnumText(entry.value)), entry.value);
  for (const auto& entry : kCalibrationSourceNames) {
    EXPECT_EQ(EnumOf<CalibrationSource>(EnumText(entry.value)), entry.value);
  }
  EXPECT_EQ(EnumOf<Method>("GWQ"), std::nullopt);
}

struct Bad {
  const char* json;
  const char* field;
};

TEST(Recipe, RefusesAndNamesTheField) {
  const Bad cases[] = {
      {"", "recipe"},
      {"[]", "recipe"},
      {"{\"bits\":4", "recipe"},
      {"{\"bits\":4,\"bits\":3}", "recipe"},
      {R"({"calibration":{"text":"a","text":"b"}})", "recipe"},
      {R"({"bit":4})", "recipe.bit"},
      {R"({"bits":9})", "recipe.bits"},
      {R"({"bits":"4"})", "recipe.bits"},
      {R"({"bits":4.0})", "recipe.bits"},
      {R"({"bits":null})", "recipe.bits"},
      {R"({"bits":99999999999})", "recipe.bits"},
      {R"({"bits":-4})", "recipe.bits"},
      {R"({"group_size":0})", "recipe.group_size"},
      {R"({"group_size":12})", "recipe.group_size"},
      {R"({"group_size":-64})", "recipe.group_size"},
      {R"({"group_size":4294967296})", "recipe.group_size"},
      {R"({"group_size":18446744073709551615})", "recipe.group_size"},
      {R"({"outlier_ratio":0.51})", "recipe.gwq.outlier_ratio"},
      {R"({"outlier_ratio":-0.01})", "recipe.gwq.outlier_ratio"},
      {R"({"outlier_ratio":"1%"})", "recipe.gwq.outlier_ratio"},
      {R"({"method":"awq"})", "recipe.method"},
      {R"({"method":1})", "recipe.method"},
      {R"({"select":""})", "recipe.gwq.select"},
      {R"({"loss":"mean"})", "recipe.gwq.loss"},
      {R"({"format_version":3})", "recipe.format_version"},
      {R"({"scale_bits":4})", "recipe.scale_bits"},
      {R"({"scale_bits":8})", "recipe.scale_bits"},
      {R"({"gwq":3})", "recipe.gwq"},
      {R"({"gwq":{"damping":0.1}})", "recipe.gwq.damping"},
      {R"({"gptq":{"damping":0}})", "recipe.gptq.damping"},
      {R"({"gptq":{"damping":1.5}})", "recipe.gptq.damping"},
      {R"({"gptq":{"act_order":1}})", "recipe.gptq.act_order"},
      {R"({"spqr":{"outlier_ratio":0.6}})", "recipe.spqr.outlier_ratio"},
      {R"({"tuned":{"block_steps":-1}})", "recipe.tuned.block_steps"},
      {R"({"tuned":{"model_steps":100001}})", "recipe.tuned.model_steps"},
      {R"({"calibration":{"samples":4097}})", "recipe.calibration.samples"},
      {R"({"calibration":{"source":"token_ids","token_ids":[1,2],"samples":2}})", "recipe.calibration.samples"},
      {R"({"head_bits":4})", "recipe.head_bits"},
      {R"({"embedding_bits":3})", "recipe.embedding_bits"},
      {R"({"threads":0})", "recipe.threads"},
      {R"({"threads":257})", "recipe.threads"},
      {R"({"seed":-1})", "recipe.seed"},
      {R"({"seed":1.5})", "recipe.seed"},
      {R"({"calibration":[]})", "recipe.calibration"},
      {R"({"calibration":{"source":"web"}})", "recipe.calibration.source"},
      {R"({"calibration":{"max_tokens":1}})", "recipe.calibration.max_tokens"},
      {R"({"calibration":{"max_tokens":8193}})", "recipe.calibration.max_tokens"},
      {R"({"calibration":{"source":"text"}})", "recipe.calibration.text"},
      {R"({"calibration":{"text":"a"}})", "recipe.calibration.text"},
      {R"({"calibration":{"source":"chat"}})", "recipe.calibration.messages"},
      {R"({"calibration":{"source":"chat","messages":[{"content":"a"}]}})", "recipe.calibration.messages[0].role"},
      {R"({"calibration":{"source":"chat","messages":[{"role":"user","text":"a"}]}})",
       "recipe.calibration.messages[0].text"},
      {R"({"calibration":{"source":"token_ids"}})", "recipe.calibration.token_ids"},
      {R"({"calibration":{"source":"token_ids","token_ids":[7]}})", "recipe.calibration.token_ids"},
      {R"({"calibration":{"source":"token_ids","token_ids":[7,-1]}})", "recipe.calibration.token_ids[1]"},
      {R"({"calibration":{"source":"token_ids","token_ids":[7,"x"]}})", "recipe.calibration.token_ids[1]"},
      {R"({"calibration":{"source":"file"}})", "recipe.calibration.blob"},
      {R"({"calibration":{"question":"what?"}})", "recipe.calibration.question"},
      {R"({"calibration":{"source":"text","text":"t","answer":"a"}})", "recipe.calibration.answer"},
      {R"({"calibration":{"source":"image","text":"t"}})", "recipe.calibration.text"},
      {R"({"calibration":{"source":"image","blob":"abc"}})", "recipe.calibration.blob"},
      {R"({"calibration":{"source":"file","blob":"abc"}})", "recipe.calibration.blob"},
      {R"({"calibration":{"source":"dataset"}})", "recipe.calibration.dataset"},
      {R"({"calibration":{"source":"dataset","dataset":"datasets/texts"}})", "recipe.calibration.dataset"},
      {R"({"calibration":{"source":"text","text":"t","dataset":"abc"}})", "recipe.calibration.dataset"},
      {R"({"calibration":{"source":"dataset","text":"t"}})", "recipe.calibration.text"},
      {R"({"rules":{}})", "recipe.rules"},
      {R"({"rules":[{"bits":3}]})", "recipe.rules[0].pattern"},
      {R"({"rules":[{"pattern":"*"}]})", "recipe.rules[0]"},
      {R"({"rules":[{"pattern":"*","bits":3},{"pattern":"*","bits":1}]})", "recipe.rules[1].bits"},
      {R"({"rules":[{"pattern":"*","bits":3,"part":"audio"}]})", "recipe.rules[0].part"},
      {R"({"rules":[{"pattern":"*","bits":3,"kind":"norm"}]})", "recipe.rules[0].kind"},
      {R"({"rules":[{"pattern":"*","group_size":9}]})", "recipe.rules[0].group_size"},
      {R"({"evaluation_tokens":64})", "recipe.evaluation_tokens"},
  };
  for (const Bad& bad : cases) {
    const auto recipe = ParseRecipe(bad.json);
    EXPECT_EQ(recipe.status().code(), absl::StatusCode::kInvalidArgument) << bad.json;
    EXPECT_EQ(FieldOf(recipe.status()), bad.field) << bad.json << ": " << recipe.status();
  }
}

TEST(Recipe, CheckRefusesWhatJsonCannotSay) {
  Recipe recipe;
  recipe.gwq.outlier_ratio = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(FieldOf(CheckRecipe(recipe)), "recipe.gwq.outlier_ratio");
  recipe = {};
  recipe.calibration.text = "\xC3(";
  EXPECT_EQ(FieldOf(CheckRecipe(recipe)), "recipe.calibration.text");
}

TEST(Glob, MatchesWholeNames) {
  EXPECT_TRUE(GlobMatches("*", ""));
  EXPECT_TRUE(GlobMatches("model.layers.0.*", "model.layers.0.mlp.up_proj"));
  EXPECT_FALSE(GlobMatches("model.layers.0.*", "model.layers.10.mlp.up_proj"));
  EXPECT_TRUE(GlobMatches("*.down_proj", "model.layers.0.mlp.down_proj"));
  EXPECT_FALSE(GlobMatches("down_proj", "model.layers.0.mlp.down_proj"));
  EXPECT_TRUE(GlobMatches("a*b*c", "aXbbYc"));
  EXPECT_FALSE(GlobMatches("a*b*c", "aXbbY"));
  EXPECT_TRUE(GlobMatches("layers.?", "layers.7"));
  EXPECT_FALSE(GlobMatches("layers.?", "layers.17"));
  EXPECT_FALSE(GlobMatches("", "a"));
}

}  // namespace
}  // namespace gwq
