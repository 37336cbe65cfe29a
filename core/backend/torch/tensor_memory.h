// Where LibTorch's tensors get their memory.
#pragma once

#include <cstddef>

namespace gwq {

// From now on, in the whole process, LibTorch keeps the memory of large tensors for tensors of the same size
// (core/base/block_cache.h); `spare` bytes of it may always lie unused, as the first call says. LibTorch has one
// allocator, so this cannot be a matter of one backend.
void KeepTensorMemory(size_t spare);

// What no tensor uses goes back to the system.
void ReleaseTensorMemory();

}  // namespace gwq
