#include "core/calibration/walk_record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <memory>

#include "core/base/clock.h"
#include "core/base/progress.h"
#include "core/io/file_system.h"
#include "core/storage/checkpoint.h"
#include "core/storage/local_blob_store.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"

namespace gwq {
namespace {

using Json = nlohmann::json;
using testing::HasCode;
using testing::IsOk;
using testing::TempFolder;

constexpr auto kDataLoss = absl::StatusCode::kDataLoss;

WalkRecord Record() {
  return {"backward", 7, 0.1 + 0.2, {{"gradient", Sha256Of("g")}, {"in.7", Sha256Of("7")}, {"images", Sha256Of("i")}}};
}

TEST(WalkRecord, ComesBackFromItsJson) {
  const auto read = ParseWalkRecord(Json::parse(WalkRecordJson(Record()).dump()));
  ASSERT_THAT(read, IsOk());
  EXPECT_EQ(read->phase, "backward");
  EXPECT_EQ(read->stage, 7);
  EXPECT_EQ(read->loss, 0.1 + 0.2);
  EXPECT_EQ(read->states, Record().states);
}

TEST(WalkRecord, OfEveryWalkComesBack) {
  for (const WalkRecord& record : {WalkRecord{"forward", 3, 0, {{"in.0", Sha256Of("a")}, {"in.12", Sha256Of("b")}}},
                                   WalkRecord{"blocks", 1, 0, {{"quantized", Sha256Of("q")}, {"full", Sha256Of("f")}}},
                                   // Behind the last stage on the way back.
                                   WalkRecord{"backward", -1, 2.5, {}}, WalkRecord{"blocks", 0, 0, {}}}) {
    const auto read = ParseWalkRecord(WalkRecordJson(record));
    ASSERT_THAT(read, IsOk());
    EXPECT_EQ(read->states, record.states);
    EXPECT_EQ(read->phase, record.phase);
    EXPECT_EQ(read->stage, record.stage);
  }
}

TEST(WalkRecord, NamesItsBlobs) {
  EXPECT_THAT(BlobsOf(Record()), ::testing::UnorderedElementsAre(Sha256Of("g"), Sha256Of("7"), Sha256Of("i")));
}

TEST(WalkRecord, RefusesWhatIsNone) {
  EXPECT_THAT(ParseWalkRecord(Json()), HasCode(kDataLoss));
  EXPECT_THAT(ParseWalkRecord(Json::array()), HasCode(kDataLoss));
  for (const char* field : {"phase", "stage", "loss", "states"}) {
    SCOPED_TRACE(field);
    Json json = WalkRecordJson(Record());
    json.erase(field);
    EXPECT_THAT(ParseWalkRecord(json), HasCode(kDataLoss)) << "is missing";
    for (const Json& other : {Json(), Json(true), Json::array(), Json("x")}) {
      json[field] = other;
      EXPECT_THAT(ParseWalkRecord(json), HasCode(kDataLoss)) << "is " << other;
    }
  }
}

TEST(WalkRecord, RefusesStatesThatNoWalkStores) {
  for (const char* name : {"", "in", "in.", "in.x", "in.-1", "in.99999999999999999999", "gradients"}) {
    Json json = WalkRecordJson(Record());
    json["states"][name] = Sha256Of("a").Hex();
    EXPECT_THAT(ParseWalkRecord(json), HasCode(kDataLoss)) << name;
  }
  for (const Json& digest : {Json("abc"), Json(7), Json()}) {
    Json json = WalkRecordJson(Record());
    json["states"]["in.7"] = digest;
    EXPECT_THAT(ParseWalkRecord(json), HasCode(kDataLoss)) << digest;
  }
}

TEST(WalkRecord, RefusesAStageOutOfRange) {
  for (const int64_t stage : {int64_t{-2}, int64_t{1} << 33}) {
    Json json = WalkRecordJson(Record());
    json["stage"] = stage;
    EXPECT_THAT(ParseWalkRecord(json), HasCode(kDataLoss)) << stage;
  }
}

class StoredStates : public ::testing::Test {
 protected:
  void SetUp() override {
    auto store = OpenLocalBlobStore(LocalFileSystem(), folder_.path(), SystemClock());
    ASSERT_THAT(store, IsOk());
    store_ = *std::move(store);
    ASSERT_THAT(states_.Put(4, 0, {1, 2, 3}), IsOk());
    ASSERT_THAT(states_.Put(4, 2, {-0.0F, 5}), IsOk());
    ASSERT_THAT(states_.Put(5, 0, {9}), IsOk());
  }

  // The stored states of stage 4, changed by `change`.
  template <class Change>
  Digest Damaged(Change&& change) {
    const auto blob = StoreStates(*store_, states_, 4, 3, NoProgress());
    EXPECT_THAT(blob, IsOk());
    std::string bytes = ReadBlob(*store_, *blob, 1 << 20).value();
    change(bytes);
    return PutBlob(*store_, std::as_bytes(std::span(bytes))).value();
  }

  TempFolder folder_;
  std::unique_ptr<BlobStore> store_;
  StateStore states_{1 << 20};
};

TEST_F(StoredStates, ComeBackUnderAnotherStageAndLeaveOutWhatWasNotHeld) {
  const auto blob = StoreStates(*store_, states_, 4, 3, NoProgress());
  ASSERT_THAT(blob, IsOk());
  StateStore read(0);
  ASSERT_THAT(LoadStates(*store_, *blob, 11, 3, read, NoProgress()), IsOk());
  EXPECT_EQ(*read.Get(11, 0), (std::vector<float>{1, 2, 3}));
  EXPECT_FALSE(read.Holds(11, 1));
  EXPECT_EQ(*read.Get(11, 2), (std::vector<float>{-0.0F, 5}));
  EXPECT_TRUE(std::signbit(read.Get(11, 2)->at(0)));
  EXPECT_FALSE(read.Holds(4, 0));
}

TEST_F(StoredStates, AreAnotherBlobEachTimeSoThatOneJobAloneCanNameIt) {
  const auto first = StoreStates(*store_, states_, 4, 3, NoProgress());
  ASSERT_THAT(first, IsOk());
  EXPECT_NE(*StoreStates(*store_, states_, 4, 3, NoProgress()), *first);
}

TEST_F(StoredStates, RefuseABlobThatIsCutAnywhere) {
  constexpr size_t kWhole = kScratchHeaderBytes + 3 * sizeof(uint64_t) + 5 * sizeof(float);
  for (size_t size = 0; size < kWhole; ++size) {
    const Digest blob = Damaged([&](std::string& bytes) { bytes.resize(size); });
    StateStore read(1 << 20);
    EXPECT_THAT(LoadStates(*store_, blob, 4, 3, read, NoProgress()), HasCode(kDataLoss)) << size << " bytes";
  }
}

TEST_F(StoredStates, RefuseABlobOfAnotherNumberOfSamples) {
  const auto blob = StoreStates(*store_, states_, 4, 3, NoProgress());
  StateStore read(1 << 20);
  EXPECT_THAT(LoadStates(*store_, *blob, 4, 2, read, NoProgress()), HasCode(kDataLoss));
  EXPECT_THAT(LoadStates(*store_, *blob, 4, 4, read, NoProgress()), HasCode(kDataLoss));
}

TEST_F(StoredStates, RefuseACountThatIsTooLarge) {
  for (const size_t byte : {0U, 3U, 7U}) {
    const Digest blob = Damaged([&](std::string& bytes) { bytes[kScratchHeaderBytes + byte] = '\x7F'; });
    StateStore read(1 << 20);
    EXPECT_THAT(LoadStates(*store_, blob, 4, 3, read, NoProgress()), HasCode(kDataLoss)) << "byte " << byte;
  }
}

TEST_F(StoredStates, AreNotFoundWhereTheBlobIsGone) {
  StateStore read(1 << 20);
  EXPECT_THAT(LoadStates(*store_, Sha256Of("gone"), 4, 3, read, NoProgress()), HasCode(absl::StatusCode::kNotFound));
}

TEST_F(StoredStates, TokensOfSamplesComeBackAndACutBlobIsRefused) {
  const SampleSet samples = {{{1, 2, 3}, {}, {}, {}}, {{-1, 2147483647}, {}, {}, {}}};
  const auto blob = StoreTokens(*store_, samples);
  ASSERT_THAT(blob, IsOk());
  const auto read = LoadTokens(*store_, *blob);
  ASSERT_THAT(read, IsOk());
  ASSERT_EQ(read->size(), 2U);
  EXPECT_EQ((*read)[0].tokens, samples[0].tokens);
  EXPECT_EQ((*read)[1].tokens, samples[1].tokens);
  std::string bytes = *ReadBlob(*store_, *blob, 1000);
  for (bytes.pop_back(); !bytes.empty(); bytes.pop_back()) {
    const auto cut = PutBlob(*store_, std::as_bytes(std::span(bytes)));
    if (bytes.size() == kScratchHeaderBytes) continue;              // no sample
    if (bytes.size() == kScratchHeaderBytes + 8 + 3 * 4) continue;  // the first sample alone
    EXPECT_THAT(LoadTokens(*store_, *cut), HasCode(kDataLoss)) << bytes.size();
  }
}

}  // namespace
}  // namespace gwq
