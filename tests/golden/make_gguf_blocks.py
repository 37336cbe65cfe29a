#!/usr/bin/env python3
"""Writes tests/core/io/golden/gguf_blocks.json: random blocks of GGUF's k-quants and Q5_1, and the weights that the package gguf reads in them.

usage: make_gguf_blocks.py
needs: numpy, gguf (0.19)

The bytes are random but for the scales in FP16, which are small and finite. Weights are written as the bits of their float32.
"""
import json
from pathlib import Path

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, quants

# Where each type has numbers in FP16.
HALVES = {"Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "Q5_1": [0, 2]}
BLOCKS = 3


def main():
    random = np.random.default_rng(11)
    out = []
    for name, places in HALVES.items():
        kind = GGMLQuantizationType[name]
        _, size = GGML_QUANT_SIZES[kind]
        blocks = random.integers(0, 256, (BLOCKS, size), dtype=np.uint8)
        for place in places:
            halves = random.uniform(0.0005, 0.004, BLOCKS).astype(np.float16)
            blocks[:, place:place + 2] = halves.view(np.uint8).reshape(BLOCKS, 2)
        weights = quants.dequantize(blocks.reshape(-1), kind).astype(np.float32)
        out.append({"type": name, "blocks": blocks.tobytes().hex(), "weights": weights.reshape(-1).view(np.uint32).tolist()})
    path = Path(__file__).resolve().parent.parent / "core/io/golden/gguf_blocks.json"
    path.write_text(json.dumps(out, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
