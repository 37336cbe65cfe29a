#!/usr/bin/env python3
"""Writes tests/core/export/golden/packed_words.json: codes as the package compressed-tensors packs them along rows and columns.

usage: make_packed_words.py
needs: torch, compressed-tensors (0.20: 3 bits without gaps)
"""
import json
from pathlib import Path

import torch
from compressed_tensors.compressors.pack_quantized.helpers import pack_to_int32


def words(codes, bits, dimension):
    # The package packs signed integers; ours are these with 2^(bits - 1) added.
    packed = pack_to_int32((codes - (1 << (bits - 1))).to(torch.int8), bits, packed_dim=dimension)
    return (packed.to(torch.int64) & 0xFFFFFFFF).tolist()


def main():
    torch.manual_seed(5)
    out = []
    for bits in (2, 3, 4, 8):
        for rows, cols in ((3, 64), (20, 7)):
            codes = torch.randint(0, 1 << bits, (rows, cols))
            out.append({"bits": bits, "codes": codes.tolist(), "along_rows": words(codes, bits, 1), "down_columns": words(codes, bits, 0)})
    path = Path(__file__).resolve().parent.parent / "core/export/golden/packed_words.json"
    path.write_text(json.dumps(out, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
