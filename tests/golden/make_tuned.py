#!/usr/bin/env python3
"""Writes tests/core/quant/golden/tuned.json: what learned rounding makes of small random matrices and gradients, computed independently.

usage: make_tuned.py
needs: numpy

Written from the definitions, not from the program: the headers core/quant/tuned/{learned_matrix,tuned_tensor}.h, docs/method.md and
core/quant/range_search.h. Everything is computed in double precision but for scales as they are stored and the codes at the start, so
that a code within rounding of a boundary may be another than the program's: the test allows for few of those.

Weights and gradients are written as the bits of their float32. A case gives the matrix, the sum of squares of each input, one gradient
per step and the rates of each step; then codes, scales, zero points and outliers as they are stored after the last step, and the same
after steps of Adam on the stored scales with the first gradients.
"""
import json
from pathlib import Path

import numpy as np

from make_gptq import F32, searched_range, values_of

REACH = 0.49


def start(weights, squares, bits, group, outliers):
    """Scales and zero points [rows, groups], and the codes [rows, cols] before rounding."""
    rows, cols = weights.shape
    groups = -(-cols // group)
    scales, zeros, codes = np.zeros((rows, groups)), np.zeros((rows, groups)), np.zeros((rows, cols))
    for which in range(groups):
        at = slice(which * group, min(cols, (which + 1) * group))
        inside = np.where(outliers[:, at], F32(0), weights[:, at])
        weighing = np.where(outliers[:, at], 0.0, squares[at])
        scale, zero = searched_range(inside, weighing, bits)
        scales[:, which], zeros[:, which] = scale[:, 0], zero[:, 0]
        codes[:, at] = np.clip(inside / scale + zero, -REACH, 2 ** bits - 1 + REACH)
    return scales, zeros, codes


def by_group(values, group):
    """Sums over the groups of each row."""
    rows, cols = values.shape
    groups = -(-cols // group)
    padded = np.zeros((rows, groups * group))
    padded[:, :cols] = values
    return padded.reshape(rows, groups, group).sum(2)


def spread(values, group, cols):
    return np.repeat(values, group, axis=1)[:, :cols]


class Adam:
    def __init__(self, shape):
        self.mean, self.square, self.steps = np.zeros(shape), np.zeros(shape), 0

    def change(self, gradient, rate):
        self.steps += 1
        self.mean = 0.9 * self.mean + 0.1 * gradient
        self.square = 0.95 * self.square + 0.05 * gradient ** 2
        mean, square = self.mean / (1 - 0.9 ** self.steps), self.square / (1 - 0.95 ** self.steps)
        return -rate * mean / (np.sqrt(square) + 1e-12)


def half(values):
    return np.maximum(values.astype(F32).astype(np.float16), np.float16(2.0 ** -24))


def learn(weights, squares, bits, group, count, gradients, rates):
    rows, cols = weights.shape
    none = np.zeros(weights.shape, bool)
    scales, zeros, codes = start(weights, squares, bits, group, none)
    outliers = none
    if count:
        made = values_of(np.round(codes), spread(scales, group, cols), spread(zeros, group, cols))
        scores = squares * (weights.astype(float) - made) ** 2
        outliers = none.copy()
        outliers.reshape(-1)[np.argsort(-scores, axis=None, kind="stable")[:count]] = True
        scales, zeros, codes = start(weights, squares, bits, group, outliers)
    kept = np.where(outliers, weights.astype(float), 0)
    change, adam = np.zeros_like(scales), Adam(scales.shape)
    for gradient, (code_rate, scale_rate, outlier_rate) in zip(gradients, rates):
        kept -= np.where(outliers, outlier_rate * spread(scales, group, cols) * np.sign(gradient), 0)
        inside = np.where(outliers, 0, gradient.astype(float))
        now = values_of(np.round(codes), spread(scales * np.exp(change), group, cols), spread(zeros, group, cols))
        slope = by_group(inside * now, group)
        codes = np.clip(codes - code_rate * np.sign(inside), -REACH, 2 ** bits - 1 + REACH)
        change = change + adam.change(slope, scale_rate)
    stored = np.where(outliers, spread(zeros, group, cols), np.round(codes)).astype(int)
    return {"codes": stored, "scales": half(scales * np.exp(change)), "zeros": zeros.astype(int), "outliers": outliers,
            "kept": kept.astype(F32).astype(np.float16)}


def tune(made, group, gradients, rate):
    """Scales and outlier values after one step of Adam for each gradient; the codes stay."""
    cols = made["codes"].shape[1]
    scales, outliers = made["scales"].astype(float), made["outliers"]
    units = spread(scales, group, cols)
    stored = np.where(outliers, made["kept"].astype(float), (made["codes"] - spread(made["zeros"], group, cols)) * units)
    change, moved = np.zeros_like(scales), np.zeros(stored.shape)
    of_scales, of_outliers = Adam(scales.shape), Adam(stored.shape)
    for gradient in gradients:
        slope = by_group(np.where(outliers, 0, gradient * stored * np.exp(spread(change, group, cols))), group)
        moved = moved + np.where(outliers, of_outliers.change(gradient * units, 5 * rate), 0)
        change = change + of_scales.change(slope, rate)
    return half(scales * np.exp(change)), (stored + moved * units).astype(F32).astype(np.float16)


def bits_of(values):
    return values.astype(F32).view(np.int32).flatten().tolist()


def case(rows, cols, bits, group, ratio, steps, random):
    weights = (random.standard_normal((rows, cols)) * 0.05).astype(F32)
    weights[random.random(weights.shape) < 0.01] *= F32(6)
    squares = np.exp(random.standard_normal(cols)).astype(F32)
    squares[min(5, cols - 1)] = 0
    gradients = [(random.standard_normal(weights.shape) * np.exp(random.standard_normal(weights.shape))).astype(F32)
                 for _ in range(steps)]
    rates = [[0.05 * (1 - i / steps), 0.01 * (1 - i / steps), 0.2 * (1 - i / steps)] for i in range(steps)]
    count = int(ratio * rows * cols)
    made = learn(weights, squares.astype(float), bits, group, count, gradients, rates)
    scales, kept = tune(made, group, gradients[:2], 0.02)
    positions = np.flatnonzero(made["outliers"])
    return {"rows": rows, "cols": cols, "bits": bits, "group": group, "weights": bits_of(weights), "squares": bits_of(squares),
            "gradients": [bits_of(one) for one in gradients], "rates": rates,
            "codes": "".join(f"{code:x}" for code in made["codes"].flatten()),
            "scales": made["scales"].view(np.uint16).flatten().tolist(), "zeros": made["zeros"].flatten().tolist(),
            "outliers": positions.tolist(), "outlier_values": made["kept"].flatten()[positions].view(np.uint16).tolist(),
            "tuned_scales": scales.view(np.uint16).flatten().tolist(),
            "tuned_values": kept.flatten()[positions].view(np.uint16).tolist()}


def main():
    random = np.random.default_rng(17)
    cases = [case(8, 64, 3, 32, 0, 0, random), case(8, 64, 2, 32, 0, 6, random), case(12, 83, 4, 32, 0, 6, random),
             case(8, 64, 3, 16, 0.05, 0, random), case(10, 72, 3, 24, 0.05, 6, random), case(6, 40, 2, 40, 0.1, 3, random)]
    target = Path(__file__).parents[1] / "core" / "quant" / "golden" / "tuned.json"
    target.write_text(json.dumps({"cases": cases}, separators=(",", ":")) + "\n")
    print(f"{target}: {len(cases)} cases, {target.stat().st_size} bytes")


if __name__ == "__main__":
    main()
