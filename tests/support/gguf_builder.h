// Writes GGUF files for tests, right ones and, field by field, wrong ones.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/io/gguf.h"

namespace gwq::testing {

class GgufBuilder {
 public:
  uint32_t magic = 0x46554747;
  uint32_t version = 3;
  uint64_t alignment = 32;  // of the layout; the key general.alignment is the caller's
  int64_t extra_tensor_count = 0;
  int64_t extra_key_count = 0;

  template <class T>
  static void Put(std::string& out, T value) {
    out.append(reinterpret_cast<const char*>(&value), sizeof(value));
  }
  static void PutString(std::string& out, std::string_view text) {
    Put<uint64_t>(out, text.size());
    out.append(text);
  }

  // A key with the number of its type and the value's bytes.
  void Key(std::string_view key, uint32_t type, std::string_view value) {
    PutString(metadata_, key);
    Put(metadata_, type);
    metadata_.append(value);
    ++keys_;
  }
  void Text(std::string_view key, std::string_view value) {
    std::string bytes;
    PutString(bytes, value);
    Key(key, 8, bytes);
  }
  void U32(std::string_view key, uint32_t value) {
    Key(key, 4, {reinterpret_cast<const char*>(&value), sizeof(value)});
  }
  void F32(std::string_view key, float value) { Key(key, 6, {reinterpret_cast<const char*>(&value), sizeof(value)}); }
  void Bool(std::string_view key, bool value) { Key(key, 7, std::string(1, value ? '\1' : '\0')); }
  void Texts(std::string_view key, std::span<const std::string> values) {
    std::string bytes;
    Put<uint32_t>(bytes, 8);
    Put<uint64_t>(bytes, values.size());
    for (const std::string& value : values) PutString(bytes, value);
    Key(key, 9, bytes);
  }
  void Ints(std::string_view key, std::span<const int32_t> values) {
    std::string bytes;
    Put<uint32_t>(bytes, 5);
    Put<uint64_t>(bytes, values.size());
    for (const int32_t value : values) Put(bytes, value);
    Key(key, 9, bytes);
  }

  // A tensor with its bytes, placed after the last one.
  void Tensor(std::string_view name, const Shape& shape, GgmlType type, std::string_view bytes) {
    RawTensor(name, shape, static_cast<uint32_t>(type), data_.size());
    data_.append(bytes);
    data_.resize((data_.size() + alignment - 1) / alignment * alignment, '\0');
  }
  // Only the description; `shape` is row-major as everywhere else.
  void RawTensor(std::string_view name, const Shape& shape, uint32_t type, uint64_t offset) {
    PutString(tensors_, name);
    Put(tensors_, static_cast<uint32_t>(shape.size()));
    for (size_t d = shape.size(); d-- > 0;) Put(tensors_, static_cast<uint64_t>(shape[d]));
    Put(tensors_, type);
    Put(tensors_, offset);
    ++count_;
  }
  void Data(std::string_view bytes) { data_.append(bytes); }

  [[nodiscard]] std::string Header() const {
    std::string out;
    Put(out, magic);
    Put(out, version);
    Put(out, static_cast<uint64_t>(count_ + extra_tensor_count));
    Put(out, static_cast<uint64_t>(keys_ + extra_key_count));
    out += metadata_ + tensors_;
    out.resize((out.size() + alignment - 1) / alignment * alignment, '\0');
    return out;
  }
  [[nodiscard]] std::string Build() const { return Header() + data_; }

 private:
  std::string metadata_, tensors_, data_;
  int64_t keys_ = 0;
  int64_t count_ = 0;
};

}  // namespace gwq::testing
