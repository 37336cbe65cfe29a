"""A tiny Llama directory that needs nothing but the standard library: random weights, a byte-level tokenizer, a chat template.

usage: tiny_model.py DIR [--seed N] [--blocks N] [--hidden N]
"""
import argparse
import json
import random
import struct
from pathlib import Path


def byte_characters():
    """The 256 characters that byte-level BPE writes bytes as (GPT-2's table)."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    table, extra = {}, 0
    for byte in range(256):
        if byte in plain:
            table[byte] = chr(byte)
        else:
            table[byte] = chr(256 + extra)
            extra += 1
    return table


def tokenizer_json():
    characters = byte_characters()
    vocab = {"<|im_start|>": 0, "<|im_end|>": 1}
    for byte in range(256):
        vocab[characters[byte]] = 2 + byte
    special = [{"id": i, "content": text, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
               for text, i in list(vocab.items())[:2]]
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": special, "normalizer": None,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
        "post_processor": None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None,
                  "fuse_unk": False, "byte_fallback": False, "ignore_merges": False, "vocab": vocab, "merges": []},
    }


TEMPLATE = ("{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
            "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}")


def tensors(config):
    hidden, inner, heads, kv = (config[k] for k in ("hidden_size", "intermediate_size", "num_attention_heads", "num_key_value_heads"))
    head = hidden // heads
    yield "model.embed_tokens.weight", (config["vocab_size"], hidden)
    for i in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{i}."
        yield prefix + "input_layernorm.weight", (hidden,)
        yield prefix + "self_attn.q_proj.weight", (heads * head, hidden)
        yield prefix + "self_attn.k_proj.weight", (kv * head, hidden)
        yield prefix + "self_attn.v_proj.weight", (kv * head, hidden)
        yield prefix + "self_attn.o_proj.weight", (hidden, heads * head)
        yield prefix + "post_attention_layernorm.weight", (hidden,)
        yield prefix + "mlp.gate_proj.weight", (inner, hidden)
        yield prefix + "mlp.up_proj.weight", (inner, hidden)
        yield prefix + "mlp.down_proj.weight", (hidden, inner)
    yield "model.norm.weight", (hidden,)


def write_safetensors(path, items):
    """items: (name, shape, bytes of F16)."""
    header, offset = {}, 0
    for name, shape, data in items:
        header[name] = {"dtype": "F16", "shape": list(shape), "data_offsets": [offset, offset + len(data)]}
        offset += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(data for _, _, data in items))


def write_model(folder, seed=0, blocks=2, hidden=64, changed_tensor=None):
    """`changed_tensor` gets other values than the seed gives: a fine-tune of one matrix."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": hidden, "intermediate_size": 2 * hidden,
              "num_hidden_layers": blocks, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 258, "rms_norm_eps": 1e-5,
              "rope_theta": 10000.0, "max_position_embeddings": 512, "hidden_act": "silu", "tie_word_embeddings": True,
              "torch_dtype": "float16", "bos_token_id": 0, "eos_token_id": 1}
    items = []
    for name, shape in tensors(config):
        source = random.Random(f"{seed} {name}" + (" changed" if name == changed_tensor else ""))
        count = 1
        for dimension in shape:
            count *= dimension
        values = [1.0] * count if len(shape) == 1 else [source.gauss(0, 0.08) for _ in range(count)]
        items.append((name, shape, struct.pack(f"<{count}e", *values)))
    write_safetensors(folder / "model.safetensors", items)
    (folder / "config.json").write_text(json.dumps(config, indent=2))
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer_json(), ensure_ascii=False))
    (folder / "tokenizer_config.json").write_text(json.dumps(
        {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>", "chat_template": TEMPLATE, "tokenizer_class": "PreTrainedTokenizerFast"}))
    return folder


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--blocks", type=int, default=2)
    parser.add_argument("--hidden", type=int, default=64)
    args = parser.parse_args()
    write_model(args.folder, args.seed, args.blocks, args.hidden)
