// A worker's life: acquire a job, run it under its lease, commit or fail, again.
#pragma once

#include <cstdint>
#include <functional>

#include "core/storage/blob_store.h"
#include "server/common/log.h"
#include "server/worker/lease_link.h"

namespace gwq {

struct WorkerSettings {
  WorkerIdentity identity;
  int64_t wait_millis = 20'000;    // of one Acquire
  int64_t pause_millis = 500;      // after an Acquire that failed
  int64_t commit_millis = 30'000;  // how long a result is offered to a service that does not answer
};

// Runs jobs until `stop` says so between two of them. A job that ends in ABORTED (the lease is lost) is neither
// committed nor failed. Errors of the request (INVALID_ARGUMENT, ...) are final; the others may be tried again by the
// service.
void RunWorker(LeaseLink& link, BlobStore& store, const WorkerSettings& settings, const Log& log,
               const std::function<bool()>& stop);

}  // namespace gwq
