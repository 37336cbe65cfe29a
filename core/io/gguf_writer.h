// Writes the header of a GGUF file: version 3, little-endian, tensors aligned to 32 bytes (core/io/gguf.h reads it).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "core/io/gguf.h"

namespace gwq {

inline constexpr uint64_t kGgufAlignment = 32;
constexpr uint64_t AlignGguf(uint64_t offset) {
  return (offset + kGgufAlignment - 1) / kGgufAlignment * kGgufAlignment;
}

class GgufWriter {
 public:
  // Keys in the order in which they are added, each once. Texts are written as they are.
  void Text(std::string_view key, std::string_view value);
  void U32(std::string_view key, uint32_t value);
  void F32(std::string_view key, float value);
  void Bool(std::string_view key, bool value);
  void Texts(std::string_view key, std::span<const std::string> values);
  void Ints(std::string_view key, std::span<const int32_t> values);
  void Floats(std::string_view key, std::span<const float> values);

  // The file's bytes before the data, whole alignments of them. `tensors` in the order of their offsets, which are
  // multiples of kGgufAlignment.
  [[nodiscard]] std::string Header(std::span<const GgufTensor> tensors) const;

 private:
  void Key(std::string_view key, uint32_t type);

  std::string metadata_;
  uint64_t keys_ = 0;
};

}  // namespace gwq
