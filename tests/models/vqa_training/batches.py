"""Batches: pictures, each with several questions behind it in one row of tokens.

A row is the picture's prefix, then branches. A branch is a dialogue of one or more turns; it sees the prefix and itself, and its
positions follow the prefix's, so each is what the model is asked later, and the picture is encoded once for all.
"""
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from .asking import location, question
from .dataset import COLORS, SHAPES, SIDE
from .drawing import drawn, moved
from .network import GRID, IMAGE_TOKENS, MERGE
from .text import build_tokenizer, coordinate

tokenizer = build_tokenizer()
COORDINATES = [tokenizer.token_to_id(str(coordinate(edge))) for edge in range(SIDE + 1)]
EDGE_OF = {id: edge for edge, id in enumerate(COORDINATES)}
BEFORE_IMAGE = tokenizer.encode("<|im_start|>user\n<|vision_start|>").ids
PREFIX = BEFORE_IMAGE + [tokenizer.token_to_id("<|image_pad|>")] * IMAGE_TOKENS + [tokenizer.token_to_id("<|vision_end|>")]
BRANCHES = 4  # questions or dialogues a picture, beside one request for its place
FRAME_WEIGHT = 0.1  # of the tokens between the words and coordinates of an answer: every answer has the same ones


@dataclass
class Batch:
    pixels: torch.Tensor  # [n, 64, 64, 3] uint8
    mask: torch.Tensor  # [n, 64, 64, 1] float
    shape: torch.Tensor  # [n] class
    color: torch.Tensor
    ids: torch.Tensor  # [n, length]
    positions: torch.Tensor  # [3, n, length]
    visible: torch.Tensor  # [n, 1, length, length] bool
    rows: torch.Tensor  # [targets] places in the flattened ids whose next token is learned
    targets: torch.Tensor
    weights: torch.Tensor


@lru_cache(maxsize=20000)
def encode(text):
    return tokenizer.encode(text).ids


def _turn(asked, answered, first):
    start = [] if first else encode("\n<|im_start|>user\n")
    return start + encode(asked + "<|im_end|>\n<|im_start|>assistant\n"), encode(answered + "<|im_end|>")


def _dialogue(turns):
    """(ids, ids that are learned or -1)"""
    ids, learned = [], []
    for i, (asked, answered) in enumerate(turns):
        prompt, answer = _turn(asked, answered, i == 0)
        ids += prompt + answer
        learned += [-1] * len(prompt) + answer
    return ids, learned


def _branches(random, shape, color, box, level):
    out = []
    for _ in range(BRANCHES):
        turns = 1 if random.random() < 0.93 else 2
        out.append([question(random, shape, color, level) for _ in range(turns)])
    out.append([location(random, shape, color, box)])
    if random.random() < 0.05:  # a place asked for within a dialogue
        out[-1].insert(0, out[0][0])
    return [_dialogue(turns) for turns in out]


def _prefix_positions():
    lead, side = len(BEFORE_IMAGE), GRID // MERGE
    ys, xs = np.divmod(np.arange(IMAGE_TOKENS), side)
    text = np.arange(lead)
    image = np.stack([np.zeros_like(ys), ys, xs]) + lead
    return np.concatenate([np.stack([text] * 3), image, np.full((3, 1), lead + side)], 1)


PREFIX_POSITIONS = _prefix_positions()


YES_NO = {encode("yes")[0], encode("no")[0]}
WORDS = YES_NO | {tokenizer.token_to_id(space + word) for word in (*SHAPES, *COLORS) for space in ("", "Ġ")}


def _weight(id):
    return 1.0 if id in EDGE_OF or id in WORDS else FRAME_WEIGHT


def make_batch(pictures, seed, step, size, level):
    """The batch of one step: the same for the same seed, step and level (asking.question), so that a run can go on where it stopped."""
    random = np.random.default_rng([seed, step])
    shown = [drawn(random) if random.random() < 0.5 else moved(pictures[random.integers(len(pictures))], random) for _ in range(size)]
    rows = [_branches(random, shape, color, box, level) for _, _, shape, color, box in shown]
    length = len(PREFIX) + max(sum(len(ids) for ids, _ in row) for row in rows)
    ids = np.zeros((size, length), np.int64)
    positions = np.zeros((3, size, length), np.int64)
    branch = np.full((size, length), -2)  # -1: prefix, seen by all; -2: nothing
    places, targets = [], []
    for i, row in enumerate(rows):
        at = len(PREFIX)
        ids[i, :at], positions[:, i, :at], branch[i, :at] = PREFIX, PREFIX_POSITIONS, -1
        for number, (tokens, learned) in enumerate(row):
            end = at + len(tokens)
            ids[i, at:end], branch[i, at:end] = tokens, number
            positions[:, i, at:end] = PREFIX_POSITIONS[0, -1] + 1 + np.arange(len(tokens))
            for j, id in enumerate(learned):
                if id >= 0:
                    places.append(i * length + at + j - 1)
                    targets.append(id)
            at = end
    branch = torch.from_numpy(branch)
    visible = (branch[:, None, :] == -1) | (branch[:, None, :] == branch[:, :, None])
    visible &= torch.ones(length, length, dtype=torch.bool).tril()
    return Batch(
        torch.from_numpy(np.stack([s[0] for s in shown])), torch.from_numpy(np.stack([s[1] for s in shown])[..., None].astype(np.float32)),
        torch.tensor([SHAPES.index(s[2]) for s in shown]), torch.tensor([list(COLORS).index(s[3]) for s in shown]),
        torch.from_numpy(ids), torch.from_numpy(positions), visible[:, None], torch.tensor(places), torch.tensor(targets),
        torch.tensor([_weight(id) for id in targets]))
