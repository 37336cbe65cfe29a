#include "core/calibration/state_store.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <utility>

#include "tests/support/status_matchers.h"

namespace gwq {
namespace {

using testing::HasCode;
using testing::IsOk;

constexpr size_t kFloats = 100;
constexpr uint64_t kBytes = kFloats * sizeof(float);

std::vector<float> State(int stage, size_t sample, size_t floats = kFloats) {
  std::vector<float> out(floats);
  for (size_t i = 0; i < floats; ++i) out[i] = static_cast<float>(stage * 1000) + static_cast<float>(sample * 10 + i);
  return out;
}

void PutAll(StateStore& store, int stage, size_t samples) {
  for (size_t i = 0; i < samples; ++i) ASSERT_THAT(store.Put(stage, i, State(stage, i)), IsOk());
}

void ExpectAll(const StateStore& store, int stage, size_t samples) {
  for (size_t i = 0; i < samples; ++i) {
    const auto state = store.Get(stage, i);
    ASSERT_THAT(state, IsOk());
    EXPECT_EQ(*state, State(stage, i)) << "stage " << stage << ", sample " << i;
  }
}

TEST(StateStore, HoldsInMemoryWhatFitsAndTheRestInAFile) {
  StateStore store(3 * kBytes);
  PutAll(store, 0, 3);
  EXPECT_EQ(store.memory_bytes(), 3 * kBytes);
  EXPECT_EQ(store.file_bytes(), 0U);
  PutAll(store, 1, 2);
  EXPECT_EQ(store.memory_bytes(), 3 * kBytes);
  EXPECT_EQ(store.file_bytes(), 2 * kBytes);
  ExpectAll(store, 0, 3);
  ExpectAll(store, 1, 2);
}

TEST(StateStore, WithoutMemoryHoldsAllInTheFile) {
  StateStore store(0);
  PutAll(store, 0, 4);
  EXPECT_EQ(store.memory_bytes(), 0U);
  ExpectAll(store, 0, 4);
}

TEST(StateStore, UsesMemoryAgainAfterADrop) {
  StateStore store(2 * kBytes);
  PutAll(store, 0, 3);
  store.Drop(0, 0);
  EXPECT_EQ(store.memory_bytes(), kBytes);
  ASSERT_THAT(store.Put(1, 0, State(1, 0)), IsOk());
  EXPECT_EQ(store.memory_bytes(), 2 * kBytes);
  EXPECT_EQ(store.file_bytes(), kBytes);
}

// As a walk does it: each state gives way to the one behind the next stage.
TEST(StateStore, TheFileNeverGrowsPastTheMostStatesOfOneSizeHeldAtOnce) {
  StateStore store(kBytes);
  PutAll(store, 0, 5);
  for (int stage = 0; stage < 20; ++stage) {
    for (size_t i = 0; i < 5; ++i) {
      ASSERT_THAT(store.Put(stage + 1, i, State(stage + 1, i)), IsOk());
      store.Drop(stage, i);
    }
    EXPECT_LE(store.memory_bytes(), kBytes);
    ExpectAll(store, stage + 1, 5);
  }
  EXPECT_LE(store.file_bytes(), 6 * kBytes);
}

TEST(StateStore, AnotherStateOfTheSameKeyTakesItsPlace) {
  StateStore store(kBytes);
  PutAll(store, 0, 2);
  for (int again = 0; again < 10; ++again) {
    for (size_t i = 0; i < 2; ++i) ASSERT_THAT(store.Put(0, i, State(again, i)), IsOk());
  }
  EXPECT_EQ(store.memory_bytes(), kBytes);
  EXPECT_EQ(store.file_bytes(), kBytes);
  EXPECT_EQ(*store.Get(0, 1), State(9, 1));
}

TEST(StateStore, KeepsStatesApartThroughManyPutsAndDropsOfManySizes) {
  std::mt19937 random(17);
  StateStore store(1000);
  std::map<std::pair<int, size_t>, std::vector<float>> held;
  for (int turn = 0; turn < 3000; ++turn) {
    const int stage = static_cast<int>(random() % 4);
    const size_t sample = random() % 5;
    if (random() % 3 == 0) {
      store.Drop(stage, sample);
      held.erase({stage, sample});
    } else {
      const std::vector<float> state = State(turn, sample, 10 + random() % 8 * 10);
      ASSERT_THAT(store.Put(stage, sample, state), IsOk());
      held[{stage, sample}] = state;
    }
    EXPECT_LE(store.memory_bytes(), 1000U);
  }
  for (int stage = 0; stage < 4; ++stage) {
    for (size_t sample = 0; sample < 5; ++sample) {
      ASSERT_EQ(store.Holds(stage, sample), held.contains({stage, sample}));
      const auto state = store.Get(stage, sample);
      EXPECT_EQ(state.value_or(std::vector<float>()), (held[{stage, sample}]));
    }
  }
}

TEST(StateStore, TellsWhatItDoesNotHold) {
  StateStore store(kBytes);
  EXPECT_FALSE(store.Holds(0, 0));
  EXPECT_THAT(store.Get(0, 0), HasCode(absl::StatusCode::kInternal));
  store.Drop(0, 0);
  PutAll(store, 0, 1);
  EXPECT_TRUE(store.Holds(0, 0));
  store.Drop(0, 0);
  EXPECT_FALSE(store.Holds(0, 0));
  EXPECT_EQ(store.memory_bytes(), 0U);
}

}  // namespace
}  // namespace gwq
