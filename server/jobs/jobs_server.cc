#include "server/jobs/jobs_server.h"

#include <fmt/format.h>
#include <prometheus/counter.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <thread>

#include "core/base/random_id.h"
#include "core/base/status.h"
#include "core/jobs/sqlite_store.h"
#include "core/storage/local_blob_store.h"
#include "server/common/service_host.h"
#include "server/jobs/handlers/services.h"
#include "server/jobs/handlers/upload_manifest.h"
#include "server/jobs/lease_table.h"
#include "server/jobs/manifest_cache.h"
#include "server/jobs/waiting_offers.h"
#include "server/jobs/worker_contacts.h"

namespace gwq {
namespace {

constexpr char kWorkerPrincipal[] = "worker";
constexpr int kBlobThreads = 4;
constexpr std::chrono::seconds kWorkersEnd{5};
constexpr std::chrono::milliseconds kWorkersPoll{10};

std::string ProgramBeside(const std::string& name) {
  char path[4096];
  const ssize_t length = readlink("/proc/self/exe", path, sizeof(path));
  const std::string self(path, length > 0 ? static_cast<size_t>(length) : 0);
  return self.substr(0, self.rfind('/') + 1) + name;
}

// Workers of this machine reach a service that listens on every address by the loopback one.
std::string LocalAddress(const std::string& address) {
  const std::string port = address.substr(address.rfind(':'));
  const std::string host = address.substr(0, address.rfind(':'));
  return (host == "0.0.0.0" || host == "[::]" ? "127.0.0.1" : host) + port;
}

// Of the disk of `folder`; where that cannot be told, writing tells.
uint64_t FreeBytes(const std::string& folder) {
  std::error_code error;
  const auto space = std::filesystem::space(folder, error);
  return error ? UINT64_MAX : space.available;
}

absl::StatusOr<std::unique_ptr<DeviceProvider>> MakeDevices(const JobsSettings& settings) {
  if (!settings.fake_devices.empty()) return FakeDevices(settings.fake_devices);
  return CpuDevices(settings.workers, static_cast<uint64_t>(settings.worker_memory_mib) << 20);
}

}  // namespace

// In the order of their dependence; destroyed the other way round.
struct JobsServer::Parts {
  Parts(const JobsSettings& settings, const Clock& clock, LogLevel level)
      : settings(settings),
        log("gwq-jobs", level),
        contacts(clock),
        executor(static_cast<int>(settings.service.threads), static_cast<size_t>(settings.service.max_queued_calls)),
        blob_executor(kBlobThreads, static_cast<size_t>(settings.service.max_queued_calls)) {}

  absl::Status OpenStores(const Clock& clock, FileSystem& files);
  absl::Status StartService(const Clock& clock);
  void StartWorkers(const Clock& clock);
  WorkerSupervisor::Events WorkerEvents();
  // Until the workers, whose lifelines are closed, have ended and their jobs wait again.
  void AwaitWorkers();

  const JobsSettings settings;
  const Log log;
  Metrics metrics;
  Authenticator authenticator;
  std::string worker_token;
  std::string blob_root;
  std::unique_ptr<BlobStore> blobs;
  std::unique_ptr<SqliteStore> store;
  std::unique_ptr<DeviceProvider> devices;
  JobWatchers watchers;
  Timers timers;
  UploadManifests uploads;
  ManifestCache manifests;
  LeaseTable leases;
  WaitingOffers offers;
  WorkerContacts contacts;
  Mutex collection;
  std::atomic<bool> draining{false};
  std::unique_ptr<JobsState> state;
  Executor executor;
  Executor blob_executor;
  std::unique_ptr<ModelService> models;
  std::unique_ptr<ArtifactService> artifacts;
  std::unique_ptr<JobService> jobs;
  std::unique_ptr<EvaluationService> evaluations;
  std::unique_ptr<OperationService> operations;
  std::unique_ptr<WorkerService> workers;
  std::unique_ptr<ServiceHost> host;
  std::string address;
  std::unique_ptr<ProcessLauncher> launcher;
  std::unique_ptr<WorkerSupervisor> supervisor;
  std::unique_ptr<Maintenance> maintenance;
};

absl::Status JobsServer::Parts::OpenStores(const Clock& clock, FileSystem& files) {
  if (settings.state.empty())
    return InvalidField("state", "is missing; give the folder for the database and the blobs");
  std::error_code error;
  const std::string folder = std::filesystem::absolute(settings.state, error).string();
  GWQ_RETURN_IF_ERROR(CreateFoldersDurably(files, folder));
  blob_root = folder + "/blobs";
  GWQ_ASSIGN_OR_RETURN(blobs, OpenLocalBlobStore(files, blob_root, clock));
  SqliteStoreOptions options;
  options.path = folder + "/jobs.sqlite";
  options.lease_ttl_millis = settings.lease_seconds * 1000;
  options.max_queued_jobs = static_cast<int>(settings.max_queued_jobs);
  options.max_open_uploads = static_cast<int>(settings.max_open_uploads);
  options.kept_pass_bytes = static_cast<uint64_t>(settings.kept_passes_mib) << 20;
  options.kept_pass_principal_bytes = static_cast<uint64_t>(settings.kept_passes_principal_mib) << 20;
  GWQ_ASSIGN_OR_RETURN(store, SqliteStore::Open(options, clock));
  store->SetListener([this](const std::string& id) { watchers.Notify(id); });
  GWQ_ASSIGN_OR_RETURN(devices, MakeDevices(settings));
  GWQ_ASSIGN_OR_RETURN(authenticator, LoadAuthenticator(settings.service));
  worker_token = RandomId() + RandomId();
  authenticator.AddToken(worker_token, kWorkerPrincipal);
  JobsLimits limits;
  limits.upload_bytes = static_cast<uint64_t>(settings.max_upload_gib) << 30;
  limits.upload_millis = settings.upload_hours * 3'600'000;
  limits.keep_free_bytes = static_cast<uint64_t>(settings.keep_free_mib) << 20;
  limits.pass_bytes = std::min(options.kept_pass_bytes, options.kept_pass_principal_bytes);
  state = std::make_unique<JobsState>(
      JobsState{*store, *store, *store, *blobs, clock, watchers, timers, uploads, manifests, leases, offers, contacts,
                collection, limits, LargestMemory(*devices), blob_root, authenticator.checks() ? kWorkerPrincipal : "",
                [folder] { return FreeBytes(folder); }});
  return absl::OkStatus();
}

absl::Status JobsServer::Parts::StartService(const Clock& clock) {
  const CallEnvironment environment{executor, authenticator, metrics, log};
  const CallEnvironment blob_environment{blob_executor, authenticator, metrics, log};
  models = std::make_unique<ModelService>(environment, blob_environment, *state);
  artifacts = std::make_unique<ArtifactService>(environment, blob_environment, *state);
  jobs = std::make_unique<JobService>(environment, *state);
  evaluations = std::make_unique<EvaluationService>(environment, *state);
  operations = std::make_unique<OperationService>(environment, *state);
  workers = std::make_unique<WorkerService>(environment, *state);
  std::string metrics_address;
  if (!settings.service.metrics_listen.empty()) {
    GWQ_ASSIGN_OR_RETURN(metrics_address, metrics.Expose(settings.service.metrics_listen));
  }
  GWQ_ASSIGN_OR_RETURN(
      host, ServiceHost::Start(settings.service, {models.get(), artifacts.get(), jobs.get(), evaluations.get(),
                                                  operations.get(), workers.get()}));
  address = host->address();
  if (!settings.no_workers) StartWorkers(clock);
  maintenance =
      std::make_unique<Maintenance>(*state, supervisor.get(), metrics, log,
                                    Maintenance::Periods{.collection_millis = settings.collect_minutes * 60'000,
                                                         .retention_millis = settings.keep_jobs_days * 86'400'000});
  log.Write(LogLevel::kInfo, "serving",
            {{"address", address}, {"metrics", metrics_address}, {"state", settings.state}});
  return absl::OkStatus();
}

void JobsServer::Parts::StartWorkers(const Clock& clock) {
  const std::string program = settings.worker_program.empty() ? ProgramBeside("gwq-worker") : settings.worker_program;
  launcher = MakeProcessLauncher(
      [this, program](const DeviceSlot& slot, const std::string& worker, int lifeline) {
        return std::vector<std::string>{program,
                                        "--jobs",
                                        LocalAddress(address),
                                        "--blobs",
                                        blob_root,
                                        "--device",
                                        slot.name,
                                        "--memory",
                                        std::to_string(slot.memory_bytes),
                                        "--worker",
                                        worker,
                                        "--lifeline-fd",
                                        std::to_string(lifeline),
                                        "--log-level",
                                        settings.service.log_level};
      },
      // LibTorch's OpenMP threads otherwise spin between operations, which costs a busy machine most of its time.
      {"GWQ_TOKEN=" + worker_token, "OMP_WAIT_POLICY=PASSIVE"});
  supervisor = std::make_unique<WorkerSupervisor>(*devices, *launcher, clock, WorkerEvents());
}

WorkerSupervisor::Events JobsServer::Parts::WorkerEvents() {
  return {
      .started =
          [this](const DeviceSlot& slot, const std::string& worker) {
            log.Write(LogLevel::kInfo, "worker_started", {{"device", slot.name}, {"worker", worker}});
            contacts.Started(worker);
          },
      .ended =
          [this](const DeviceSlot& slot, const std::string& worker, const std::string& how) {
            log.Write(LogLevel::kWarning, "worker_ended", {{"device", slot.name}, {"worker", worker}, {"how", how}});
            metrics.Counter("gwq_workers_ended_total", "Worker processes that ended.").Increment();
            contacts.Ended(worker);
            const auto held = leases.Take(worker);
            if (!held.has_value()) return;
            // The lease may have ended meanwhile; then there is nothing to give back.
            if (draining) {
              (void)store->ReleaseLease(held->job, held->fencing_token);
              return;
            }
            (void)store->Fail(held->job, held->fencing_token,
                              {static_cast<int>(absl::StatusCode::kUnavailable),
                               fmt::format("the worker on {} ended: {}", slot.name, how), ""},
                              /*retryable=*/true, {});
          },
      .failed_to_start =
          [this](const DeviceSlot& slot, const absl::Status& status) {
            log.Write(LogLevel::kError, "worker_failed_to_start",
                      {{"device", slot.name}, {"error", MessageOf(status)}});
          },
  };
}

void JobsServer::Parts::AwaitWorkers() {
  if (supervisor == nullptr) return;
  const auto until = std::chrono::steady_clock::now() + kWorkersEnd;
  for (;;) {
    supervisor->Poll();
    if (supervisor->running() == 0 || std::chrono::steady_clock::now() > until) return;
    std::this_thread::sleep_for(kWorkersPoll);
  }
}

absl::StatusOr<std::unique_ptr<JobsServer>> JobsServer::Start(const JobsSettings& settings, const Clock& clock,
                                                              FileSystem& files) {
  GWQ_ASSIGN_OR_RETURN(const LogLevel level, ParseLogLevel(settings.service.log_level));
  auto server = std::unique_ptr<JobsServer>(new JobsServer(std::make_unique<Parts>(settings, clock, level)));
  GWQ_RETURN_IF_ERROR(server->parts_->OpenStores(clock, files));
  GWQ_RETURN_IF_ERROR(server->parts_->StartService(clock));
  server->parts_->maintenance->Start();
  return server;
}

JobsServer::JobsServer(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

JobsServer::~JobsServer() {
  parts_->watchers.Close();
  if (parts_->maintenance != nullptr) parts_->maintenance->Stop();
  parts_->supervisor.reset();
  parts_->host.reset();
}

const std::string& JobsServer::address() const { return parts_->address; }
Maintenance& JobsServer::maintenance() { return *parts_->maintenance; }
JobsState& JobsServer::state() { return *parts_->state; }
const Metrics& JobsServer::metrics() const { return parts_->metrics; }

void JobsServer::Drain() {
  parts_->log.Write(LogLevel::kInfo, "draining", {{"seconds", parts_->settings.service.drain_seconds}});
  parts_->draining = true;
  if (parts_->supervisor != nullptr) parts_->supervisor->Stop();
  parts_->watchers.Close();
  parts_->host->Drain();
  parts_->maintenance->Stop();
  parts_->AwaitWorkers();
}

void AddJobsSettings(Options& options, JobsSettings& settings) {
  AddServiceSettings(options, settings.service);
  options.Add("state", settings.state, "folder for the database and the blobs");
  options.Add("workers", settings.workers, 1, 256, "CPU slots; each runs one worker process");
  options.Add("worker-memory-mib", settings.worker_memory_mib, 0, int64_t{1} << 40,
              "memory of all slots together, in MiB; 0: nine tenths of the machine's memory");
  options.Add("fake-devices", settings.fake_devices,
              "slots of other sizes, for demonstrations, for example 4x80GiB; jobs still run on the CPU");
  options.Add("no-workers", settings.no_workers,
              "do not start workers; start them yourself, here or on other machines");
  options.Add("worker-program", settings.worker_program, "path of gwq-worker (default: next to this program)");
  options.Add("lease-seconds", settings.lease_seconds, 1, 3600,
              "seconds without a heartbeat after which a worker's job goes to another worker");
  options.Add("upload-hours", settings.upload_hours, 1, 24 * 365, "hours after which an unfinished upload is removed");
  options.Add("max-upload-gib", settings.max_upload_gib, 1, 1 << 20, "largest upload, in GiB");
  options.Add("max-open-uploads", settings.max_open_uploads, 1, 10'000, "uploads that one principal may have open");
  options.Add("keep-free-mib", settings.keep_free_mib, 0, int64_t{1} << 40,
              "disk space that uploads and new jobs must leave free, in MiB");
  options.Add("max-queued-jobs", settings.max_queued_jobs, 1, 1'000'000, "jobs that one principal may have waiting");
  options.Add("collect-minutes", settings.collect_minutes, 1, 24 * 60, "minutes between two garbage collections");
  options.Add("keep-jobs-days", settings.keep_jobs_days, 0, 36'500,
              "days to keep an ended job whose result no longer exists; 0: for ever");
  options.Add("kept-passes-mib", settings.kept_passes_mib, 0, int64_t{1} << 40,
              "gradient passes that are kept for later jobs, in MiB of all principals; 0: none");
  options.Add("kept-passes-principal-mib", settings.kept_passes_principal_mib, 0, int64_t{1} << 40,
              "the same of each principal");
}

}  // namespace gwq
