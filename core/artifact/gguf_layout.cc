#include "core/artifact/gguf_layout.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <span>

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

}  // namespace gwq
