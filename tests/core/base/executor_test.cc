// The order, the bound and the end of an executor.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <vector>

#include "core/base/thread_pool.h"
#include "tests/support/status_matchers.h"

namespace gwq {
namespace {

using ::testing::ElementsAre;
using testing::HasCode;
using testing::IsOk;

// A task that says when it runs and then waits to be let go.
class Held {
 public:
  std::function<void()> Task() {
    return [this] {
      started_.set_value();
      released_.get_future().wait();
    };
  }
  void AwaitStart() { started_.get_future().wait(); }
  void Release() { released_.set_value(); }

 private:
  std::promise<void> started_, released_;
};

TEST(Executor, OneThreadRunsTasksInTheOrderOfPosting) {
  std::vector<int> order;
  {
    Executor executor(1, 100);
    for (int i = 0; i < 100; ++i) ASSERT_THAT(executor.Post([&order, i] { order.push_back(i); }), IsOk());
  }
  for (int i = 0; i < 100; ++i) EXPECT_EQ(order[static_cast<size_t>(i)], i);
}

TEST(Executor, ATaskThatRunsHasLeftTheQueue) {
  Held first;
  Executor executor(1, 1);
  ASSERT_THAT(executor.Post(first.Task()), IsOk());
  first.AwaitStart();
  EXPECT_EQ(executor.queued(), 0U);
  ASSERT_THAT(executor.Post([] {}), IsOk());
  EXPECT_EQ(executor.queued(), 1U);
  EXPECT_THAT(executor.Post([] {}), HasCode(absl::StatusCode::kResourceExhausted));
  EXPECT_EQ(executor.queued(), 1U) << "what is refused does not wait";
  first.Release();
}

TEST(Executor, AnExecutorThatWasFullTakesTasksAgain) {
  Held first;
  std::promise<void> second;
  Executor executor(1, 1);
  ASSERT_THAT(executor.Post(first.Task()), IsOk());
  first.AwaitStart();
  ASSERT_THAT(executor.Post([&] { second.set_value(); }), IsOk());
  first.Release();
  second.get_future().wait();
  EXPECT_THAT(executor.Post([] {}), IsOk());
}

TEST(Executor, TasksOfSeveralThreadsRunAtOnce) {
  // Each waits for the other: one thread alone would never end.
  std::promise<void> here, there;
  Executor executor(2, 2);
  std::promise<void> done;
  ASSERT_THAT(executor.Post([&] {
    here.set_value();
    there.get_future().wait();
    done.set_value();
  }),
              IsOk());
  ASSERT_THAT(executor.Post([&] {
    there.set_value();
    here.get_future().wait();
  }),
              IsOk());
  done.get_future().wait();
}

TEST(Executor, WhatATaskHoldsIsFreedWhenItHasRun) {
  auto held = std::make_shared<int>(1);
  const std::weak_ptr<int> seen = held;
  std::promise<bool> gone;
  Executor executor(1, 2);
  ASSERT_THAT(executor.Post([held] {}), IsOk());
  held.reset();
  ASSERT_THAT(executor.Post([&] { gone.set_value(seen.expired()); }), IsOk());
  EXPECT_TRUE(gone.get_future().get());
}

TEST(Executor, ATaskMayPostAndIsRefusedOnceTheExecutorGoes) {
  absl::Status last;
  std::promise<void> started;
  {
    Executor executor(1, 4);
    ASSERT_THAT(executor.Post([&] {
      started.set_value();
      // Full or not, it ends with the refusal of an executor that goes.
      while (!absl::IsUnavailable(last)) last = executor.Post([] {});
    }),
                IsOk());
    started.get_future().wait();
  }
  EXPECT_THAT(last, HasCode(absl::StatusCode::kUnavailable));
}

}  // namespace
}  // namespace gwq
