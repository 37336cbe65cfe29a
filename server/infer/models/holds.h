// Renews the holds on loaded models, so that gwq-jobs does not delete them.
#pragma once

#include <map>
#include <string>
#include <thread>
#include <utility>

#include "core/base/mutex.h"
#include "server/common/log.h"
#include "server/infer/models/model_source.h"

namespace gwq {

// A thread renews every hold three times within its life. A renewal that fails is logged and tried again. Thread-safe.
class Holds {
 public:
  // Both must outlive this object.
  Holds(ModelSource& source, const Log& log);
  // Ends the thread and releases the holds that are left. Once the source is UNAVAILABLE it stops asking: the other
  // holds expire, and ending takes the time of one unanswered call, for any number of models.
  ~Holds();
  Holds(const Holds&) = delete;
  Holds& operator=(const Holds&) = delete;

  // From now on the hold on `model`, just resolved for `caller`, is renewed in its name.
  void Keep(const Caller& caller, const ResolvedModel& model);
  // Releases the principal's hold. May block on the network.
  void Drop(const std::string& principal, const std::string& name);

 private:
  struct Kept {
    Caller caller;
    Digest digest;
  };
  using KeptByName = std::map<std::pair<std::string, std::string>, Kept>;  // by principal and name

  void Run();
  [[nodiscard]] bool Exiting();
  // The result of the renewal that the destructor interrupted; OK if none was running.
  [[nodiscard]] absl::Status RenewAll();
  void LogUnreleased(const std::string& name, const Kept& hold, const absl::Status& status);

  ModelSource& source_;
  const Log& log_;
  Mutex mutex_;
  CondVar changed_;
  KeptByName kept_ ABSL_GUARDED_BY(mutex_);
  bool exiting_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status cut_renewal_;  // used by the thread, until it is joined
  std::thread thread_;
};

}  // namespace gwq
