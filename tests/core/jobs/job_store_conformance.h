// What every JobStore must do. An implementation registers once:
//   INSTANTIATE_TEST_SUITE_P(Sqlite, JobStoreConformance, testing::Values(JobStoreCase{"file", MakeStore}));
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/base/clock.h"
#include "core/jobs/catalogue.h"
#include "core/jobs/job_store.h"
#include "core/jobs/pass_store.h"

namespace gwq {

inline constexpr int64_t kSuiteLeaseMillis = 10'000;
inline constexpr int kSuiteMaxQueued = 5;
inline constexpr int kSuiteMaxUploads = 3;
inline constexpr uint64_t kSuitePassBytes = 1000, kSuitePassPrincipalBytes = 600;

// A store and what it stands on. Both views are of one store.
struct StoreUnderTest {
  std::shared_ptr<void> owner;
  JobStore* jobs = nullptr;
  Catalogue* catalogue = nullptr;
  PassStore* passes = nullptr;
};
struct JobStoreCase {
  std::string name;
  // With the limits above. Called again on the same folder it opens what was stored, where `keeps` is true.
  std::function<StoreUnderTest(const std::string& folder, const Clock& clock)> open;
  bool keeps = true;
};

class JobStoreConformance : public testing::TestWithParam<JobStoreCase> {
 protected:
  void SetUp() override;
  void TearDown() override;
  void Open() { store_ = GetParam().open(folder_, clock_); }

  JobStore& jobs() { return *store_.jobs; }
  Catalogue& catalogue() { return *store_.catalogue; }
  PassStore& passes() { return *store_.passes; }
  absl::StatusOr<Job> Enqueue(const std::string& principal, const std::string& request_id = "",
                              uint64_t memory_bytes = 0);
  absl::StatusOr<Lease> Acquire(uint64_t memory_bytes = 1000);
  // Of a job that was made for "alice".
  Job Get(const std::string& id);

  std::string folder_;
  FakeClock clock_;
  StoreUnderTest store_;
};

// What every store of kept gradient passes must do besides.
class PassStoreConformance : public JobStoreConformance {
 protected:
  // Gives the principal the model.
  void Publish(const std::string& principal, const std::string& name, const Digest& manifest);
  bool Has(const std::string& principal, const std::string& what, const std::string& producer = "cpu");
  // A millisecond later; what is not kept any more.
  std::vector<Digest> Keep(const PassRecord& record);
};

[[nodiscard]] Publication PublicationOf(const std::string& kind, const std::string& name, const Digest& manifest);

}  // namespace gwq
