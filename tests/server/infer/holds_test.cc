#include "server/infer/models/holds.h"

#include <gtest/gtest.h>

#include "absl/status/statusor.h"

namespace gwq {
namespace {

// Fails the first renewals.
class FlakySource final : public ModelSource {
 public:
  absl::StatusOr<ResolvedModel> Resolve(const Caller&, const std::string& name, OnUnavailable) override {
    MutexLock lock(mutex_);
    ++calls_;
    changed_.NotifyAll();
    if (calls_ < 3) return absl::UnavailableError("gwq-jobs restarts");
    return ResolvedModel{name, Digest{}, ""};
  }
  absl::Status Release(const Caller&, const Digest&) override { return absl::UnavailableError("gwq-jobs is gone"); }
  int64_t hold_millis() const override { return 30; }
  void WaitCalls(int calls) {
    MutexLock lock(mutex_);
    while (calls_ < calls) changed_.Wait(mutex_);
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  int calls_ ABSL_GUARDED_BY(mutex_) = 0;
};

TEST(Holds, AFailedRenewalIsTriedAgainAndAFailedReleaseIsNoError) {
  FlakySource source;
  const Log log("test", LogLevel::kError);
  Holds holds(source, log);
  const Caller caller;
  holds.Keep(caller, {"models/x", Digest{}, ""});
  source.WaitCalls(4);
  holds.Drop(caller.principal, "models/x");
  holds.Drop(caller.principal, "models/x");
}

// Nobody answers; what is asked is counted.
class AbsentSource final : public ModelSource {
 public:
  AbsentSource(int& releases, absl::StatusCode code) : releases_(releases), code_(code) {}
  absl::StatusOr<ResolvedModel> Resolve(const Caller&, const std::string&, OnUnavailable) override {
    return absl::UnavailableError("gwq-jobs is gone");
  }
  absl::Status Release(const Caller&, const Digest&) override {
    ++releases_;
    return absl::Status(code_, "not released");
  }
  int64_t hold_millis() const override { return 600'000; }

 private:
  int& releases_;
  const absl::StatusCode code_;
};

int ReleasesAtTheEnd(absl::StatusCode code) {
  int releases = 0;
  AbsentSource source(releases, code);
  const Log log("test", LogLevel::kError);
  {
    Holds holds(source, log);
    for (const char* name : {"models/a", "models/b", "models/c"}) holds.Keep(Caller(), {name, Sha256Of(name), ""});
  }
  return releases;
}

TEST(Holds, AtTheEndASourceThatIsAwayIsAskedOnceForAllOfThem) {
  EXPECT_EQ(ReleasesAtTheEnd(absl::StatusCode::kUnavailable), 1);
  EXPECT_EQ(ReleasesAtTheEnd(absl::StatusCode::kUnauthenticated), 3) << "one's token says nothing of another's";
}

}  // namespace
}  // namespace gwq
