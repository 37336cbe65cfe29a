#include "core/io/gguf_writer.h"

#include <bit>
#include <ranges>

namespace gwq {
namespace {

static_assert(std::endian::native == std::endian::little);

// Numbers of value types.
constexpr uint32_t kU32 = 4, kI32 = 5, kF32 = 6, kBool = 7, kText = 8, kArray = 9;

template <class T>
void Put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

void PutText(std::string& out, std::string_view text) {
  Put<uint64_t>(out, text.size());
  out.append(text);
}

template <class T>
void PutArray(std::string& out, uint32_t type, std::span<const T> values) {
  Put(out, type);
  Put<uint64_t>(out, values.size());
  for (const T value : values) Put(out, value);
}

}  // namespace

void GgufWriter::Key(std::string_view key, uint32_t type) {
  PutText(metadata_, key);
  Put(metadata_, type);
  ++keys_;
}

void GgufWriter::Text(std::string_view key, std::string_view value) {
  Key(key, kText);
  PutText(metadata_, value);
}

void GgufWriter::U32(std::string_view key, uint32_t value) {
  Key(key, kU32);
  Put(metadata_, value);
}

void GgufWriter::F32(std::string_view key, float value) {
  Key(key, kF32);
  Put(metadata_, value);
}

void GgufWriter::Bool(std::string_view key, bool value) {
  Key(key, kBool);
  metadata_.push_back(value ? '\1' : '\0');
}

void GgufWriter::Texts(std::string_view key, std::span<const std::string> values) {
  Key(key, kArray);
  Put(metadata_, kText);
  Put<uint64_t>(metadata_, values.size());
  for (const std::string& value : values) PutText(metadata_, value);
}

void GgufWriter::Ints(std::string_view key, std::span<const int32_t> values) {
  Key(key, kArray);
  PutArray(metadata_, kI32, values);
}

void GgufWriter::Floats(std::string_view key, std::span<const float> values) {
  Key(key, kArray);
  PutArray(metadata_, kF32, values);
}

std::string GgufWriter::Header(std::span<const GgufTensor> tensors) const {
  std::string out = "GGUF";
  Put<uint32_t>(out, 3);
  Put<uint64_t>(out, tensors.size());
  Put(out, keys_);
  out += metadata_;
  for (const GgufTensor& tensor : tensors) {
    PutText(out, tensor.name);
    Put(out, static_cast<uint32_t>(tensor.shape.size()));
    for (const int64_t extent : std::views::reverse(tensor.shape)) Put(out, static_cast<uint64_t>(extent));
    Put(out, static_cast<uint32_t>(tensor.type));
    Put(out, tensor.offset);
  }
  out.resize(AlignGguf(out.size()), '\0');
  return out;
}

}  // namespace gwq
