#include "core/text/gguf_metadata.h"

#include <string>
#include <variant>
#include <vector>

#include "core/base/status.h"

namespace gwq {
namespace {

// An array of the file widened to T, as the member of GgufTokenizer wants it; empty if the key is absent.
template <typename Stored, typename T>
absl::Status CopyArray(const GgufHeader& header, const std::string& key, std::vector<T>& out) {
  const auto entry = header.metadata.find(key);
  if (entry == header.metadata.end()) return absl::OkStatus();
  const auto* array = std::get_if<GgufArray>(&entry->second);
  const auto* values = array == nullptr ? nullptr : std::get_if<std::vector<Stored>>(array);
  if (values == nullptr) return InvalidField(key, "is not an array of the type that the format gives it");
  out.reserve(values->size());
  for (const Stored& value : *values) out.push_back(static_cast<T>(value));
  return absl::OkStatus();
}

template <typename T, typename Out>
absl::Status CopyValue(const GgufHeader& header, const std::string& key, Out& out) {
  const auto entry = header.metadata.find(key);
  if (entry == header.metadata.end()) return absl::OkStatus();
  const auto* value = std::get_if<T>(&entry->second);
  if (value == nullptr) return InvalidField(key, "is not of the type that the format gives it");
  out = *value;
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<GgufTokenizer> ReadGgufTokenizer(const GgufHeader& header) {
  GgufTokenizer out;
  GWQ_RETURN_IF_ERROR(CopyValue<std::string>(header, "tokenizer.ggml.model", out.model));
  GWQ_RETURN_IF_ERROR(CopyValue<std::string>(header, "tokenizer.ggml.pre", out.pre));
  GWQ_RETURN_IF_ERROR(CopyValue<std::string>(header, "tokenizer.chat_template", out.chat_template));
  GWQ_RETURN_IF_ERROR(CopyArray<std::string>(header, "tokenizer.ggml.tokens", out.tokens));
  GWQ_RETURN_IF_ERROR(CopyArray<int64_t>(header, "tokenizer.ggml.token_type", out.token_types));
  GWQ_RETURN_IF_ERROR(CopyArray<double>(header, "tokenizer.ggml.scores", out.scores));
  GWQ_RETURN_IF_ERROR(CopyArray<std::string>(header, "tokenizer.ggml.merges", out.merges));
  GWQ_RETURN_IF_ERROR(CopyValue<int64_t>(header, "tokenizer.ggml.bos_token_id", out.bos_id));
  GWQ_RETURN_IF_ERROR(CopyValue<int64_t>(header, "tokenizer.ggml.eos_token_id", out.eos_id));
  GWQ_RETURN_IF_ERROR(CopyValue<int64_t>(header, "tokenizer.ggml.eot_token_id", out.eot_id));
  GWQ_RETURN_IF_ERROR(CopyValue<int64_t>(header, "tokenizer.ggml.unknown_token_id", out.unk_id));
  GWQ_RETURN_IF_ERROR(CopyValue<int64_t>(header, "tokenizer.ggml.padding_token_id", out.pad_id));
  GWQ_RETURN_IF_ERROR(CopyValue<bool>(header, "tokenizer.ggml.add_bos_token", out.add_bos));
  GWQ_RETURN_IF_ERROR(CopyValue<bool>(header, "tokenizer.ggml.add_eos_token", out.add_eos));
  GWQ_RETURN_IF_ERROR(CopyValue<bool>(header, "tokenizer.ggml.add_space_prefix", out.add_space_prefix));
  return out;
}

}  // namespace gwq
