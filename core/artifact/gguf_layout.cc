#include "core/artifact/gguf_layout.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <utility>

#include "core/artifact/gguf_metadata.h"
#include "core/base/status.h"

namespace gwq {
namespace {

struct NamePair {
  std::string_view hugging_face;
  std::string_view gguf;
};

constexpr std::array<NamePair, 3> kModelNames = {
    {{"model.embed_tokens", "token_embd"}, {"model.norm", "output_norm"}, {"lm_head", "output"}}};
constexpr std::array<NamePair, 9> kBlockNames = {{{"input_layernorm", "attn_norm"},
                                                  {"self_attn.q_proj", "attn_q"},
                                                  {"self_attn.k_proj", "attn_k"},
                                                  {"self_attn.v_proj", "attn_v"},
                                                  {"self_attn.o_proj", "attn_output"},
                                                  {"post_attention_layernorm", "ffn_norm"},
                                                  {"mlp.gate_proj", "ffn_gate"},
                                                  {"mlp.up_proj", "ffn_up"},
                                                  {"mlp.down_proj", "ffn_down"}}};
constexpr std::string_view kBlockPrefix = "model.layers.";

std::string_view Lookup(std::span<const NamePair> names, std::string_view name) {
  for (const NamePair& pair : names) {
    if (pair.hugging_face == name) return pair.gguf;
  }
  return {};
}

absl::Status ReadStrings(MetadataReader& metadata, GgufTokenizer& out) {
  GWQ_ASSIGN_OR_RETURN(out.model, metadata.StringOr("tokenizer.ggml.model", ""));
  GWQ_ASSIGN_OR_RETURN(out.pre, metadata.StringOr("tokenizer.ggml.pre", ""));
  GWQ_ASSIGN_OR_RETURN(out.chat_template, metadata.StringOr("tokenizer.chat_template", ""));
  GWQ_ASSIGN_OR_RETURN(out.tokens, metadata.Array<std::string>("tokenizer.ggml.tokens"));
  GWQ_ASSIGN_OR_RETURN(out.merges, metadata.Array<std::string>("tokenizer.ggml.merges"));
  return absl::OkStatus();
}

absl::Status ReadNumbers(MetadataReader& metadata, GgufTokenizer& out) {
  GWQ_ASSIGN_OR_RETURN(const std::vector<int64_t> types, metadata.Array<int64_t>("tokenizer.ggml.token_type"));
  for (const int64_t type : types) {
    if (type < 0 || type > 64) return InvalidField("metadata[tokenizer.ggml.token_type]", fmt::format("{}", type));
    out.token_types.push_back(static_cast<int32_t>(type));
  }
  GWQ_ASSIGN_OR_RETURN(const std::vector<double> scores, metadata.Array<double>("tokenizer.ggml.scores"));
  for (const double score : scores) out.scores.push_back(static_cast<float>(score));
  const std::pair<std::string_view, std::optional<int64_t>*> ids[] = {{"bos_token_id", &out.bos_id},
                                                                      {"eos_token_id", &out.eos_id},
                                                                      {"eot_token_id", &out.eot_id},
                                                                      {"unknown_token_id", &out.unk_id},
                                                                      {"padding_token_id", &out.pad_id}};
  for (const auto& [key, id] : ids) {
    GWQ_ASSIGN_OR_RETURN(*id, metadata.OptionalInt(fmt::format("tokenizer.ggml.{}", key)));
  }
  return absl::OkStatus();
}

absl::Status ReadSwitches(MetadataReader& metadata, GgufTokenizer& out) {
  GWQ_ASSIGN_OR_RETURN(out.add_bos, metadata.OptionalBool("tokenizer.ggml.add_bos_token"));
  GWQ_ASSIGN_OR_RETURN(out.add_eos, metadata.OptionalBool("tokenizer.ggml.add_eos_token"));
  GWQ_ASSIGN_OR_RETURN(out.add_space_prefix, metadata.OptionalBool("tokenizer.ggml.add_space_prefix"));
  return absl::OkStatus();
}

}  // namespace

std::string GgufTensorName(std::string_view hugging_face_name) {
  const size_t dot = hugging_face_name.rfind('.');
  if (dot == std::string_view::npos) return "";
  const std::string_view suffix = hugging_face_name.substr(dot);
  const std::string_view module = hugging_face_name.substr(0, dot);
  if (suffix != ".weight" && suffix != ".bias") return "";
  if (!module.starts_with(kBlockPrefix)) {
    const std::string_view name = Lookup(kModelNames, module);
    return name.empty() ? "" : fmt::format("{}{}", name, suffix);
  }
  const std::string_view rest = module.substr(kBlockPrefix.size());
  const size_t end = std::min(rest.find('.'), rest.size());
  const std::string_view name = Lookup(kBlockNames, rest.substr(std::min(end + 1, rest.size())));
  return name.empty() ? "" : fmt::format("blk.{}.{}{}", rest.substr(0, end), name, suffix);
}

int64_t PairedHeads(const GgufHeader& header, std::string_view hugging_face_name) {
  const std::string* const architecture = header.FindString("general.architecture");
  if (architecture == nullptr || *architecture != "llama") return 0;
  const bool queries = hugging_face_name.find(".q_proj.") != std::string_view::npos;
  const bool keys = hugging_face_name.find(".k_proj.") != std::string_view::npos;
  if (!queries && !keys) return 0;
  const int64_t* const heads = header.FindInt("llama.attention.head_count");
  const int64_t* const kv_heads = header.FindInt("llama.attention.head_count_kv");
  if (heads == nullptr) return 0;
  return keys && kv_heads != nullptr ? *kv_heads : *heads;
}

int64_t StoredRow(int64_t row, int64_t rows, int64_t heads) {
  if (heads == 0) return row;
  const int64_t head_dim = rows / heads;
  const int64_t within = row % head_dim;
  const int64_t half = head_dim / 2;
  return row - within + 2 * (within % half) + within / half;
}

absl::StatusOr<GgufTokenizer> ReadGgufTokenizer(const GgufHeader& header) {
  MetadataReader metadata(header);
  GgufTokenizer out;
  GWQ_RETURN_IF_ERROR(ReadStrings(metadata, out));
  GWQ_RETURN_IF_ERROR(ReadNumbers(metadata, out));
  GWQ_RETURN_IF_ERROR(ReadSwitches(metadata, out));
  return out;
}

}  // namespace gwq
