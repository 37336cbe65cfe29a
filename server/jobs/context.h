// What the handlers of gwq-jobs work with.
#pragma once

#include <cstdint>
#include <string>

#include "core/base/clock.h"
#include "core/jobs/catalogue.h"
#include "core/jobs/job_store.h"
#include "core/storage/blob_store.h"

namespace gwq {

struct UploadLimits {
  uint64_t max_bytes = uint64_t{2} << 40;
  int64_t lifetime_millis = int64_t{24} * 3600 * 1000;
};

// All of it outlives the services.
struct JobsContext {
  JobStore& jobs;
  Catalogue& catalogue;
  BlobStore& blobs;
  const Clock& clock;
  std::string blob_root;  // told to servers on the same machine
  UploadLimits uploads;
};

}  // namespace gwq
