#include "core/base/progress.h"

namespace gwq {
namespace {

class Silent final : public Progress {
 public:
  void Step(std::string_view, int64_t, int64_t) override {}
  void Log(std::string_view) override {}
  absl::Status Check() override { return absl::OkStatus(); }
};

}  // namespace

Progress& NoProgress() {
  static Silent silent;
  return silent;
}

}  // namespace gwq
