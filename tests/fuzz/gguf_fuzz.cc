// A GGUF header that is accepted places its tensors inside the file, one after the other.
#include "core/io/gguf.h"
#include "core/text/gguf_metadata.h"
#include "tests/fuzz/bytes.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const uint64_t file_size = size + 4096;
  const auto header = gwq::ParseGgufHeader(gwq::fuzz::Bytes(data, size), file_size);
  if (!header.ok()) return 0;
  gwq::fuzz::Require(header->header_size <= file_size);
  uint64_t end = 0;
  for (const gwq::GgufTensor& tensor : header->tensors) {
    gwq::fuzz::Require(tensor.offset >= end && tensor.size <= file_size);
    end = tensor.offset + tensor.size;
  }
  gwq::fuzz::Require(end <= file_size - header->header_size);
  (void)gwq::ReadGgufTokenizer(*header).status();
  return 0;
}
