#include "core/calibration/default_set.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "core/base/status.h"
#include "core/calibration/interleave.h"
#include "tests/support/status_matchers.h"
#include "tests/support/stored_golden.h"

namespace gwq {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;

constexpr int64_t kAll = 1000;

std::map<std::string_view, double> SharesOf(const std::vector<DefaultSetItem>& items) {
  std::map<std::string_view, double> shares;
  for (const DefaultSetItem& item : items) shares[item.kind] += 1.0 / static_cast<double>(items.size());
  return shares;
}

std::string KeyOf(const DatasetItem& item) { return item.text.empty() ? item.messages[0].content : item.text; }

std::string KeysOf(int64_t samples, uint64_t seed) {
  std::string keys;
  const auto items = ChooseDefaultItems(samples, seed);
  for (const DefaultSetItem& one : *items) keys += KeyOf(one.item);
  return keys;
}

TEST(Interleaved, EveryBeginningHasTheMixOfTheWhole) {
  const std::vector<size_t> counts = {40, 20, 15, 0, 1};
  const std::vector<InterleavedItem> order = Interleaved(counts);
  ASSERT_EQ(order.size(), 76U);
  std::vector<size_t> taken(counts.size());
  for (size_t i = 0; i < order.size(); ++i) {
    EXPECT_EQ(order[i].index, taken[order[i].part]++) << "a part's own order stays";
    for (size_t part = 0; part < counts.size(); ++part) {
      const double wanted = static_cast<double>(counts[part] * (i + 1)) / 76;
      EXPECT_NEAR(static_cast<double>(taken[part]), wanted, 1.5) << part << " after " << i;
    }
  }
}

TEST(DefaultSet, HasAboutTheSharesThatItsPageTells) {
  const auto all = ChooseDefaultItems(kAll, 0);
  ASSERT_THAT(all, IsOk());
  EXPECT_GE(all->size(), 96U);
  const auto shares = SharesOf(*all);
  EXPECT_NEAR(shares.at("prose"), 0.40, 0.03);
  EXPECT_NEAR(shares.at("code"), 0.19, 0.03);
  EXPECT_NEAR(shares.at("documentation"), 0.14, 0.03);
  EXPECT_NEAR(shares.at("chat"), 0.19, 0.03);
  EXPECT_NEAR(shares.at("languages"), 0.09, 0.03);
}

TEST(DefaultSet, EveryBeginningHasItsMixWhateverTheSeed) {
  for (const uint64_t seed : {0, 1, 99}) {
    const auto all = ChooseDefaultItems(kAll, seed);
    ASSERT_THAT(all, IsOk());
    const auto wanted = SharesOf(*all);
    for (const int64_t samples : {16, 40, 64, 96}) {
      const auto some = ChooseDefaultItems(samples, seed);
      ASSERT_THAT(some, IsOk());
      ASSERT_EQ(std::ssize(*some), samples);
      const auto shares = SharesOf(*some);
      for (const auto& [kind, share] : wanted) {
        EXPECT_NEAR(shares.contains(kind) ? shares.at(kind) : 0, share, 1.5 / static_cast<double>(samples)) << kind;
      }
      for (size_t i = 0; i < some->size(); ++i) {
        EXPECT_EQ(KeyOf((*some)[i].item), KeyOf((*all)[i].item)) << "fewer samples are a beginning of more";
      }
    }
  }
}

TEST(DefaultSet, ASeedDrawsOtherSamplesAndTheSameOneTheSame) {
  std::set<std::string> drawn;
  for (const uint64_t seed : {0, 1, 2, 3}) {
    EXPECT_EQ(KeysOf(16, seed), KeysOf(16, seed));
    drawn.insert(KeysOf(16, seed));
  }
  EXPECT_EQ(drawn.size(), 4U);
}

TEST(DefaultSet, HoldsNothingTwice) {
  std::set<std::string> keys;
  const auto all = ChooseDefaultItems(kAll, 0);
  for (const DefaultSetItem& one : *all) keys.insert(KeyOf(one.item));
  EXPECT_EQ(keys.size(), all->size());
}

TEST(DefaultSet, ItsPageNamesTheSourceAndTheLicenceOfEveryText) {
  std::ostringstream page;
  page << std::ifstream(std::string(std::getenv("GWQ_SOURCE_DIR")) + "/docs/calibration-set.md").rdbuf();
  for (const DefaultSetFile& file : DefaultSetFiles()) {
    const auto lines = SplitDataset(file.lines);
    for (const DatasetLine& line : *lines) {
      const nlohmann::json json = nlohmann::json::parse(line.text);
      const auto licence = json.at("licence").get<std::string>();
      EXPECT_THAT(page.str(),
                  HasSubstr("| " + std::string(file.kind) + " | " + json.at("title").get<std::string>() + " | " +
                            json.at("source").get<std::string>() + " | " + licence.substr(0, licence.find(','))));
    }
  }
}

class DefaultSetSamplesTest : public ::testing::Test {
 protected:
  // Of the tiny golden model, whose tokenizer knows hardly any word: what matters is how many.
  static absl::StatusOr<SampleSet> Make(const std::map<std::string, std::string>& files, int64_t samples,
                                        int64_t max_tokens) {
    testing::StoredGolden golden("llama-tied-f16-v4", files);
    const auto model = golden.Open(golden.digest());
    GWQ_ASSIGN_OR_RETURN(const auto read, model->TextFiles());
    GWQ_ASSIGN_OR_RETURN(const auto text, ModelText::Load(read));
    Calibration calibration;
    calibration.source = CalibrationSource::kDefault;
    calibration.max_tokens = max_tokens;
    return DefaultSetSamples(calibration, samples, 0, model->model()->config(), *text, NoProgress());
  }
};

TEST_F(DefaultSetSamplesTest, AreCutAtMaxTokens) {
  const auto samples = Make({}, 24, 7);
  ASSERT_THAT(samples, IsOk());
  ASSERT_EQ(samples->size(), 24U);
  for (const CalibrationSample& one : *samples) EXPECT_EQ(one.tokens.size(), 7U);
}

TEST_F(DefaultSetSamplesTest, DialoguesAreWrittenByTheModelsTemplateWhereItHasOne) {
  constexpr char kTemplate[] = "{% for m in messages %}{{ 'w1 w1 w1 w1 ' }}{% endfor %}";
  const auto with = Make({{"chat_template.jinja", kTemplate}}, 24, 4), without = Make({}, 24, 4);
  ASSERT_THAT(with, IsOk());
  ASSERT_THAT(without, IsOk());
  const CalibrationSample chat{{1, 1, 1, 1}, {}, {}, {}};
  const auto count = [&](const SampleSet& set) {
    return std::ranges::count(set, chat.tokens, &CalibrationSample::tokens);
  };
  EXPECT_EQ(count(*with), 4) << "19 of 102 are dialogues";
  EXPECT_EQ(count(*without), 0);
}

TEST_F(DefaultSetSamplesTest, ADialogueThatTheTemplateRefusesIsReadAsPlainText) {
  const auto refused = Make({{"chat_template.jinja", "{{ raise_exception('no') }}"}}, 24, 4);
  ASSERT_THAT(refused, IsOk());
  EXPECT_EQ(refused->size(), 24U);
}

}  // namespace
}  // namespace gwq
