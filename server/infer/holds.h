// Keeps what is loaded from being deleted: renews the holds on it.
#pragma once

#include <map>
#include <string>
#include <thread>

#include "core/base/mutex.h"
#include "server/common/log.h"
#include "server/infer/model_source.h"

namespace gwq {

// A thread renews every hold three times within its life. A renewal that fails is logged and tried again. Thread-safe.
class Holds {
 public:
  // Both must outlive this object.
  Holds(ModelSource& source, const Log& log);
  // Ends the thread; releases what is left.
  ~Holds();
  Holds(const Holds&) = delete;
  Holds& operator=(const Holds&) = delete;

  // From now on the hold on `model`, just resolved, is renewed.
  void Keep(const ResolvedModel& model);
  // Releases it. May block on the network.
  void Drop(const std::string& name);

 private:
  void Run();
  void RenewAll();
  void Release(const std::string& name, const Digest& digest);

  ModelSource& source_;
  const Log& log_;
  Mutex mutex_;
  CondVar changed_;
  std::map<std::string, Digest> kept_ ABSL_GUARDED_BY(mutex_);
  bool exiting_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace gwq
