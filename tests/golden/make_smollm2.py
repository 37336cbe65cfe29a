#!/usr/bin/env python3
"""SmolLM2-135M-Instruct out of its GGUF: a Hugging Face directory, and the greedy tokens that transformers gives.

usage: make_smollm2.py --gguf FILE --hf DIR              write the FP16 directory (about 270 MB)
       make_smollm2.py --hf DIR --goldens smollm2.json   greedy tokens of that directory, fp32, transformers
needs: numpy, gguf; for the goldens torch, transformers

The import of the product stores FP16 and undoes llama.cpp's permutation of the rows of Q and K; so does this script, on its own
code, so that the two can be compared tensor by tensor.
"""
import argparse
import json
from pathlib import Path

import numpy as np

TOP = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight", "output.weight": "lm_head.weight"}
BLOCK = {
    "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}
# llama.cpp's pre-tokenizer "smollm": single digits, then GPT-2's split over bytes.
PRE_TOKENIZERS = {"smollm": [
    {"type": "Digits", "individual_digits": True},
    {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}]}
PROMPTS = [
    "The capital of France is",
    "Once upon a time, in a small village by the sea,",
    "def fibonacci(n):\n",
    "<|im_start|>user\nName three animals that can swim.<|im_end|>\n<|im_start|>assistant\n",
    "In 1969, Apollo 11",
]


def hf_name(name):
    if name in TOP:
        return TOP[name]
    _, block, part, kind = name.split(".")
    return f"model.layers.{block}.{BLOCK[part]}.{kind}"


def unpermute(weight, heads):
    """Row pairs (2i, 2i + 1) of a head in GGUF are rows (i, i + head_dim / 2) in Hugging Face's order."""
    rows, cols = weight.shape
    return weight.reshape(heads, rows // heads // 2, 2, cols).swapaxes(1, 2).reshape(rows, cols)


def config_of(field):
    heads, hidden = field("llama.attention.head_count"), field("llama.embedding_length")
    return {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "attention_bias": False, "mlp_bias": False,
        "vocab_size": field("llama.vocab_size"), "hidden_size": hidden, "intermediate_size": field("llama.feed_forward_length"),
        "num_hidden_layers": field("llama.block_count"), "num_attention_heads": heads,
        "num_key_value_heads": field("llama.attention.head_count_kv"), "head_dim": hidden // heads,
        "max_position_embeddings": field("llama.context_length"), "rope_theta": field("llama.rope.freq_base"), "rope_scaling": None,
        "rms_norm_eps": float(f"{field('llama.attention.layer_norm_rms_epsilon'):.6g}"),
        "bos_token_id": field("tokenizer.ggml.bos_token_id"), "eos_token_id": field("tokenizer.ggml.eos_token_id"),
        "tie_word_embeddings": True, "torch_dtype": "float16",
    }


def tokenizer_of(field):
    tokens, types = field("tokenizer.ggml.tokens"), field("tokenizer.ggml.token_type")
    special = [{"id": i, "content": t, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
               for i, (t, kind) in enumerate(zip(tokens, types)) if kind == 3]
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": special, "normalizer": None, "post_processor": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": PRE_TOKENIZERS[field("tokenizer.ggml.pre")]},
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None,
                  "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                  "vocab": {t: i for i, t in enumerate(tokens)}, "merges": [m.split(" ", 1) for m in field("tokenizer.ggml.merges")]},
    }


def write_safetensors(path, tensors):
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, value in tensors.items():
        header[name] = {"dtype": "F16", "shape": list(value.shape), "data_offsets": [offset, offset + value.nbytes]}
        offset += value.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as out:
        out.write(len(text).to_bytes(8, "little") + text)
        for value in tensors.values():
            out.write(value.tobytes())


def write_directory(gguf_path, out):
    import gguf
    reader = gguf.GGUFReader(gguf_path)

    def field(name):
        return reader.fields[name].contents()

    out.mkdir(parents=True, exist_ok=True)
    tensors = {}
    for tensor in reader.tensors:
        value = gguf.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        value = value.reshape([int(n) for n in reversed(tensor.shape)])
        if ".attn_q." in tensor.name:
            value = unpermute(value, field("llama.attention.head_count"))
        if ".attn_k." in tensor.name:
            value = unpermute(value, field("llama.attention.head_count_kv"))
        tensors[hf_name(tensor.name)] = value.astype(np.float16)
    write_safetensors(out / "model.safetensors", dict(sorted(tensors.items())))
    (out / "config.json").write_text(json.dumps(config_of(field), indent=2) + "\n")
    (out / "tokenizer.json").write_text(json.dumps(tokenizer_of(field), ensure_ascii=False))
    tokens = field("tokenizer.ggml.tokens")
    (out / "tokenizer_config.json").write_text(json.dumps({
        "tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False, "model_max_length": field("llama.context_length"),
        "chat_template": field("tokenizer.chat_template"),
        **{f"{kind}_token": tokens[field(f"tokenizer.ggml.{key}_token_id")]
           for kind, key in [("bos", "bos"), ("eos", "eos"), ("unk", "unknown"), ("pad", "padding")]}}, indent=2) + "\n")


def write_goldens(directory, out, count=64):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    torch.set_num_threads(1)
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(directory)
    runs = []
    for prompt in PROMPTS:
        ids = tokenizer(prompt, add_special_tokens=False).input_ids
        rest, cache, step, margin = [], None, torch.tensor([ids]), float("inf")
        with torch.no_grad():
            for _ in range(count):
                result = model(step, past_key_values=cache, use_cache=True)
                best = result.logits[0, -1].topk(2)
                margin = min(margin, float(best.values[0] - best.values[1]))
                cache, step = result.past_key_values, best.indices[:1][None]
                rest.append(int(best.indices[0]))
        runs.append({"prompt": prompt, "prompt_ids": ids, "greedy_ids": rest, "smallest_margin": round(margin, 5)})
        print(f"{prompt!r}: smallest margin {margin:.4f}: {tokenizer.decode(rest)!r}")
    out.write_text(json.dumps({"source": "transformers, fp32, weights of the GGUF rounded to FP16", "runs": runs}, indent=1) + "\n")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--gguf", type=Path)
    parser.add_argument("--hf", type=Path, required=True)
    parser.add_argument("--goldens", type=Path)
    args = parser.parse_args()
    if args.gguf:
        write_directory(args.gguf, args.hf)
    if args.goldens:
        write_goldens(args.hf, args.goldens)


if __name__ == "__main__":
    main()
