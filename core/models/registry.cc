#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "core/base/status.h"
#include "core/models/family.h"

namespace gwq {
namespace {

constexpr std::array<const Family*, 7> kFamilies = {
    &kLlamaFamily, &kQwen2Family, &kQwen2VlFamily, &kQwen25VlFamily, &kIdefics3Family, &kSmolVlmFamily, &kLlavaFamily};

}  // namespace

const Family* FindFamily(std::string_view architecture) {
  const auto found =
      std::ranges::find(kFamilies, architecture, [](const Family* family) { return family->architecture; });
  return found == kFamilies.end() ? nullptr : *found;
}

absl::Status UnknownArchitecture(std::string_view architecture) {
  return InvalidField("config.architectures",
                      fmt::format("'{}' is not a known architecture; known are: {}", architecture.substr(0, 80),
                                  fmt::join(KnownArchitectures(), ", ")));
}

std::vector<std::string> KnownArchitectures() {
  std::vector<std::string> names;
  for (const Family* family : kFamilies) names.emplace_back(family->architecture);
  std::ranges::sort(names);
  return names;
}

absl::StatusOr<std::unique_ptr<Model>> CreateModel(const ModelConfig& config, const HasTensor& stored) {
  const Family* family = FindFamily(config.architecture);
  if (family == nullptr) return UnknownArchitecture(config.architecture);
  return family->create(config, stored);
}

}  // namespace gwq
