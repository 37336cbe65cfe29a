// The objects that the handlers of gwq-infer share.
#pragma once

#include <cstdint>

#include "core/base/clock.h"
#include "core/base/thread_pool.h"
#include "core/vision/image.h"
#include "server/common/call.h"
#include "server/infer/image_memory.h"
#include "server/infer/image_store.h"
#include "server/infer/models/model_table.h"

namespace gwq {

// All of it outlives the server.
struct InferEnvironment {
  CallEnvironment call;
  ModelTable& models;
  Executor& loads;    // loads and unloads take long and must not hold up other calls
  Executor& lookups;  // calls of gwq-jobs that resolve a name, which may be slow
  Executor& images;   // decoding and encoding images; its queue limits the requests whose images wait
  ImageStore& image_store;
  ImageMemory& image_memory;
  ImageLimits image_limits;
  const Clock& clock;
  int64_t unload_millis = 0;
};

}  // namespace gwq
