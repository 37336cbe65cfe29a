// The common part of vision-language families: a decoder and a tower in one model, and their namings.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "core/models/config_reader.h"
#include "core/models/decoder.h"
#include "core/models/model.h"
#include "core/models/vit.h"

namespace gwq {

// `config` has a vision part.
[[nodiscard]] std::unique_ptr<Model> MakeVisionLanguageModel(const ModelConfig& config, const DecoderNames& decoder,
                                                             const VitNames& tower);

// One way to name the tensors of a part, recognised by a tensor that the part has in every model of the family.
struct Naming {
  std::string_view stem;
  std::string_view probe;  // behind the stem
};
// The stem of the first naming whose probe is stored; of the first naming if none is stored or `stored` is null.
[[nodiscard]] std::string StoredStem(std::span<const Naming> namings, const HasTensor& stored);

// The common fields at the top of such files: the token that stands for an image row, and the tied head, which may also
// be in the text part.
void ReadVisionLanguage(ConfigReader& json, std::string_view image_token_field, ModelConfig& config);
// The fields that are special to the language model inside: `model_type` llama, which is the default, or qwen2.
void ReadInnerLanguageModel(ConfigReader& json, ConfigReader& text, ModelConfig& config);

}  // namespace gwq
