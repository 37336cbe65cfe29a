"""Tiny random models of every vision-language family with its own tokenizer, chat template and processor, from the goldens alone.

Shapes are those of tests/golden/models with the vocabulary of tests/golden/data/prompts.json. Needs nothing but the standard library.

usage: golden_family.py DIR --family NAME [--seed N]
"""
import argparse
import json
import math
import random
import struct
from pathlib import Path

import tiny_model

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
SHAPES = {"qwen2-vl": "qwen2-vl-untied-f32-v5", "qwen2.5-vl": "qwen25-vl-f32-v5", "idefics3": "idefics3-f32-v5", "llava": "llava-f16-v4"}


def names():
    return sorted(SHAPES)


def shapes(family, config):
    with open(GOLDEN / "models" / SHAPES[family] / "model.safetensors", "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
    header.pop("__metadata__", None)
    for name, entry in header.items():
        shape = entry["shape"]
        if name.endswith(("embed_tokens.weight", "lm_head.weight")):
            shape[0] = config["text_config"]["vocab_size"]
        elif name.endswith("patch_embed.proj.weight"):
            shape[1] = 3
        yield name, shape


def values(name, shape, seed):
    """Norms near one; matrices large enough that an answer depends on the image."""
    count = math.prod(shape)
    source = random.Random(f"{seed} {name}")
    if len(shape) == 1:
        return [1.0 if name.endswith("weight") else 0.0] * count
    spread = 0.4 if "embed" in name else 1.5 / math.sqrt(count / shape[0])
    return [source.gauss(0, spread) for _ in range(count)]


def write_model(family, folder, seed=0):
    entry = next(one for one in json.loads((GOLDEN / "data/prompts.json").read_text())["families"] if one["name"] == family)
    config = entry["config"]
    config["text_config"]["max_position_embeddings"] = 2048
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tiny_model.write_safetensors(folder / "model.safetensors", [
        (name, shape, struct.pack(f"<{math.prod(shape)}e", *values(name, shape, seed))) for name, shape in shapes(family, config)])
    for name, content in (("config", config), ("tokenizer", entry["tokenizer"]), ("tokenizer_config", entry["tokenizer_config"]),
                          ("preprocessor_config", entry["preprocessor_config"])):
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--family", choices=names(), required=True)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    write_model(args.family, args.folder, args.seed)
