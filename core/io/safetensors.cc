#include "core/io/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "core/base/status.h"
#include "core/io/json.h"

namespace gwq {
namespace {

using nlohmann::json;

constexpr size_t kMaxNameBytes = 1024;
constexpr size_t kMaxDimensions = 8;

absl::Status Wrong(const std::string& tensor, std::string_view part, std::string_view text) {
  return InvalidField(fmt::format("tensors[{}]{}", tensor, part), text);
}

absl::Status ReadShape(const std::string& name, const json& value, Shape& shape) {
  if (!value.is_array() || value.size() > kMaxDimensions) {
    return Wrong(name, ".shape", fmt::format("give a list of at most {} dimensions", kMaxDimensions));
  }
  for (const json& dimension : value) {
    if (!dimension.is_number_unsigned() || dimension.get<uint64_t>() > uint64_t{1} << 48) {
      return Wrong(name, ".shape", "each dimension is a whole number from 0 to 2^48");
    }
    shape.push_back(dimension.get<int64_t>());
  }
  return absl::OkStatus();
}

absl::Status ReadOffsets(const std::string& name, const json& value, uint64_t data_size, SafetensorsTensor& tensor) {
  if (!value.is_array() || value.size() != 2 || !value[0].is_number_unsigned() || !value[1].is_number_unsigned()) {
    return Wrong(name, ".data_offsets", "give two whole numbers [begin, end]");
  }
  const auto begin = value[0].get<uint64_t>();
  const auto end = value[1].get<uint64_t>();
  if (begin > end || end > data_size) {
    return Wrong(name, ".data_offsets",
                 fmt::format("[{}, {}] does not lie inside the {} bytes of data", begin, end, data_size));
  }
  tensor.offset = begin;
  tensor.size = end - begin;
  return absl::OkStatus();
}

absl::StatusOr<SafetensorsTensor> ReadTensor(const std::string& name, const json& value, uint64_t data_size) {
  SafetensorsTensor tensor;
  tensor.name = name;
  if (name.empty() || name.size() > kMaxNameBytes) {
    return Wrong(name.substr(0, 64), "", fmt::format("a name has 1 to {} bytes", kMaxNameBytes));
  }
  if (!value.is_object()) return Wrong(name, "", "expected an object with dtype, shape and data_offsets");
  for (const auto& [key, unused] : value.items()) {
    if (key != "dtype" && key != "shape" && key != "data_offsets") {
      return Wrong(name, "", fmt::format("unknown key '{}'", key.substr(0, 64)));
    }
  }
  const auto dtype = value.find("dtype");
  if (dtype == value.end() || !dtype->is_string()) return Wrong(name, ".dtype", "missing: give an element type");
  const absl::StatusOr<DType> type = ParseDType(dtype->get_ref<const std::string&>());
  if (!type.ok()) return Wrong(name, ".dtype", MessageOf(type.status()));
  tensor.dtype = *type;
  if (!value.contains("shape")) return Wrong(name, ".shape", "missing: give the dimensions");
  GWQ_RETURN_IF_ERROR(ReadShape(name, value["shape"], tensor.shape));
  if (!value.contains("data_offsets")) return Wrong(name, ".data_offsets", "missing: give [begin, end]");
  GWQ_RETURN_IF_ERROR(ReadOffsets(name, value["data_offsets"], data_size, tensor));

  const absl::StatusOr<int64_t> count = ElementCount(tensor.shape);
  if (!count.ok()) return Wrong(name, ".shape", MessageOf(count.status()));
  // Divided and not multiplied: a count of 2^62 elements times their size does not fit.
  const uint64_t element = DTypeSize(tensor.dtype);
  if (tensor.size % element != 0 || tensor.size / element != static_cast<uint64_t>(*count)) {
    return Wrong(name, ".data_offsets",
                 fmt::format("{} bytes, but {} {} takes {} elements of {} bytes", tensor.size, DTypeName(tensor.dtype),
                             ShapeString(tensor.shape), *count, element));
  }
  return tensor;
}

absl::Status ReadMetadata(const json& value, std::map<std::string, std::string>& metadata) {
  if (!value.is_object()) return InvalidField("__metadata__", "expected an object of strings");
  for (const auto& [key, text] : value.items()) {
    if (!text.is_string())
      return InvalidField(fmt::format("__metadata__.{}", ToValidUtf8(key.substr(0, 64))), "expected a string");
    metadata[key] = text.get<std::string>();
  }
  return absl::OkStatus();
}

absl::Status CheckCover(const std::vector<SafetensorsTensor>& tensors, uint64_t data_size) {
  uint64_t next = 0;
  for (const SafetensorsTensor& tensor : tensors) {
    if (tensor.offset != next) {
      const bool overlap = tensor.offset < next;
      return Wrong(tensor.name, ".data_offsets",
                   fmt::format("starts at {}, {} what ends at {}: tensors follow each other without gap or overlap",
                               tensor.offset, overlap ? "inside" : "after a gap behind", next));
    }
    next += tensor.size;
  }
  if (next != data_size) {
    return InvalidField("header", fmt::format("the tensors cover {} of {} bytes of data", next, data_size));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<uint64_t> SafetensorsHeaderSize(std::span<const std::byte> first_bytes, uint64_t file_size) {
  if (first_bytes.size() < 8 || file_size < 8) {
    return InvalidField("header_size", fmt::format("a safetensors file has at least 8 bytes, this one {}", file_size));
  }
  static_assert(std::endian::native == std::endian::little);
  uint64_t length = 0;
  std::memcpy(&length, first_bytes.data(), sizeof(length));
  if (length > kMaxSafetensorsHeader || length > file_size - 8) {
    return InvalidField("header_size", fmt::format("{} bytes of header in a file of {} bytes; the limit is {}", length,
                                                   file_size, kMaxSafetensorsHeader));
  }
  return 8 + length;
}

absl::StatusOr<SafetensorsHeader> ParseSafetensorsHeader(std::span<const std::byte> header, uint64_t file_size) {
  SafetensorsHeader out;
  GWQ_ASSIGN_OR_RETURN(out.header_size, SafetensorsHeaderSize(header, file_size));
  if (header.size() != out.header_size) {
    return InvalidField("header_size",
                        fmt::format("{} bytes were given, the file's header has {}", header.size(), out.header_size));
  }
  const std::string_view text(reinterpret_cast<const char*>(header.data()) + 8, header.size() - 8);
  JsonLimits limits;
  limits.max_bytes = kMaxSafetensorsHeader;
  limits.max_depth = 4;
  GWQ_ASSIGN_OR_RETURN(const json tree, ParseJson("header", text, limits));
  if (!tree.is_object()) return InvalidField("header", "expected a JSON object");
  const uint64_t data_size = file_size - out.header_size;
  for (const auto& [name, value] : tree.items()) {
    if (name == "__metadata__") {
      GWQ_RETURN_IF_ERROR(ReadMetadata(value, out.metadata));
      continue;
    }
    GWQ_ASSIGN_OR_RETURN(SafetensorsTensor tensor, ReadTensor(name, value, data_size));
    out.tensors.push_back(std::move(tensor));
  }
  // Empty tensors share their offset with what follows: they come first, so that the cover has no false overlap.
  std::ranges::sort(out.tensors, {}, [](const SafetensorsTensor& tensor) {
    return std::tuple<uint64_t, uint64_t, std::string_view>(tensor.offset, tensor.size, tensor.name);
  });
  GWQ_RETURN_IF_ERROR(CheckCover(out.tensors, data_size));
  return out;
}

std::string WriteSafetensorsHeader(const std::vector<SafetensorsTensor>& tensors,
                                   const std::map<std::string, std::string>& metadata) {
  json tree = json::object();
  if (!metadata.empty()) tree["__metadata__"] = metadata;
  for (const SafetensorsTensor& tensor : tensors) {
    tree[tensor.name] = {{"dtype", DTypeName(tensor.dtype)},
                         {"shape", tensor.shape},
                         {"data_offsets", {tensor.offset, tensor.offset + tensor.size}}};
  }
  std::string text = CanonicalJson(tree);
  text.append((64 - (8 + text.size()) % 64) % 64, ' ');
  const uint64_t length = text.size();
  std::string out(8, '\0');
  std::memcpy(out.data(), &length, sizeof(length));
  return out + text;
}

}  // namespace gwq
