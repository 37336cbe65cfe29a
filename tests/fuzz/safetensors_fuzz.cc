// A safetensors header that is accepted covers the file's data part exactly. The input is two bytes that say how much
// data follows the header, then the header.
#include "core/io/safetensors.h"
#include "tests/fuzz/bytes.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 10) return 0;
  const uint64_t data_size = data[0] + 256U * data[1];
  const std::span<const std::byte> bytes = gwq::fuzz::Bytes(data + 2, size - 2);
  const auto header_size = gwq::SafetensorsHeaderSize(bytes.first(8), bytes.size() + data_size);
  if (!header_size.ok() || *header_size > bytes.size()) return 0;
  const auto header = gwq::ParseSafetensorsHeader(bytes.first(*header_size), *header_size + data_size);
  if (!header.ok()) return 0;
  uint64_t end = 0;
  for (const gwq::SafetensorsTensor& tensor : header->tensors) {
    gwq::fuzz::Require(tensor.offset == end);
    end += tensor.size;
  }
  gwq::fuzz::Require(end == data_size);
  return 0;
}
