#!/usr/bin/env python3
"""Writes a randomly initialised Llama as a Hugging Face directory: safetensors shards in FP16, and a tokenizer.

usage: make_random_llama.py OUT_DIR [--blocks 22] [--hidden 2048] ... [--seed 0]
needs: numpy

The default is TinyLlama's shape, 1.1B parameters, 2.2 GB. One tensor is in memory at a time. The text it generates is noise: it
is there to measure memory and time. The tokenizer is byte-level BPE whose merges join pairs of letters, so that every token id
has a text and ordinary text takes about two characters a token.
"""
import argparse
import itertools
import json
import string
from pathlib import Path

import numpy as np

SPECIALS = ["<unk>", "<s>", "</s>"]
CHAT = ("{% for message in messages %}<s>{{ message['role'] }}\n{{ message['content'] }}</s>\n{% endfor %}"
        "{% if add_generation_prompt %}<s>assistant\n{% endif %}")


def tensors(args):
    """(name, shape, standard deviation); 0 means all ones."""
    queries, keys = args.heads * args.head_dim, args.kv_heads * args.head_dim
    yield "model.embed_tokens.weight", (args.vocab, args.hidden), 0.02
    for i in range(args.blocks):
        block = f"model.layers.{i}."
        yield block + "input_layernorm.weight", (args.hidden,), 0
        yield block + "self_attn.q_proj.weight", (queries, args.hidden), 0.02
        yield block + "self_attn.k_proj.weight", (keys, args.hidden), 0.02
        yield block + "self_attn.v_proj.weight", (keys, args.hidden), 0.02
        yield block + "self_attn.o_proj.weight", (args.hidden, queries), 0.02
        yield block + "post_attention_layernorm.weight", (args.hidden,), 0
        yield block + "mlp.gate_proj.weight", (args.intermediate, args.hidden), 0.02
        yield block + "mlp.up_proj.weight", (args.intermediate, args.hidden), 0.02
        yield block + "mlp.down_proj.weight", (args.hidden, args.intermediate), 0.02
    yield "model.norm.weight", (args.hidden,), 0
    yield "lm_head.weight", (args.vocab, args.hidden), 0.02


def bytes_of(shape):
    return 2 * int(np.prod(shape))


def cut_into_shards(specs, limit):
    shards, size = [[]], 0
    for spec in specs:
        if shards[-1] and size + bytes_of(spec[1]) > limit:
            shards.append([])
            size = 0
        shards[-1].append(spec)
        size += bytes_of(spec[1])
    return shards


def values_of(shape, deviation, random):
    """FP16 bytes in parts of at most 4M values."""
    left = int(np.prod(shape))
    while left > 0:
        count = min(left, 1 << 22)
        part = random.standard_normal(count, dtype=np.float32) * np.float32(deviation) if deviation else np.ones(count, np.float32)
        yield part.astype(np.float16).tobytes()
        left -= count


def write_shard(path, specs, random):
    header, offset = {}, 0
    for name, shape, _ in specs:
        header[name] = {"dtype": "F16", "shape": list(shape), "data_offsets": [offset, offset + bytes_of(shape)]}
        offset += bytes_of(shape)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as out:
        out.write(len(text).to_bytes(8, "little") + text)
        for _, shape, deviation in specs:
            for part in values_of(shape, deviation, random):
                out.write(part)


def write_weights(args, out):
    random = np.random.default_rng(args.seed)
    shards = cut_into_shards(list(tensors(args)), args.shard_bytes)
    index = {}
    for number, specs in enumerate(shards, 1):
        file = f"model-{number:05}-of-{len(shards):05}.safetensors" if len(shards) > 1 else "model.safetensors"
        write_shard(out / file, specs, random)
        index |= {name: file for name, _, _ in specs}
        print(f"{number} of {len(shards)} shards", flush=True)
    if len(shards) > 1:
        total = sum(bytes_of(shape) for _, shape, _ in tensors(args))
        (out / "model.safetensors.index.json").write_text(
            json.dumps({"metadata": {"total_size": total}, "weight_map": index}, indent=2) + "\n")


def byte_alphabet():
    """The printable character that byte-level BPE shows for each byte."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = iter(range(256, 512))
    return [chr(b) if b in plain else chr(next(others)) for b in range(256)]


def merges():
    """Space and letter, pairs of letters, then a third letter: every result is made of results before it."""
    letters, space = string.ascii_lowercase, "\u0120"
    yield from ((space, c) for c in letters)
    yield from itertools.product(letters, letters)
    yield from ((space + a, b) for a, b in itertools.product(letters, letters))
    yield from ((a + b, c) for a, b, c in itertools.product(letters, letters, letters))
    yield from ((space + a + b, c) for a, b, c in itertools.product(letters, letters, letters))


def tokenizer_of(vocabulary):
    tokens = SPECIALS + byte_alphabet()
    pairs = list(itertools.islice(merges(), max(0, vocabulary - len(tokens))))
    tokens = (tokens + [a + b for a, b in pairs])[:vocabulary]
    if len(tokens) != vocabulary:
        raise SystemExit(f"--vocab is {vocabulary}, the tokenizer has at most {len(tokens)} tokens")
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0", "truncation": None, "padding": None, "normalizer": None, "post_processor": None,
        "added_tokens": [{"id": i, "content": t, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
                          "special": True} for i, t in enumerate(SPECIALS)],
        "pre_tokenizer": byte_level, "decoder": byte_level,
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None,
                  "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                  "vocab": {t: i for i, t in enumerate(tokens)}, "merges": [list(p) for p in pairs]},
    }


def write_json(args, out):
    (out / "config.json").write_text(json.dumps({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "attention_bias": False, "mlp_bias": False,
        "vocab_size": args.vocab, "hidden_size": args.hidden, "intermediate_size": args.intermediate, "num_hidden_layers": args.blocks,
        "num_attention_heads": args.heads, "num_key_value_heads": args.kv_heads, "head_dim": args.head_dim,
        "max_position_embeddings": 2048, "rope_theta": 10000.0, "rope_scaling": None, "rms_norm_eps": 1e-5, "bos_token_id": 1,
        "eos_token_id": 2, "tie_word_embeddings": False, "torch_dtype": "float16", "transformers_version": "4.46.3"}, indent=2) + "\n")
    (out / "tokenizer.json").write_text(json.dumps(tokenizer_of(args.vocab), ensure_ascii=False))
    (out / "tokenizer_config.json").write_text(json.dumps({
        "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>",
        "model_max_length": 2048, "clean_up_tokenization_spaces": False, "chat_template": CHAT}, indent=2) + "\n")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--blocks", type=int, default=22)
    parser.add_argument("--hidden", type=int, default=2048)
    parser.add_argument("--intermediate", type=int, default=5632)
    parser.add_argument("--heads", type=int, default=32)
    parser.add_argument("--kv-heads", type=int, default=4)
    parser.add_argument("--head-dim", type=int, default=64)
    parser.add_argument("--vocab", type=int, default=32000)
    parser.add_argument("--shard-bytes", type=int, default=1_000_000_000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    write_json(args, args.out)
    write_weights(args, args.out)


if __name__ == "__main__":
    main()
