#include "server/infer/models/local_source.h"

#include "core/base/status.h"

namespace gwq {
namespace {

class LocalSource final : public ModelSource {
 public:
  explicit LocalSource(const std::string& blob_root) : blob_root_(blob_root) {}

  absl::StatusOr<ResolvedModel> Resolve(const Caller&, const std::string& name, OnUnavailable) override {
    const absl::StatusOr<Digest> digest = Digest::Parse(name);
    if (!digest.ok()) {
      return InvalidField("name", "is not a manifest digest; start gwq-infer with --jobs to use names");
    }
    return ResolvedModel{name, *digest, blob_root_};
  }
  absl::Status Release(const Caller&, const Digest&) override { return absl::OkStatus(); }
  int64_t hold_millis() const override { return 0; }

 private:
  const std::string blob_root_;
};

}  // namespace

std::unique_ptr<ModelSource> MakeLocalSource(const std::string& blob_root) {
  return std::make_unique<LocalSource>(blob_root);
}

}  // namespace gwq
