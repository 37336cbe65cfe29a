"""A tiny Qwen2-VL directory that needs nothing but the standard library: random weights, a byte-level tokenizer, processor and template.

usage: tiny_vlm.py DIR [--seed N]
"""
import argparse
import json
import math
import random
import struct
from pathlib import Path

import tiny_model

HIDDEN, INNER, BLOCKS, HEADS, KV_HEADS = 64, 128, 2, 4, 2
EMBED, TOWER_BLOCKS, TOWER_HEADS, PATCH, MERGE = 32, 2, 2, 4, 2
SPECIAL = ["<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>",
           "<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>", "<|box_end|>"]
TEMPLATE = ("{% for message in messages %}<|im_start|>{{ message['role'] }}\n{% if message['content'] is string %}{{ message['content'] }}"
            "{% else %}{% for content in message['content'] %}{% if content['type'] == 'image' or 'image' in content %}"
            "<|vision_start|><|image_pad|><|vision_end|>{% elif 'text' in content %}{{ content['text'] }}{% endif %}{% endfor %}{% endif %}"
            "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}")


def tokenizer_json():
    tokenizer = tiny_model.tokenizer_json()
    vocab = {text: i for i, text in enumerate(SPECIAL)}
    for byte, character in tiny_model.byte_characters().items():
        vocab[character] = len(SPECIAL) + byte
    tokenizer["model"]["vocab"] = vocab
    tokenizer["added_tokens"] = [{"id": i, "content": text, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
                                  "special": True} for i, text in enumerate(SPECIAL)]
    return tokenizer


def config_json():
    return {
        "architectures": ["Qwen2VLForConditionalGeneration"], "model_type": "qwen2_vl", "hidden_size": HIDDEN, "intermediate_size": INNER,
        "num_hidden_layers": BLOCKS, "num_attention_heads": HEADS, "num_key_value_heads": KV_HEADS, "vocab_size": len(SPECIAL) + 256,
        "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "rope_scaling": {"type": "mrope", "mrope_section": [2, 3, 3]},
        "max_position_embeddings": 4096, "hidden_act": "silu", "tie_word_embeddings": True, "torch_dtype": "float16",
        "bos_token_id": 0, "eos_token_id": 1, "vision_start_token_id": 2, "vision_end_token_id": 3, "vision_token_id": 4,
        "image_token_id": 4, "video_token_id": 5,
        "vision_config": {"model_type": "qwen2_vl", "depth": TOWER_BLOCKS, "embed_dim": EMBED, "hidden_size": HIDDEN, "hidden_act": "quick_gelu",
                          "mlp_ratio": 2, "num_heads": TOWER_HEADS, "in_channels": 3, "patch_size": PATCH, "spatial_merge_size": MERGE,
                          "temporal_patch_size": 2},
    }


def tensors():
    def affine(name, rows, columns, bias=True):
        yield name + ".weight", (rows, columns)
        if bias:
            yield name + ".bias", (rows,)

    def layer_norm(name, width):
        yield name + ".weight", (width,)
        yield name + ".bias", (width,)

    yield "visual.patch_embed.proj.weight", (EMBED, 3, 2, PATCH, PATCH)
    for i in range(TOWER_BLOCKS):
        prefix = f"visual.blocks.{i}."
        yield from layer_norm(prefix + "norm1", EMBED)
        yield from layer_norm(prefix + "norm2", EMBED)
        yield from affine(prefix + "attn.qkv", 3 * EMBED, EMBED)
        yield from affine(prefix + "attn.proj", EMBED, EMBED)
        yield from affine(prefix + "mlp.fc1", 2 * EMBED, EMBED)
        yield from affine(prefix + "mlp.fc2", EMBED, 2 * EMBED)
    yield from layer_norm("visual.merger.ln_q", EMBED)
    yield from affine("visual.merger.mlp.0", EMBED * MERGE * MERGE, EMBED * MERGE * MERGE)
    yield from affine("visual.merger.mlp.2", HIDDEN, EMBED * MERGE * MERGE)
    head = HIDDEN // HEADS
    yield "model.embed_tokens.weight", (len(SPECIAL) + 256, HIDDEN)
    for i in range(BLOCKS):
        prefix = f"model.layers.{i}."
        yield prefix + "input_layernorm.weight", (HIDDEN,)
        yield from affine(prefix + "self_attn.q_proj", HIDDEN, HIDDEN)
        yield from affine(prefix + "self_attn.k_proj", KV_HEADS * head, HIDDEN)
        yield from affine(prefix + "self_attn.v_proj", KV_HEADS * head, HIDDEN)
        yield from affine(prefix + "self_attn.o_proj", HIDDEN, HIDDEN, bias=False)
        yield prefix + "post_attention_layernorm.weight", (HIDDEN,)
        yield from affine(prefix + "mlp.gate_proj", INNER, HIDDEN, bias=False)
        yield from affine(prefix + "mlp.up_proj", INNER, HIDDEN, bias=False)
        yield from affine(prefix + "mlp.down_proj", HIDDEN, INNER, bias=False)
    yield "model.norm.weight", (HIDDEN,)


def write_model(folder, seed=0):
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    items = []
    for name, shape in tensors():
        source = random.Random(f"{seed} {name}")
        count = math.prod(shape)
        norm = name.endswith(".weight") and len(shape) == 1
        values = [1.0] * count if norm else [source.gauss(0, 0.1) for _ in range(count)]
        items.append((name, shape, struct.pack(f"<{count}e", *values)))
    tiny_model.write_safetensors(folder / "model.safetensors", items)
    (folder / "config.json").write_text(json.dumps(config_json(), indent=2))
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer_json(), ensure_ascii=False))
    (folder / "tokenizer_config.json").write_text(json.dumps(
        {"bos_token": None, "eos_token": "<|im_end|>", "chat_template": TEMPLATE, "tokenizer_class": "PreTrainedTokenizerFast"}))
    (folder / "preprocessor_config.json").write_text(json.dumps(
        {"image_processor_type": "Qwen2VLImageProcessor", "processor_class": "Qwen2VLProcessor", "min_pixels": 64, "max_pixels": 4096,
         "patch_size": PATCH, "merge_size": MERGE, "temporal_patch_size": 2, "do_resize": True, "do_rescale": True, "do_normalize": True,
         "do_convert_rgb": True, "rescale_factor": 1 / 255, "resample": 3, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}))
    return folder


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    write_model(args.folder, args.seed)
