#include "core/io/gguf.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <optional>
#include <set>

#include "core/base/status.h"
#include "core/io/json.h"

namespace gwq {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr uint64_t kMaxEntries = 65536;  // metadata keys; tensors
constexpr uint64_t kMaxNameBytes = 1024;
constexpr uint64_t kMaxStringBytes = uint64_t{16} << 20;
constexpr uint64_t kMaxAlignment = 65536;
constexpr uint32_t kMaxDimensions = 4;

// Metadata value types, with the format's numbers.
enum class ValueType : uint32_t { kU8, kI8, kU16, kI16, kU32, kI32, kF32, kBool, kString, kArray, kU64, kI64, kF64 };

uint64_t FixedSize(ValueType type) {
  switch (type) {
    case ValueType::kU8:
    case ValueType::kI8:
    case ValueType::kBool:
      return 1;
    case ValueType::kU16:
    case ValueType::kI16:
      return 2;
    case ValueType::kU32:
    case ValueType::kI32:
    case ValueType::kF32:
      return 4;
    case ValueType::kU64:
    case ValueType::kI64:
    case ValueType::kF64:
      return 8;
    case ValueType::kString:
      return 8;  // at least its length word
    case ValueType::kArray:
      return 12;
  }
  return 1;
}

// Types of ggml that are not read, for an error text that says what the file holds.
std::string UnknownTypeName(uint32_t number) {
  constexpr std::pair<uint32_t, std::string_view> kNames[] = {
      {6, "Q5_0"},   {7, "Q5_1"},   {9, "Q8_1"},     {10, "Q2_K"},   {11, "Q3_K"},    {12, "Q4_K"},  {13, "Q5_K"},
      {14, "Q6_K"},  {15, "Q8_K"},  {16, "IQ2_XXS"}, {17, "IQ2_XS"}, {18, "IQ3_XXS"}, {19, "IQ1_S"}, {20, "IQ4_NL"},
      {21, "IQ3_S"}, {22, "IQ2_S"}, {23, "IQ4_XS"},  {24, "I8"},     {25, "I16"},     {26, "I32"},   {27, "I64"},
      {28, "F64"},   {29, "IQ1_M"}, {34, "TQ1_0"},   {35, "TQ2_0"},  {39, "MXFP4"}};
  for (const auto& [known, name] : kNames) {
    if (known == number) return fmt::format("{} ({})", name, number);
  }
  return fmt::format("{}", number);
}

// Takes values off the front of the header; every length is checked against what is left before anything is allocated.
class Reader {
 public:
  explicit Reader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  [[nodiscard]] uint64_t position() const { return position_; }
  [[nodiscard]] uint64_t left() const { return bytes_.size() - position_; }

  template <class T>
  [[nodiscard]] absl::StatusOr<T> Take(std::string_view field) {
    if (left() < sizeof(T)) return Cut(field);
    T value;
    std::memcpy(&value, bytes_.data() + position_, sizeof(T));
    position_ += sizeof(T);
    return value;
  }

  [[nodiscard]] absl::StatusOr<std::string> TakeString(std::string_view field, uint64_t limit) {
    GWQ_ASSIGN_OR_RETURN(const uint64_t size, Take<uint64_t>(field));
    if (size > limit) return InvalidField(field, fmt::format("a string of {} bytes; the limit is {}", size, limit));
    if (size > left()) return Cut(field);
    std::string text(reinterpret_cast<const char*>(bytes_.data()) + position_, size);
    position_ += size;
    return text;
  }

  [[nodiscard]] absl::Status Cut(std::string_view field) const {
    return InvalidField(field, fmt::format("the file ends inside it, at byte {}", bytes_.size()));
  }

 private:
  std::span<const std::byte> bytes_;
  uint64_t position_ = 0;
};

template <class T>
absl::StatusOr<int64_t> TakeInt(Reader& reader, std::string_view field) {
  GWQ_ASSIGN_OR_RETURN(const T value, reader.Take<T>(field));
  if constexpr (std::is_same_v<T, uint64_t>) {
    if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      return InvalidField(field, fmt::format("{} is past 2^63 - 1", value));
    }
  }
  return static_cast<int64_t>(value);
}

// Nothing where `type` is no integer.
std::optional<absl::StatusOr<int64_t>> TakeAnyInt(Reader& reader, ValueType type, std::string_view field) {
  switch (type) {
    case ValueType::kU8:
      return TakeInt<uint8_t>(reader, field);
    case ValueType::kI8:
      return TakeInt<int8_t>(reader, field);
    case ValueType::kU16:
      return TakeInt<uint16_t>(reader, field);
    case ValueType::kI16:
      return TakeInt<int16_t>(reader, field);
    case ValueType::kU32:
      return TakeInt<uint32_t>(reader, field);
    case ValueType::kI32:
      return TakeInt<int32_t>(reader, field);
    case ValueType::kU64:
      return TakeInt<uint64_t>(reader, field);
    case ValueType::kI64:
      return TakeInt<int64_t>(reader, field);
    default:
      return std::nullopt;
  }
}

absl::StatusOr<double> TakeDouble(Reader& reader, ValueType type, std::string_view field) {
  if (type == ValueType::kF64) return reader.Take<double>(field);
  GWQ_ASSIGN_OR_RETURN(const float value, reader.Take<float>(field));
  return static_cast<double>(value);
}

absl::StatusOr<bool> TakeBool(Reader& reader, std::string_view field) {
  GWQ_ASSIGN_OR_RETURN(const uint8_t value, reader.Take<uint8_t>(field));
  if (value > 1) return InvalidField(field, fmt::format("{} is not a boolean: 0 or 1", value));
  return value == 1;
}

absl::StatusOr<ValueType> TakeType(Reader& reader, std::string_view field) {
  GWQ_ASSIGN_OR_RETURN(const uint32_t number, reader.Take<uint32_t>(field));
  if (number > static_cast<uint32_t>(ValueType::kF64)) {
    return InvalidField(field, fmt::format("value type {} is not known (0 to 12 are)", number));
  }
  return static_cast<ValueType>(number);
}

template <class T, class Take>
absl::StatusOr<GgufArray> TakeElements(uint64_t count, Take take) {
  std::vector<T> values;
  values.reserve(count);
  for (uint64_t i = 0; i < count; ++i) {
    GWQ_ASSIGN_OR_RETURN(T value, take());
    values.push_back(std::move(value));
  }
  return GgufArray(std::move(values));
}

absl::StatusOr<GgufArray> TakeArray(Reader& reader, std::string_view field) {
  GWQ_ASSIGN_OR_RETURN(const ValueType type, TakeType(reader, field));
  if (type == ValueType::kArray) return InvalidField(field, "arrays of arrays are not read");
  GWQ_ASSIGN_OR_RETURN(const uint64_t count, reader.Take<uint64_t>(field));
  if (count > reader.left() / FixedSize(type)) {
    return InvalidField(field, fmt::format("{} elements do not fit into the {} bytes left", count, reader.left()));
  }
  switch (type) {
    case ValueType::kString:
      return TakeElements<std::string>(count, [&] { return reader.TakeString(field, kMaxStringBytes); });
    case ValueType::kBool:
      return TakeElements<bool>(count, [&] { return TakeBool(reader, field); });
    case ValueType::kF32:
    case ValueType::kF64:
      return TakeElements<double>(count, [&] { return TakeDouble(reader, type, field); });
    default:
      return TakeElements<int64_t>(count, [&] { return *TakeAnyInt(reader, type, field); });
  }
}

absl::StatusOr<GgufValue> TakeValue(Reader& reader, std::string_view field) {
  GWQ_ASSIGN_OR_RETURN(const ValueType type, TakeType(reader, field));
  switch (type) {
    case ValueType::kString: {
      GWQ_ASSIGN_OR_RETURN(std::string text, reader.TakeString(field, kMaxStringBytes));
      return GgufValue(std::move(text));
    }
    case ValueType::kBool: {
      GWQ_ASSIGN_OR_RETURN(const bool value, TakeBool(reader, field));
      return GgufValue(value);
    }
    case ValueType::kF32:
    case ValueType::kF64: {
      GWQ_ASSIGN_OR_RETURN(const double value, TakeDouble(reader, type, field));
      return GgufValue(value);
    }
    case ValueType::kArray: {
      GWQ_ASSIGN_OR_RETURN(GgufArray array, TakeArray(reader, field));
      return GgufValue(std::move(array));
    }
    default: {
      GWQ_ASSIGN_OR_RETURN(const int64_t value, *TakeAnyInt(reader, type, field));
      return GgufValue(value);
    }
  }
}

absl::Status TakeMetadata(Reader& reader, uint64_t count, GgufHeader& header) {
  for (uint64_t i = 0; i < count; ++i) {
    GWQ_ASSIGN_OR_RETURN(std::string key, reader.TakeString(fmt::format("metadata[{}]", i), kMaxNameBytes));
    if (key.empty() || !IsValidUtf8(key)) {
      return InvalidField(fmt::format("metadata[{}]", i), "a key is UTF-8 and not empty");
    }
    const std::string field = fmt::format("metadata[{}]", key);
    GWQ_ASSIGN_OR_RETURN(GgufValue value, TakeValue(reader, field));
    if (!header.metadata.emplace(std::move(key), std::move(value)).second) {
      return InvalidField(field, "the key appears twice");
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<GgmlType> CheckTensorType(uint32_t number, std::string_view field) {
  for (const GgmlType type :
       {GgmlType::kF32, GgmlType::kF16, GgmlType::kBF16, GgmlType::kQ8_0, GgmlType::kQ4_0, GgmlType::kQ4_1}) {
    if (static_cast<uint32_t>(type) == number) return type;
  }
  return InvalidField(
      field, fmt::format("type {} is not read: F32, F16, BF16, Q8_0, Q4_0 and Q4_1 are", UnknownTypeName(number)));
}

absl::Status TakeShape(Reader& reader, const std::string& field, GgufTensor& tensor) {
  GWQ_ASSIGN_OR_RETURN(const uint32_t dimensions, reader.Take<uint32_t>(field));
  if (dimensions < 1 || dimensions > kMaxDimensions) {
    return InvalidField(field, fmt::format("{} dimensions; 1 to {} are read", dimensions, kMaxDimensions));
  }
  for (uint32_t d = 0; d < dimensions; ++d) {
    GWQ_ASSIGN_OR_RETURN(const uint64_t extent, reader.Take<uint64_t>(field));
    if (extent < 1 || extent > uint64_t{1} << 40) {
      return InvalidField(field, fmt::format("dimension {} is {}; 1 to 2^40 are read", d, extent));
    }
    tensor.shape.insert(tensor.shape.begin(), static_cast<int64_t>(extent));
  }
  return absl::OkStatus();
}

absl::StatusOr<GgufTensor> TakeTensor(Reader& reader, uint64_t index, uint64_t file_size) {
  GgufTensor tensor;
  GWQ_ASSIGN_OR_RETURN(tensor.name, reader.TakeString(fmt::format("tensors[{}].name", index), kMaxNameBytes));
  if (tensor.name.empty() || !IsValidUtf8(tensor.name)) {
    return InvalidField(fmt::format("tensors[{}].name", index), "a name is UTF-8 and not empty");
  }
  const std::string field = fmt::format("tensors[{}]", tensor.name);
  GWQ_RETURN_IF_ERROR(TakeShape(reader, field + ".shape", tensor));
  GWQ_ASSIGN_OR_RETURN(const uint32_t type, reader.Take<uint32_t>(field + ".type"));
  GWQ_ASSIGN_OR_RETURN(tensor.type, CheckTensorType(type, field + ".type"));
  GWQ_ASSIGN_OR_RETURN(tensor.offset, reader.Take<uint64_t>(field + ".offset"));

  const absl::StatusOr<int64_t> count = ElementCount(tensor.shape);
  // No type stores less than half a byte an element, so a larger count cannot be in the file, and its size cannot wrap.
  if (!count.ok() || static_cast<uint64_t>(*count) / 2 > file_size) {
    return InvalidField(field + ".shape",
                        fmt::format("{} does not fit into a file of {} bytes", ShapeString(tensor.shape), file_size));
  }
  if (tensor.shape.back() % GgmlBlockElements(tensor.type) != 0) {
    return InvalidField(field + ".shape",
                        fmt::format("rows of {} elements are no whole blocks of {}, as {} needs", tensor.shape.back(),
                                    GgmlBlockElements(tensor.type), GgmlTypeName(tensor.type)));
  }
  tensor.size = GgmlBytes(tensor.type, *count);
  return tensor;
}

absl::Status TakeTensors(Reader& reader, uint64_t count, uint64_t file_size, GgufHeader& header) {
  std::set<std::string> names;
  for (uint64_t i = 0; i < count; ++i) {
    GWQ_ASSIGN_OR_RETURN(GgufTensor tensor, TakeTensor(reader, i, file_size));
    if (!names.insert(tensor.name).second) {
      return InvalidField(fmt::format("tensors[{}]", tensor.name), "the name appears twice");
    }
    header.tensors.push_back(std::move(tensor));
  }
  std::ranges::sort(header.tensors, {}, &GgufTensor::offset);
  return absl::OkStatus();
}

absl::Status SetAlignment(GgufHeader& header) {
  if (!header.metadata.contains("general.alignment")) return absl::OkStatus();
  constexpr std::string_view kField = "metadata[general.alignment]";
  const int64_t* const value = header.FindInt("general.alignment");
  if (value == nullptr) return InvalidField(kField, "of the wrong type: an integer was expected");
  if (*value < 8 || *value > static_cast<int64_t>(kMaxAlignment) ||
      !std::has_single_bit(static_cast<uint64_t>(*value))) {
    return InvalidField(kField, fmt::format("{}: an alignment is a power of two from 8 to {}", *value, kMaxAlignment));
  }
  header.alignment = static_cast<uint64_t>(*value);
  return absl::OkStatus();
}

absl::Status CheckCover(const GgufHeader& header, uint64_t file_size) {
  const uint64_t data_size = file_size - header.header_size;
  uint64_t next = 0;
  for (const GgufTensor& tensor : header.tensors) {
    const std::string field = fmt::format("tensors[{}].offset", tensor.name);
    if (tensor.offset % header.alignment != 0) {
      return InvalidField(field, fmt::format("{} is not a multiple of {}", tensor.offset, header.alignment));
    }
    if (tensor.offset < next || tensor.offset - next >= header.alignment) {
      return InvalidField(field,
                          fmt::format("{} does not follow the tensor before, which ends at {}", tensor.offset, next));
    }
    if (tensor.size > data_size || tensor.offset > data_size - tensor.size) {
      return InvalidField(
          field, fmt::format("{} + {} bytes reach past the {} bytes of data", tensor.offset, tensor.size, data_size));
    }
    next = tensor.offset + tensor.size;
  }
  if (data_size - next >= header.alignment) {
    return InvalidField("tensors", fmt::format("they end at {} of {} bytes of data", next, data_size));
  }
  return absl::OkStatus();
}

absl::Status TakePreamble(Reader& reader, GgufHeader& header) {
  GWQ_ASSIGN_OR_RETURN(const uint32_t magic, reader.Take<uint32_t>("magic"));
  if (magic != 0x46554747) return InvalidField("magic", "a GGUF file starts with the letters GGUF");
  GWQ_ASSIGN_OR_RETURN(header.version, reader.Take<uint32_t>("version"));
  if (header.version != 2 && header.version != 3) {
    return InvalidField("version", fmt::format("version {} is not read: little-endian 2 and 3 are", header.version));
  }
  return absl::OkStatus();
}

template <class T>
const T* FindOf(const std::map<std::string, GgufValue>& metadata, std::string_view key) {
  const auto found = metadata.find(std::string(key));
  return found == metadata.end() ? nullptr : std::get_if<T>(&found->second);
}

}  // namespace

const std::string* GgufHeader::FindString(std::string_view key) const { return FindOf<std::string>(metadata, key); }
const int64_t* GgufHeader::FindInt(std::string_view key) const { return FindOf<int64_t>(metadata, key); }
const double* GgufHeader::FindDouble(std::string_view key) const { return FindOf<double>(metadata, key); }
const bool* GgufHeader::FindBool(std::string_view key) const { return FindOf<bool>(metadata, key); }
const GgufArray* GgufHeader::FindArray(std::string_view key) const { return FindOf<GgufArray>(metadata, key); }

absl::StatusOr<GgufHeader> ParseGgufHeader(std::span<const std::byte> bytes, uint64_t file_size) {
  GgufHeader header;
  Reader reader(bytes.first(std::min<uint64_t>({bytes.size(), file_size, kMaxGgufHeader})));
  GWQ_RETURN_IF_ERROR(TakePreamble(reader, header));
  GWQ_ASSIGN_OR_RETURN(const uint64_t tensors, reader.Take<uint64_t>("tensor_count"));
  GWQ_ASSIGN_OR_RETURN(const uint64_t keys, reader.Take<uint64_t>("metadata_count"));
  if (tensors > kMaxEntries) {
    return InvalidField("tensor_count", fmt::format("{} tensors; the limit is {}", tensors, kMaxEntries));
  }
  if (keys > kMaxEntries) {
    return InvalidField("metadata_count", fmt::format("{} keys; the limit is {}", keys, kMaxEntries));
  }
  GWQ_RETURN_IF_ERROR(TakeMetadata(reader, keys, header));
  GWQ_RETURN_IF_ERROR(SetAlignment(header));
  GWQ_RETURN_IF_ERROR(TakeTensors(reader, tensors, file_size, header));
  header.header_size = (reader.position() + header.alignment - 1) / header.alignment * header.alignment;
  if (header.header_size > bytes.size() || header.header_size > file_size) return reader.Cut("header");
  GWQ_RETURN_IF_ERROR(CheckCover(header, file_size));
  return header;
}

}  // namespace gwq
