#include "core/backend/cpu/cpu_backend.h"

#include <fmt/format.h>

#include "core/backend/cpu/arena.h"
#include "core/backend/cpu/cpu_kv_cache.h"
#include "core/backend/cpu/cpu_pass.h"
#include "core/backend/cpu/cpu_weight.h"
#include "core/backend/cpu/kernels/kernels.h"
#include "core/backend/cpu/packed_loaders.h"
#include "core/backend/cpu/weight_memory.h"
#include "core/base/status.h"
#include "core/base/thread_pool.h"

namespace gwq {
namespace {

const Kernels& KernelsOf(IsaLevel level) {
  switch (level) {
    case IsaLevel::kAvx512:
      return Avx512Kernels();
    case IsaLevel::kAvx2:
      return Avx2Kernels();
    case IsaLevel::kScalar:
      break;
  }
  return ScalarKernels();
}

class CpuBackend final : public Backend {
 public:
  CpuBackend(int threads, IsaLevel level) : pool_(threads), kernels_(KernelsOf(level)) {}

  std::string_view name() const override { return "cpu"; }

  absl::StatusOr<std::unique_ptr<Weight>> LoadDense(const TensorView& view) override {
    GWQ_ASSIGN_OR_RETURN(std::unique_ptr<Weight> weight, CpuWeight::FromDense(view, memory_));
    return weight;
  }

  absl::StatusOr<std::unique_ptr<Weight>> LoadPacked(const PackedView& view) override {
    GWQ_ASSIGN_OR_RETURN(std::unique_ptr<Weight> weight, LoadPackedWeight(view, memory_));
    return weight;
  }

  absl::StatusOr<std::unique_ptr<KvCache>> CreateKvCache(const KvCacheShape& shape) override {
    GWQ_ASSIGN_OR_RETURN(std::unique_ptr<KvCache> cache, CpuKvCache::Create(shape));
    return cache;
  }

  absl::StatusOr<std::unique_ptr<Pass>> Begin(const Batch& batch, KvCache* cache) override {
    auto* own = dynamic_cast<CpuKvCache*>(cache);
    if (cache != nullptr && own == nullptr) return absl::InvalidArgumentError("the KV cache is another backend's");
    GWQ_RETURN_IF_ERROR(CheckBatch(batch, own == nullptr ? KvCacheShape{} : own->shape()));
    std::unique_ptr<Pass> pass = std::make_unique<CpuPass>(batch, own, kernels_, pool_, arena_);
    return pass;
  }

 private:
  ThreadPool pool_;
  const Kernels& kernels_;
  Arena arena_;
  WeightMemory memory_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Backend>> CreateCpuBackend(const CpuBackendOptions& options) {
  constexpr int kMaxThreads = 1024;
  if (options.threads < 1 || options.threads > kMaxThreads) {
    return InvalidField("threads", fmt::format("{} is outside [1, {}]", options.threads, kMaxThreads));
  }
  const IsaLevel level = options.isa.value_or(BestIsaLevel());
  if (!IsSupported(level)) {
    return absl::UnimplementedError(fmt::format("this processor does not have {}; its best is {}", IsaLevelName(level),
                                                IsaLevelName(BestIsaLevel())));
  }
  std::unique_ptr<Backend> backend = std::make_unique<CpuBackend>(options.threads, level);
  return backend;
}

}  // namespace gwq
