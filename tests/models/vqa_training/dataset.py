"""easy-VQA as its wheel (easy-vqa) holds it: pictures of one shape of one colour, questions with one-word answers.

The wheel has no boxes: they follow from the pixels, as the background is one colour. It has no table of what a picture shows
either: that follows from the pictures' own questions.
"""
import hashlib
import json
import re
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 64
SHAPES = ("circle", "rectangle", "triangle")
# The fills of the data's generator. What the pixels have is what decides the colour of a picture.
COLORS = {"gray": (128, 128, 128), "red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "yellow": (255, 255, 0),
          "teal": (0, 128, 128), "black": (0, 0, 0), "brown": (165, 42, 42)}
HELD_OUT = 1000


@dataclass(frozen=True)
class Picture:
    id: int
    file: Path
    pixels: np.ndarray  # [64, 64, 3] uint8
    mask: np.ndarray  # [64, 64] bool: the shape
    shape: str | None  # None: no question tells
    color: str
    box: tuple  # x1, y1, x2, y2 in pixels; x2 and y2 lie behind the last pixel


@dataclass(frozen=True)
class Question:
    id: str
    text: str
    answer: str
    kind: str  # shape, colour or yesno
    picture: int


def folder(split):
    """Found by the wheel's metadata: an import would take any easy_vqa.py beside the caller."""
    try:
        wheel = metadata.distribution("easy-vqa")
    except metadata.PackageNotFoundError:
        raise SystemExit("the wheel easy-vqa is missing: pip install easy-vqa==1.0") from None
    return Path(wheel.locate_file("easy_vqa/data")) / split


def mask_of(pixels):
    """Which pixels the shape covers: those that differ from the background, the most frequent color, by at least a quarter of the
    largest difference."""
    colors, counts = np.unique(pixels.reshape(-1, 3), axis=0, return_counts=True)
    difference = np.abs(pixels.astype(int) - colors[counts.argmax()].astype(int)).max(axis=2)
    return difference * 4 >= difference.max()


def box_of(mask):
    ys, xs = np.nonzero(mask)
    return int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1


def color_of(pixels):
    counts = {name: int((pixels == np.array(rgb)).all(axis=2).sum()) for name, rgb in COLORS.items()}
    return max(counts, key=counts.get)


def kind_of(answer):
    return "yesno" if answer in ("yes", "no") else "shape" if answer in SHAPES else "colour"


def questions(split):
    rows = json.loads((folder(split) / "questions.json").read_text())
    return [Question(f"{split}-{i}", text, answer, kind_of(answer), picture) for i, (text, answer, picture) in enumerate(rows)]


def held_out_questions():
    """1,000 questions of the test split: those whose SHA-256 of "test-<index>" is smallest, so no order of the file matters."""
    by_digest = sorted(questions("test"), key=lambda q: hashlib.sha256(q.id.encode()).hexdigest())
    return sorted(by_digest[:HELD_OUT], key=lambda q: int(q.id.split("-")[1]))


def shapes_shown(rows):
    """The shape of each picture, by the questions that tell: an answer that names it, or a yes/no question about a shape that it has."""
    shown = {}
    for row in rows:
        if row.answer in SHAPES:
            shown[row.picture] = row.answer
            continue
        named = re.search("|".join(SHAPES), row.text)
        if named is None:
            continue
        denied = re.search(r"\b(not|no)\b", row.text) is not None
        if row.kind == "colour" or (row.answer == "yes") != denied:
            shown[row.picture] = named[0]
    return shown


def pictures(split):
    """All pictures of a split by id."""
    shown = shapes_shown(questions(split))
    out = {}
    for file in sorted((folder(split) / "images").glob("*.png"), key=lambda f: int(f.stem)):
        pixels = np.array(Image.open(file).convert("RGB"))
        id = int(file.stem)
        mask = mask_of(pixels)
        out[id] = Picture(id, file, pixels, mask, shown.get(id), color_of(pixels), box_of(mask))
    return out
