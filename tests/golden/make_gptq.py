#!/usr/bin/env python3
"""Writes tests/core/quant/golden/gptq.json: what GPTQ and SpQR make of small random matrices, computed independently.

usage: make_gptq.py
needs: numpy

Written from the definitions, not from the program: the headers core/quant/group_quantize.h (scales, zero points, codes),
core/quant/range_search.h, core/quant/gptq/{factor,columns}.h and core/quant/spqr/spqr.cc, with arXiv 2210.17323 and
2306.03078 behind them. Scales, zero points and codes are in single precision, as the headers say; linear algebra and the
compensated weights are in double precision, so that a weight within rounding of a boundary may get another code than
the program's: the test allows for few of those.

Weights are written as the bits of their float32. Inputs are small integers, so that the Gram matrix is exact in any
order of summation. Codes are hexadecimal, one digit up to 4 bits and two for 8.
"""
import json
from pathlib import Path

import numpy as np

F32 = np.float32
SMALLEST_SCALE = F32(2.0 ** -24)
RATIOS = [F32(1.0 - 0.025 * i) for i in range(25)]


# Groups: arrays are [rows, columns of the group]; outliers in them are 0.

def range_for(weights, bits, ratio=F32(1)):
    """Scale and zero point of each row, [rows, 1], from least and largest weight times ratio."""
    top = F32(2 ** bits - 1)
    low = np.minimum(F32(0), weights.min(axis=1, keepdims=True)) * ratio
    high = np.maximum(F32(0), weights.max(axis=1, keepdims=True)) * ratio
    scale = np.maximum(((high - low) / top).astype(np.float16).astype(F32), SMALLEST_SCALE)
    zero = np.clip(np.round(-low / scale), F32(0), top)
    return scale, zero


def codes_for(weights, scale, zero, bits):
    return np.clip(np.round(weights / scale) + zero, F32(0), F32(2 ** bits - 1))


def values_of(codes, scale, zero):
    return (codes - zero) * scale


def searched_range(weights, importance, bits):
    """The range whose weighted squared error is least; of equal ones that of the larger ratio."""
    best_scale, best_zero = range_for(weights, bits)
    least = np.full((weights.shape[0], 1), np.inf)
    for ratio in RATIOS:
        scale, zero = range_for(weights, bits, ratio)
        lost = values_of(codes_for(weights, scale, zero, bits), scale, zero).astype(float) - weights
        error = (importance * lost ** 2).sum(axis=1, keepdims=True)
        better = error < least
        least = np.where(better, error, least)
        best_scale, best_zero = np.where(better, scale, best_scale), np.where(better, zero, best_zero)
    return best_scale, best_zero


# GPTQ.

def damped(gram, damping):
    """An input that is always 0 gets a diagonal of 1; then the mean diagonal's share is added."""
    out = gram.astype(float).copy()
    np.fill_diagonal(out, np.where(np.diag(out) == 0, 1.0, np.diag(out)))
    return out + damping * np.diag(out).mean() * np.eye(len(out))


def upper_factor(matrix):
    """Upper triangular U with matrix^-1 = U^T U."""
    return np.linalg.cholesky(np.linalg.inv(matrix)).T


def compensate(weights, matrix, bits, group, search, order=None, outliers=None):
    """Codes, scales and zero points, and the values of outliers (zeros elsewhere)."""
    rows, cols = weights.shape
    outliers = np.zeros(weights.shape, bool) if outliers is None else outliers
    places = np.arange(cols) if order is None else order
    factor = upper_factor(matrix[np.ix_(places, places)])
    importance = np.empty(cols)
    importance[places] = 1 / np.diag(factor) ** 2

    groups = -(-cols // group)
    scales, zeros = np.zeros((rows, groups), F32), np.zeros((rows, groups), F32)
    codes, kept = np.zeros((rows, cols), int), np.zeros((rows, cols), np.float16)

    def set_range(which, now):
        at = slice(which * group, min(cols, (which + 1) * group))
        inside = np.where(outliers[:, at], F32(0), now[:, at].astype(F32))
        weighing = np.where(outliers[:, at], 0.0, importance[at])
        scale, zero = searched_range(inside, weighing, bits) if search else range_for(inside, bits)
        scales[:, which], zeros[:, which] = scale[:, 0], zero[:, 0]

    now = weights.astype(float)
    if order is not None:
        for which in range(groups):
            set_range(which, now)
    for place, col in enumerate(places):
        which = col // group
        if order is None and col % group == 0:
            set_range(which, now)
        scale, zero = scales[:, which], zeros[:, which]
        weight = now[:, col].astype(F32)
        code = codes_for(weight, scale, zero, bits)
        out = outliers[:, col]
        kept[out, col] = weight[out].astype(np.float16)
        codes[:, col] = np.where(out, zero, code)
        became = np.where(out, kept[:, col].astype(float), values_of(code, scale, zero).astype(float))
        error = (now[:, col] - became) / factor[place, place]
        later = places[place + 1:]
        now[:, later] -= np.outer(error, factor[place, place + 1:])
    return {"codes": codes, "scales": scales, "zeros": zeros, "kept": kept}


def gptq(weights, gram, bits, group, damping, search, act_order):
    order = np.argsort(-np.diag(gram), kind="stable") if act_order else None
    return compensate(weights, damped(gram, damping), bits, group, search, order)


# SpQR.

def round_to_nearest(weights, bits, group):
    out = np.empty_like(weights)
    for begin in range(0, weights.shape[1], group):
        part = weights[:, begin:begin + group]
        scale, zero = range_for(part, bits)
        out[:, begin:begin + group] = values_of(codes_for(part, scale, zero, bits), scale, zero)
    return out


def spqr(weights, gram, bits, group, damping, search, outlier_ratio):
    matrix = damped(gram, damping)
    cost = np.sqrt(np.diag(np.linalg.inv(matrix)))
    scores = np.abs(weights - round_to_nearest(weights, bits, group)).astype(float) / cost
    picked = np.argsort(-scores, axis=None, kind="stable")[:int(outlier_ratio * scores.size)]
    outliers = np.zeros(weights.size, bool)
    outliers[picked] = True
    outliers = outliers.reshape(weights.shape)
    made = compensate(weights, matrix, bits, group, search, outliers=outliers)
    made["positions"] = np.flatnonzero(outliers)
    return made


# The file.

def matrix_of(name, rows, cols, samples, random):
    """Weights with a few large ones, and inputs that are mixed from few sources, so that they are far from independent.
    Input 5 is always 0."""
    weights = (random.standard_normal((rows, cols)) * 0.05).astype(F32)
    weights[random.random(weights.shape) < 0.01] *= F32(6)
    sources = random.standard_normal((samples, max(4, cols // 8)))
    inputs = 2.5 * sources @ random.standard_normal((sources.shape[1], cols)) / np.sqrt(sources.shape[1])
    inputs = inputs + random.standard_normal(inputs.shape)
    inputs = np.clip(np.rint(inputs * np.exp(0.5 * random.standard_normal(cols))), -30, 30).astype(int)
    inputs[:, 5] = 0
    return {"name": name, "weights": weights, "inputs": inputs}


def json_of_matrix(matrix):
    weights = matrix["weights"]
    return {"name": matrix["name"], "rows": weights.shape[0], "cols": weights.shape[1],
            "weights": weights.view(np.int32).flatten().tolist(), "inputs": matrix["inputs"].flatten().tolist()}


def case(method, matrix, bits, group, damping, search, **more):
    gram = (matrix["inputs"].T @ matrix["inputs"]).astype(float)
    assert gram.max() < 2 ** 24, "the Gram matrix must be exact in single precision"
    made = (gptq if method == "gptq" else spqr)(matrix["weights"], gram, bits, group, damping, search, **more)
    out = {"method": method, "matrix": matrix["name"], "bits": bits, "group": group, "damping": damping,
           "range_search": search, **more,
           "codes": "".join(f"{code:x}" if bits <= 4 else f"{code:02x}" for code in made["codes"].flatten()),
           "scales": made["scales"].astype(np.float16).view(np.uint16).flatten().tolist(),
           "zeros": made["zeros"].astype(int).flatten().tolist()}
    if method == "spqr":
        out["outliers"] = made["positions"].tolist()
        out["outlier_values"] = made["kept"].flatten()[made["positions"]].view(np.uint16).tolist()
    return out


def main():
    random = np.random.default_rng(41)
    square = matrix_of("24 x 64", 24, 64, 80, random)
    short = matrix_of("40 x 96, a last group of 32, fewer inputs than columns", 40, 96, 60, random)
    wide = matrix_of("16 x 160, groups over 128 columns, fewer inputs than columns", 16, 160, 64, random)
    odd = matrix_of("12 x 83, no multiple of 8", 12, 83, 100, random)
    cases = []
    for bits in (2, 3, 4, 8):
        for search in (False, True):
            cases.append(case("gptq", square, bits, 32, 0.01, search, act_order=False))
    for damping in (0.001, 0.1, 1.0):
        cases.append(case("gptq", square, 3, 32, damping, True, act_order=False))
    cases.append(case("gptq", square, 4, 32, 0.01, False, act_order=True))
    cases.append(case("gptq", short, 4, 64, 0.01, True, act_order=False))
    cases.append(case("gptq", short, 2, 64, 0.05, True, act_order=True))
    cases.append(case("gptq", short, 3, 64, 0.01, False, act_order=False))
    for bits, group in ((4, 160), (3, 136), (2, 32)):
        cases.append(case("gptq", wide, bits, group, 0.01, True, act_order=False))
    cases.append(case("gptq", wide, 4, 136, 0.01, False, act_order=True))
    cases.append(case("gptq", odd, 4, 32, 0.01, True, act_order=False))
    cases.append(case("gptq", odd, 3, 88, 0.01, True, act_order=True))
    for ratio in (0.0, 0.01, 0.05):
        cases.append(case("spqr", square, 3, 32, 0.01, True, outlier_ratio=ratio))
        cases.append(case("spqr", short, 2, 64, 0.01, False, outlier_ratio=ratio))
    cases.append(case("spqr", square, 8, 32, 0.01, True, outlier_ratio=0.01))
    cases.append(case("spqr", wide, 4, 136, 1.0, True, outlier_ratio=0.05))
    cases.append(case("spqr", odd, 4, 32, 0.001, True, outlier_ratio=0.05))
    # Several outliers in every group.
    cases.append(case("spqr", odd, 3, 8, 0.01, True, outlier_ratio=0.5))
    target = Path(__file__).parents[1] / "core" / "quant" / "golden" / "gptq.json"
    matrices = [json_of_matrix(one) for one in (square, short, wide, odd)]
    target.write_text(json.dumps({"matrices": matrices, "cases": cases}, separators=(",", ":")) + "\n")
    print(f"{target}: {len(cases)} cases, {target.stat().st_size} bytes")


if __name__ == "__main__":
    main()
