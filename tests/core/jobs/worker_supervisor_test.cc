#include "core/jobs/worker_supervisor.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "core/base/status.h"

namespace gwq {
namespace {

struct FakeMachine {
  int started = 0;
  int alive = 0;
  int lifelines_closed = 0;
  bool refuse = false;
  std::vector<bool*> ended;  // of each live process
  int killed = 0;
};

class FakeProcess final : public WorkerProcess {
 public:
  explicit FakeProcess(FakeMachine& machine) : machine_(machine) {
    ++machine_.started;
    ++machine_.alive;
    machine_.ended.push_back(&ended_);
  }
  ~FakeProcess() override {
    --machine_.alive;
    std::erase(machine_.ended, &ended_);
  }
  bool Ended(std::string& how) override {
    how = "killed by signal 9";
    return ended_;
  }
  void CloseLifeline() override { ++machine_.lifelines_closed; }
  void Kill() override {
    ++machine_.killed;
    ended_ = true;
  }

 private:
  FakeMachine& machine_;
  bool ended_ = false;
};

class FakeLauncher final : public ProcessLauncher {
 public:
  explicit FakeLauncher(FakeMachine& machine) : machine_(machine) {}
  absl::StatusOr<std::unique_ptr<WorkerProcess>> Launch(const DeviceSlot&, const std::string&) override {
    if (machine_.refuse) return absl::NotFoundError("no such program");
    return std::make_unique<FakeProcess>(machine_);
  }

 private:
  FakeMachine& machine_;
};

class WorkerSupervisorTest : public testing::Test {
 protected:
  WorkerSupervisor::Events Events() {
    return {[this](const DeviceSlot&, const std::string& worker) { names_.push_back(worker); },
            [this](const DeviceSlot&, const std::string& worker, const std::string&) { dead_.push_back(worker); },
            [this](const DeviceSlot&, const absl::Status&) { ++refused_; }};
  }
  FakeMachine machine_;
  FakeLauncher launcher_{machine_};
  FakeClock clock_;
  std::unique_ptr<DeviceProvider> devices_ = *FakeDevices("2x80GiB");
  std::vector<std::string> names_, dead_;
  int refused_ = 0;
  WorkerSupervisor supervisor_{*devices_, launcher_, clock_, Events()};
};

TEST_F(WorkerSupervisorTest, EverySlotGetsOneWorkerWithANameOfItsOwn) {
  supervisor_.Poll();
  supervisor_.Poll();
  EXPECT_EQ(machine_.started, 2);
  ASSERT_EQ(names_.size(), 2u);
  EXPECT_NE(names_[0], names_[1]);
}

TEST_F(WorkerSupervisorTest, ADeadWorkerIsToldAndReplacedWithGrowingDelay) {
  supervisor_.Poll();
  for (const int64_t delay : {250, 500, 1000, 2000}) {
    *machine_.ended[0] = true;
    supervisor_.Poll();
    EXPECT_EQ(supervisor_.running(), 1);
    clock_.Advance(delay - 1);
    supervisor_.Poll();
    EXPECT_EQ(supervisor_.running(), 1) << delay;
    clock_.Advance(1);
    supervisor_.Poll();
    EXPECT_EQ(supervisor_.running(), 2) << delay;
    // The new process stands last; the next to die is the other slot's unless it is brought to the front.
    std::swap(machine_.ended[0], machine_.ended[1]);
  }
  EXPECT_EQ(dead_.size(), 4u);
}

TEST_F(WorkerSupervisorTest, AWorkerThatLivedLongIsReplacedSoon) {
  supervisor_.Poll();
  clock_.Advance(3'600'000);
  *machine_.ended[0] = true;
  supervisor_.Poll();
  clock_.Advance(250);
  supervisor_.Poll();
  EXPECT_EQ(supervisor_.running(), 2);
}

TEST_F(WorkerSupervisorTest, AWorkerIsKilledByItsNameAndReplaced) {
  supervisor_.Poll();
  EXPECT_FALSE(supervisor_.Kill("another machine's"));
  EXPECT_EQ(machine_.killed, 0);
  ASSERT_TRUE(supervisor_.Kill(names_[1]));
  EXPECT_EQ(machine_.killed, 1);
  supervisor_.Poll();
  EXPECT_EQ(dead_, std::vector<std::string>{names_[1]});
  clock_.Advance(250);
  supervisor_.Poll();
  EXPECT_EQ(machine_.started, 3);
  EXPECT_FALSE(supervisor_.Kill(dead_[0]));
}

TEST_F(WorkerSupervisorTest, AProgramThatCannotStartIsTriedAgainLater) {
  machine_.refuse = true;
  supervisor_.Poll();
  supervisor_.Poll();
  EXPECT_EQ(refused_, 2);
  machine_.refuse = false;
  clock_.Advance(250);
  supervisor_.Poll();
  EXPECT_EQ(supervisor_.running(), 2);
}

TEST_F(WorkerSupervisorTest, StopClosesLifelinesAndStartsNothingMore) {
  supervisor_.Poll();
  supervisor_.Stop();
  EXPECT_EQ(machine_.lifelines_closed, 2);
  *machine_.ended[0] = true;
  supervisor_.Poll();
  clock_.Advance(60'000);
  supervisor_.Poll();
  EXPECT_EQ(machine_.started, 2);
}

// Real processes.

bool WaitForEnd(WorkerProcess& process, std::string& how) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (std::chrono::steady_clock::now() < until) {
    if (process.Ended(how)) return true;
  }
  return false;
}

TEST(ProcessLauncher, AClosedLifelineEndsTheProcess) {
  const auto launcher = MakeProcessLauncher(
      [](const DeviceSlot&, const std::string&, int lifeline) {
        return std::vector<std::string>{"/bin/sh", "-c", "cat <&" + std::to_string(lifeline) + "; exit 7"};
      },
      {});
  auto process = launcher->Launch({"cpu:0", 1}, "w");
  ASSERT_TRUE(process.ok()) << process.status();
  std::string how;
  EXPECT_FALSE((*process)->Ended(how));
  (*process)->CloseLifeline();
  ASSERT_TRUE(WaitForEnd(**process, how));
  EXPECT_EQ(how, "exit status 7");
}

TEST(ProcessLauncher, TheEnvironmentIsPassedAndAMissingProgramIsAnError) {
  const auto launcher = MakeProcessLauncher(
      [](const DeviceSlot&, const std::string& worker, int) {
        if (worker == "missing") return std::vector<std::string>{"/no/such/program"};
        return std::vector<std::string>{"/bin/sh", "-c", "test \"$GWQ_TOKEN\" = secret && kill -9 $$"};
      },
      {"GWQ_TOKEN=secret"});
  auto process = launcher->Launch({"cpu:0", 1}, "w");
  ASSERT_TRUE(process.ok());
  std::string how;
  ASSERT_TRUE(WaitForEnd(**process, how));
  EXPECT_EQ(how.substr(0, 18), "killed by signal 9");
  EXPECT_FALSE(launcher->Launch({"cpu:0", 1}, "missing").ok());
}

TEST(ProcessLauncher, SettingsOfThisProcessAreNotTheWorkers) {
  setenv("GWQ_CONFIG", "/no/such/file", 1);
  const auto launcher = MakeProcessLauncher(
      [](const DeviceSlot&, const std::string&, int) {
        return std::vector<std::string>{"/bin/sh", "-c", "test -z \"$GWQ_CONFIG\" && test -n \"$PATH\" && exit 5"};
      },
      {});
  auto process = launcher->Launch({"cpu:0", 1}, "w");
  unsetenv("GWQ_CONFIG");
  ASSERT_TRUE(process.ok());
  std::string how;
  ASSERT_TRUE(WaitForEnd(**process, how));
  EXPECT_EQ(how, "exit status 5");
}

TEST(Devices, ParsesPoolsAndRefusesNonsense) {
  const auto devices = *FakeDevices("4x80GiB,1x512MiB");
  ASSERT_EQ(devices->Slots().size(), 5u);
  EXPECT_EQ(devices->Slots()[4].name, "fake:4");
  EXPECT_EQ(devices->Slots()[4].memory_bytes, uint64_t{512} << 20);
  EXPECT_EQ(LargestMemory(*devices), uint64_t{80} << 30);
  for (const char* text :
       {"", "x", "4x", "0x1GiB", "4x80", "4x80GB", "4x80GiB;", "1000x1GiB", "-1x1GiB", "1x9999999GiB"}) {
    EXPECT_EQ(FakeDevices(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
  EXPECT_EQ((*CpuDevices(2, 1000))->Slots()[1].memory_bytes, 500u);
  EXPECT_FALSE(CpuDevices(0, 0).ok());
}

}  // namespace
}  // namespace gwq
