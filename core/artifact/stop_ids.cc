#include "core/artifact/stop_ids.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/base/status.h"

namespace gwq {
namespace {

// ParseModelConfig has looked at config.json's, so the id is generation_config.json's or the tokenizer's.
const char* FieldOf(const std::map<std::string, std::string>& files, int32_t id) {
  if (const auto file = files.find("generation_config.json"); file != files.end()) {
    const auto generation = nlohmann::json::parse(file->second, nullptr, /*allow_exceptions=*/false);
    const auto ends = generation.find("eos_token_id");
    // A single number counts as a list of itself.
    if (ends != generation.end() && std::count(ends->begin(), ends->end(), id) != 0) {
      return "generation_config.json: eos_token_id";
    }
  }
  return "tokenizer_config.json: eos_token";
}

}  // namespace

absl::Status CheckStopIds(const std::map<std::string, std::string>& files, const ModelText& text,
                          const ModelConfig& config) {
  if (text.stop_ids().empty() || text.stop_ids().back() < config.vocab_size) return absl::OkStatus();
  const int32_t id = text.stop_ids().back();
  return InvalidField(FieldOf(files, id),
                      fmt::format("token {} is outside the vocabulary of {} (vocab_size of config.json); name the "
                                  "token that ends an answer",
                                  id, config.vocab_size));
}

}  // namespace gwq
