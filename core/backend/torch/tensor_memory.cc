#include "core/backend/torch/tensor_memory.h"

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>

#include <atomic>
#include <new>

#include "core/base/block_cache.h"

namespace gwq {
namespace {

// Smaller ones are common and do no harm in a heap.
constexpr size_t kLarge = size_t{128} << 10;

// Of the process, as LibTorch's allocator is; null until tensors are kept. Never destroyed: LibTorch has tensors of its
// own at the end of the process.
std::atomic<BlockCache*> kept = nullptr;

// Tensors, and oneDNN's scratch memory, which is given back by raw_deleter: one function for blocks of both kinds.
class TensorAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t bytes) override {
    void* const block = bytes < kLarge ? Heap().raw_allocate(bytes) : kept.load()->Take(bytes);
    if (block == nullptr && bytes > 0) throw std::bad_alloc();
    return {block, block, &Free, c10::Device(c10::DeviceType::CPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &Free; }
  void copy_data(void* to, const void* from, size_t bytes) const override { default_copy_data(to, from, bytes); }

 private:
  static c10::Allocator& Heap() { return *c10::GetDefaultCPUAllocator(); }
  static void Free(void* block) {
    if (!kept.load()->Give(block)) Heap().raw_deallocate(block);
  }
};

}  // namespace

void KeepTensorMemory(size_t spare) {
  [[maybe_unused]] static const bool once = [spare] {
    kept = new BlockCache(spare);
    c10::SetCPUAllocator(new TensorAllocator);
    return true;
  }();
}

void ReleaseTensorMemory() {
  if (BlockCache* const blocks = kept; blocks != nullptr) blocks->Release();
}

}  // namespace gwq
