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
  // Reads what is particular to the family into `config`, whose common fields are read already. `text` holds the
  // language model's fields: "text_config" where the file has it, else the file itself. Errors go into either.
  void (*read_config)(ConfigReader& json, ConfigReader& text, ModelConfig& config);
  absl::StatusOr<std::unique_ptr<Model>> (*create)(const ModelConfig& config, const HasTensor& stored);
  // A JSON object: the language model's fields that files leave out and that are not the common defaults.
  std::string_view text_defaults = "{}";
};

// One a file.
extern const Family kLlamaFamily;
extern const Family kQwen2Family;
extern const Family kQwen2VlFamily;
extern const Family kQwen25VlFamily;
extern const Family kIdefics3Family;
extern const Family kSmolVlmFamily;
extern const Family kLlavaFamily;

// The table is in registry.cc. Null if no family has that name.
[[nodiscard]] const Family* FindFamily(std::string_view architecture);
// INVALID_ARGUMENT naming the architecture and the list of known ones.
[[nodiscard]] absl::Status UnknownArchitecture(std::string_view architecture);

}  // namespace gwq
