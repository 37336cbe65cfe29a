#include "server/jobs/maintenance.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>

#include <algorithm>

#include "core/base/status.h"
#include "core/manifest/limits.h"
#include "core/storage/checkpoint.h"
#include "server/jobs/handlers/upload_manifest.h"
#include "server/jobs/worker_contacts.h"

namespace gwq {
namespace {

constexpr auto kTick = std::chrono::milliseconds(100);
// Each may have 10,000 lines of log.
constexpr int kPurgedAtOnce = 4;
// Ended jobs whose scratch blobs are removed in one step.
constexpr int kScratchAtOnce = 8;

}  // namespace

Maintenance::Maintenance(JobsState& state, WorkerSupervisor* supervisor, Metrics& metrics, const Log& log,
                         Periods periods)
    : state_(state),
      supervisor_(supervisor),
      metrics_(metrics),
      log_(log),
      periods_(periods),
      next_expiry_(state.clock.MonotonicMillis()),
      next_collection_(state.clock.MonotonicMillis() + periods.collection_millis) {}

Maintenance::~Maintenance() { Stop(); }

void Maintenance::Start() {
  thread_ = std::thread([this] { Run(); });
}

void Maintenance::Stop() {
  {
    MutexLock lock(mutex_);
    stop_ = true;
  }
  changed_.NotifyAll();
  if (thread_.joinable()) thread_.join();
}

void Maintenance::Run() {
  for (;;) {
    Tick();
    const auto until = std::chrono::steady_clock::now() + kTick;
    MutexLock lock(mutex_);
    while (!stop_ && changed_.WaitUntil(mutex_, until)) {
    }
    if (stop_) return;
  }
}

void Maintenance::Tick() {
  if (supervisor_ != nullptr) supervisor_->Poll();
  const int64_t now = state_.clock.MonotonicMillis();
  if (now >= next_expiry_) {
    next_expiry_ = now + periods_.expiry_millis;
    ExpireLeasesAndUploads();
    RemoveEndedScratch();
    KillSilentWorkers();
    Report();
  }
  if (now >= next_collection_) {
    next_collection_ = now + periods_.collection_millis;
    ReportCollection();
    if (periods_.retention_millis > 0 && !purge_.has_value()) {
      purge_ = Purge{.before = state_.clock.WallMillis() - periods_.retention_millis, .position = {}};
    }
  }
  // One step a tick: workers, leases and the end of the service wait for no more than that.
  if (purge_.has_value()) PurgeSomeJobs();
}

void Maintenance::ReportCollection() {
  const auto freed = Collect();
  if (!freed.ok()) return log_.Write(LogLevel::kError, "collect", {{"error", MessageOf(freed.status())}});
  metrics_.Counter("gwq_collected_bytes_total", "Bytes of blobs that nothing named and that were removed.")
      .Increment(static_cast<double>(*freed));
  log_.Write(LogLevel::kInfo, "collect", {{"freed_bytes", *freed}});
}

void Maintenance::PurgeSomeJobs() {
  const auto some = state_.jobs.PurgeEnded(purge_->before, purge_->position, kPurgedAtOnce);
  if (!some.ok()) {
    log_.Write(LogLevel::kError, "remove_jobs", {{"error", MessageOf(some.status())}});
    return purge_.reset();
  }
  purge_->removed += some->removed;
  metrics_.Counter("gwq_jobs_removed_total", "Ended jobs that were kept long enough and removed.")
      .Increment(static_cast<double>(some->removed));
  if (some->next.has_value()) {
    purge_->position = *some->next;
    return;
  }
  log_.Write(LogLevel::kInfo, "remove_jobs", {{"removed", purge_->removed}});
  purge_.reset();
}

void Maintenance::KillSilentWorkers() {
  if (supervisor_ == nullptr) return;
  for (const std::string& worker : state_.contacts.SilentFor(periods_.silence_millis, state_.leases)) {
    if (!supervisor_->Kill(worker)) continue;
    log_.Write(LogLevel::kWarning, "kill_silent_worker", {{"worker", worker}});
    metrics_.Counter("gwq_workers_silent_total", "Worker processes that hung without a job and were killed.")
        .Increment();
  }
}

void Maintenance::ExpireLeases() {
  const auto leases = state_.jobs.ExpireLeases();
  if (!leases.ok()) return log_.Write(LogLevel::kError, "expire_leases", {{"error", MessageOf(leases.status())}});
  for (const JobStore::ExpiredLease& lease : *leases) {
    // The job is lost to it in any case: one that hangs would keep its device from the others.
    const bool killed = supervisor_ != nullptr && supervisor_->Kill(lease.worker);
    state_.leases.Drop(lease.worker, lease.job);
    log_.Write(LogLevel::kWarning, "expire_lease", {{"job", lease.job}, {"worker", lease.worker}, {"killed", killed}});
    metrics_.Counter("gwq_leases_expired_total", "Leases that ran out because the worker stopped answering.")
        .Increment();
  }
}

void Maintenance::ExpireLeasesAndUploads() {
  ExpireLeases();
  const auto uploads = state_.catalogue.ExpireUploads();
  if (!uploads.ok()) {
    log_.Write(LogLevel::kError, "expire_uploads", {{"error", MessageOf(uploads.status())}});
    return;
  }
  for (const Upload& upload : *uploads) {
    state_.uploads.Forget(upload.id);
    const absl::Status dropped = state_.blobs.DropPartials(upload.id + "/");
    log_.Write(dropped.ok() ? LogLevel::kInfo : LogLevel::kError, "expire_upload",
               {{"upload", upload.id}, {"error", MessageOf(dropped)}});
  }
}

void Maintenance::RemoveEndedScratch() {
  const auto ended = state_.jobs.EndedCheckpoints(kScratchAtOnce);
  if (!ended.ok()) return log_.Write(LogLevel::kError, "remove_scratch", {{"error", MessageOf(ended.status())}});
  for (const JobStore::EndedCheckpoint& one : *ended) {
    RemoveScratch(state_.blobs, one.checkpoint, {});
    const absl::Status forgotten = state_.jobs.ForgetCheckpoint(one.job);
    if (!forgotten.ok()) log_.Write(LogLevel::kError, "remove_scratch", {{"error", MessageOf(forgotten)}});
  }
}

void Maintenance::Report() {
  if (supervisor_ != nullptr) {
    metrics_.Gauge("gwq_workers_running", "Worker processes that run.").Set(supervisor_->running());
  }
  const auto live = state_.jobs.CountLive();
  if (!live.ok()) return;  // the next call that needs the store tells why
  for (const auto& [state, count] :
       {std::pair(JobState::kQueued, live->queued), std::pair(JobState::kRunning, live->running)}) {
    metrics_
        .Gauge("gwq_jobs_live", "Jobs that have not ended, by state.", {{"state", std::string(JobStateName(state))}})
        .Set(static_cast<double>(count));
  }
}

absl::Status Maintenance::AddUploads(std::vector<Digest>& keep) {
  GWQ_ASSIGN_OR_RETURN(const std::vector<Upload> uploads, state_.catalogue.OpenUploads());
  for (const Upload& upload : uploads) {
    const auto declared = state_.uploads.Of(state_.catalogue, upload.principal, upload.id);
    // Pages that contradict each other are refused with the last one; nothing was promised before.
    if (absl::IsInvalidArgument(declared.status())) continue;
    GWQ_RETURN_IF_ERROR(declared.status());
    const UploadManifest* const manifest = declared->get();
    for (const auto& [digest, size] : manifest->blobs) keep.push_back(digest);
  }
  return absl::OkStatus();
}

absl::Status Maintenance::AddManifests(const std::vector<Digest>& manifests, std::vector<Digest>& keep) {
  for (const Digest& digest : manifests) {
    const auto json = ReadBlob(state_.blobs, digest, kMaxManifestBytes);
    if (absl::IsNotFound(json.status())) continue;  // held by a server that outlived its deletion
    GWQ_RETURN_IF_ERROR(json.status());
    GWQ_ASSIGN_OR_RETURN(const Manifest manifest, ParseManifest(*json));
    keep.push_back(digest);
    const std::vector<Digest> blobs = manifest.Blobs();
    keep.insert(keep.end(), blobs.begin(), blobs.end());
  }
  return absl::OkStatus();
}

absl::Status Maintenance::AddCheckpoints(const std::vector<Digest>& checkpoints, std::vector<Digest>& keep) {
  for (const Digest& digest : checkpoints) {
    const absl::StatusOr<Checkpoint> checkpoint = ReadCheckpoint(state_.blobs, digest);
    if (absl::IsDataLoss(checkpoint.status())) {
      // Its job begins again. The others' disk must not fill up meanwhile.
      log_.Write(LogLevel::kWarning, "damaged_checkpoint", {{"error", MessageOf(checkpoint.status())}});
      continue;
    }
    GWQ_RETURN_IF_ERROR(checkpoint.status());
    keep.push_back(digest);
    keep.insert(keep.end(), checkpoint->blobs.begin(), checkpoint->blobs.end());
    keep.insert(keep.end(), checkpoint->scratch.begin(), checkpoint->scratch.end());
  }
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> Maintenance::Collect() {
  MutexLock reachable(state_.collection);
  int64_t before = state_.clock.WallMillis() - periods_.grace_millis;
  GWQ_ASSIGN_OR_RETURN(const CollectionRoots roots, state_.catalogue.Roots());
  std::vector<Digest> keep = roots.blobs;
  GWQ_RETURN_IF_ERROR(AddManifests(roots.manifests, keep));
  GWQ_RETURN_IF_ERROR(AddCheckpoints(roots.checkpoints, keep));
  GWQ_RETURN_IF_ERROR(AddUploads(keep));
  if (roots.running_since_wall_millis.has_value()) {
    before = std::min(before, *roots.running_since_wall_millis - periods_.grace_millis);
  }
  return state_.blobs.CollectGarbage(keep, before);
}

}  // namespace gwq
