#include "tests/core/vision/counting_malloc.h"

#include <malloc.h>

#include <atomic>
#include <cerrno>
#include <cstddef>

extern "C" {
// glibc's own, under the names it exports for this purpose.
void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* memory, size_t size);
void* __libc_memalign(size_t alignment, size_t size);
void __libc_free(void* memory);
}

namespace {

std::atomic<int64_t> held = 0;
std::atomic<int64_t> peak = 0;

void* Counted(void* memory) {
  if (memory == nullptr) return memory;
  const int64_t now = held += static_cast<int64_t>(malloc_usable_size(memory));
  for (int64_t largest = peak; now > largest && !peak.compare_exchange_weak(largest, now);) {
  }
  return memory;
}

void Uncount(void* memory) {
  if (memory != nullptr) held -= static_cast<int64_t>(malloc_usable_size(memory));
}

}  // namespace

extern "C" {

void* malloc(size_t size) { return Counted(__libc_malloc(size)); }
void* calloc(size_t count, size_t size) { return Counted(__libc_calloc(count, size)); }
void* memalign(size_t alignment, size_t size) { return Counted(__libc_memalign(alignment, size)); }
void* aligned_alloc(size_t alignment, size_t size) { return Counted(__libc_memalign(alignment, size)); }

void* realloc(void* memory, size_t size) {
  Uncount(memory);
  void* grown = __libc_realloc(memory, size);
  return grown == nullptr && size != 0 ? Counted(memory), nullptr : Counted(grown);
}

int posix_memalign(void** memory, size_t alignment, size_t size) {
  *memory = Counted(__libc_memalign(alignment, size));
  return *memory == nullptr ? ENOMEM : 0;
}

void free(void* memory) {
  Uncount(memory);
  __libc_free(memory);
}

}  // extern "C"

namespace gwq::testing {

PeakHeap::PeakHeap() : held_before_(held) { peak = held_before_; }
int64_t PeakHeap::bytes() const { return peak - held_before_; }

}  // namespace gwq::testing
