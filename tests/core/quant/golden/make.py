#!/usr/bin/env python3
"""Writes group_quantize.json: what the reference definition makes of small random matrices.

usage: make.py REFERENCE_DIR    the folder that holds reference_gwq.py (the project's executable definition)
needs: torch, transformers

Values are written as the bits of their float32, so that the test compares exactly.
"""
import json
import sys
from pathlib import Path

import torch

sys.path.insert(0, sys.argv[1])
from reference_gwq import outliers, quantize  # noqa: E402


def bits(tensor):
    return tensor.contiguous().view(torch.int32).flatten().tolist()


def case(name, rows, cols, bits_per_code, group, ratio, weight, score):
    mask = outliers(score.abs(), ratio)
    out = quantize(weight, mask, bits_per_code, group)
    return {"name": name, "rows": rows, "cols": cols, "bits": bits_per_code, "group": group, "ratio": ratio,
            "weight": bits(weight), "score": bits(score), "outliers": mask.flatten().nonzero().flatten().tolist(),
            "result": bits(out)}


def half(tensor):
    """FP16 content, so that an outlier's stored value is the weight itself."""
    return tensor.half().float()


def main():
    random = torch.Generator().manual_seed(7)
    normal = lambda *shape: torch.randn(*shape, generator=random)
    cases = []
    for bits_per_code in (3, 4, 8):
        cases.append(case(f"normal {bits_per_code} bits", 6, 40, bits_per_code, 16, 0.05, half(normal(6, 40)), normal(6, 40)))
    cases.append(case("short last group", 5, 37, 3, 16, 0.1, half(normal(5, 37)), normal(5, 37)))
    ties = torch.randint(0, 3, (8, 24), generator=random).float()
    cases.append(case("ties go to the lowest position", 8, 24, 4, 8, 0.3, half(normal(8, 24)), ties))
    cases.append(case("no outliers", 3, 16, 4, 8, 0.0, half(normal(3, 16)), normal(3, 16)))
    cases.append(case("one sign, away from zero", 4, 16, 3, 8, 0.1, half(normal(4, 16).abs() + 5), normal(4, 16)))
    cases.append(case("zeros", 2, 16, 3, 8, 0.1, torch.zeros(2, 16), normal(2, 16)))
    cases.append(case("below the smallest scale", 2, 16, 3, 8, 0.1, half(normal(2, 16) * 2.0 ** -23), normal(2, 16)))
    full = torch.zeros(2, 16)
    full[0, :8] = torch.arange(1, 9)
    cases.append(case("a group of outliers only", 2, 16, 3, 8, 0.25, half(normal(2, 16)), full))
    # Halves of a step: rounding half to even shows.
    steps = torch.arange(16).float().view(1, 16) / 2
    steps[0, 14:] = torch.tensor([0.0, 7.0])
    cases.append(case("halves of a step", 1, 16, 3, 16, 0.0, steps, torch.zeros(1, 16)))
    # The scale is 1 and -low / scale is 2.5: with a zero point of 3 the largest weight, 5 steps up, would not fit.
    ends = torch.zeros(1, 8)
    ends[0, :2] = torch.tensor([-2.5, 4.501])
    cases.append(case("a zero point on a half", 1, 8, 3, 8, 0.0, ends, torch.zeros(1, 8)))
    wide = half(normal(4, 16))
    wide[0, 3] = 300.0
    heavy = torch.zeros(4, 16)
    heavy[0, 3] = 1.0
    cases.append(case("an outlier outside the group's range", 4, 16, 4, 16, 0.02, wide, heavy))
    cases.append(case("normal 2 bits", 6, 40, 2, 16, 0.05, half(normal(6, 40)), normal(6, 40)))
    cases.append(case("2 bits, short last group, many outliers", 5, 37, 2, 16, 0.3, half(normal(5, 37)), normal(5, 37)))
    cases.append(case("2 bits, one sign, away from zero", 4, 16, 2, 8, 0.1, half(normal(4, 16).abs() + 5), normal(4, 16)))
    target = Path(__file__).parent / "group_quantize.json"
    target.write_text(json.dumps({"cases": cases}, separators=(",", ":")) + "\n")
    print(f"{target}: {len(cases)} cases")


if __name__ == "__main__":
    main()
