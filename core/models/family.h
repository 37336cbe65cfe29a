// What a family of models gives to the table in registry.cc.
#pragma once

#include <memory>
#include <string_view>

#include "absl/status/statusor.h"
#include "core/models/config.h"
#include "core/models/config_reader.h"
#include "core/models/model.h"

namespace gwq {

struct Family {
  std::string_view architecture;  // as in config.json's "architectures"
  // Reads what is particular to the family into `config`, whose common fields are read already. Errors go into `json`.
  void (*read_config)(ConfigReader& json, ModelConfig& config);
  absl::StatusOr<std::unique_ptr<Model>> (*create)(const ModelConfig& config);
};

// One a file.
extern const Family kLlamaFamily;
extern const Family kQwen2Family;

// The table is in registry.cc. Null where no family has that name.
[[nodiscard]] const Family* FindFamily(std::string_view architecture);
// INVALID_ARGUMENT naming the architecture and the list of known ones.
[[nodiscard]] absl::Status UnknownArchitecture(std::string_view architecture);

}  // namespace gwq
