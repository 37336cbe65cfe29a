// What the handlers of gwq-jobs share. Everything referenced outlives the server; all of it is thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "core/base/clock.h"
#include "core/jobs/catalogue.h"
#include "core/jobs/job_store.h"
#include "core/jobs/pass_store.h"
#include "core/quant/plan.h"
#include "core/storage/blob_store.h"
#include "server/common/call.h"
#include "server/jobs/job_watchers.h"
#include "server/jobs/timers.h"

namespace gwq {

class LeaseTable;
class ManifestCache;
class UploadManifests;
class WaitingOffers;
class WorkerContacts;

struct JobsLimits {
  uint64_t upload_bytes = uint64_t{1} << 40;
  uint64_t manifest_bytes = uint64_t{32} << 20;  // of an upload's pages together
  int64_t upload_millis = int64_t{24} * 3600 * 1000;
  int max_pages = 4096;
  uint64_t keep_free_bytes = uint64_t{256} << 20;  // of the disk, so that the database can be written
  uint64_t pass_bytes = uint64_t{1} << 30;         // of the largest gradient pass that is kept
};

struct JobsState {
  JobStore& jobs;
  Catalogue& catalogue;
  PassStore& passes;
  BlobStore& blobs;
  const Clock& clock;
  JobWatchers& watchers;
  Timers& timers;
  UploadManifests& uploads;
  ManifestCache& manifests;
  LeaseTable& leases;
  WaitingOffers& offers;
  WorkerContacts& contacts;
  // Held while something is made reachable, and by the garbage collector from the time it lists what it keeps until it
  // has removed the rest.
  Mutex& collection;
  JobsLimits limits;
  // Memory of the largest device: a job that needs more would wait for ever.
  uint64_t largest_device_bytes = 0;
  std::string blob_root;
  // WorkerService is open to this principal alone; empty: to everybody.
  std::string worker_principal;
  // What the disk of the state folder has left.
  std::function<uint64_t()> free_bytes;
};

// Bytes of the disk that work may take.
[[nodiscard]] uint64_t RoomOnDisk(const JobsState& state);

// RESOURCE_EXHAUSTED if the disk has no room for `bytes` more beside what is kept free.
[[nodiscard]] absl::Status CheckRoom(const JobsState& state, uint64_t bytes);

[[nodiscard]] Job NewJob(const std::string& principal, std::string_view kind, std::string spec_json,
                         std::string request_id);
// What the job will do. FAILED_PRECONDITION if no device could hold it.
[[nodiscard]] absl::StatusOr<Plan> PlanJob(const JobsState& state, const Job& job);
// Plans the job, asks for a place in the queue, stores its long texts and queues it; state.collection is held.
// RESOURCE_EXHAUSTED if the disk is full.
[[nodiscard]] absl::StatusOr<Job> PlanAndEnqueue(JobsState& state, Job job);
// The same for a job whose memory_bytes is known.
[[nodiscard]] absl::StatusOr<Job> EnqueuePlanned(JobsState& state, Job job);

// The job with its whole spec. Texts that cannot be read stay cut: the job itself is still worth showing.
[[nodiscard]] Job WithTexts(const JobsState& state, Job job);

}  // namespace gwq
