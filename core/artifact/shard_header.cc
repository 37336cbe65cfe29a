#include "core/artifact/shard_header.h"

#include <fmt/format.h>

#include <map>

#include "core/base/status.h"

namespace gwq {

absl::StatusOr<std::vector<SafetensorsTensor>> ReadShardHeader(BlobStore& store, const ManifestShard& shard) {
  GWQ_ASSIGN_OR_RETURN(const std::string text, ReadBlob(store, shard.header, 8 + kMaxSafetensorsHeader));
  GWQ_ASSIGN_OR_RETURN(const SafetensorsHeader header,
                       ParseSafetensorsHeader(std::as_bytes(std::span(text)), shard.size));
  std::map<std::string_view, const SafetensorsTensor*> described;
  for (const SafetensorsTensor& tensor : header.tensors) described.emplace(tensor.name, &tensor);
  std::vector<SafetensorsTensor> out;
  for (size_t i = 0; i < shard.tensors.size(); ++i) {
    const ManifestTensor& declared = shard.tensors[i];
    const auto found = described.find(declared.name);
    if (found == described.end()) {
      return InvalidField(fmt::format("tensors[{}].name", i),
                          fmt::format("the file's header knows no tensor '{}'", declared.name));
    }
    const SafetensorsTensor& tensor = *found->second;
    if (tensor.offset != declared.offset || tensor.size != declared.size) {
      return InvalidField(fmt::format("tensors[{}].{}", i, tensor.offset != declared.offset ? "offset" : "size"),
                          fmt::format("{} bytes at {} were declared, the file's header puts {} bytes of {} at {}",
                                      declared.size, declared.offset, tensor.size, declared.name, tensor.offset));
    }
    out.push_back(tensor);
    described.erase(found);
  }
  if (described.empty()) return out;
  return InvalidField("tensors", fmt::format("the file's header also describes '{}'", described.begin()->first));
}

}  // namespace gwq
