"""More pictures like easy-VQA's: drawn ones, and training pictures moved and mirrored, their boxes with them."""
import numpy as np
from PIL import Image, ImageDraw

from .dataset import COLORS, SHAPES, SIDE, box_of

OVERSAMPLING = 4  # drawn at four times the size, then averaged: the soft edges of the originals


def _outline(shape, width, height, x, y):
    if shape == "triangle":
        return [(x, y + height), (x + width / 2, y), (x + width, y + height)]
    return [(x, y), (x + width, y + height)]


def _coverage(shape, width, height, x, y):
    """The share of each pixel that the shape covers, [64, 64]."""
    large = Image.new("L", (SIDE * OVERSAMPLING, SIDE * OVERSAMPLING))
    draw = ImageDraw.Draw(large)
    points = [(px * OVERSAMPLING, py * OVERSAMPLING) for px, py in _outline(shape, width, height, x, y)]
    {"triangle": draw.polygon, "rectangle": draw.rectangle, "circle": draw.ellipse}[shape](points, fill=255)
    return np.asarray(large.reduce(OVERSAMPLING), dtype=np.float32) / 255


def drawn(random):
    """A new picture: pixels, mask, shape, color, box. Sizes, places and backgrounds spread as the data's do; one in six is cut by a border."""
    shape = SHAPES[random.integers(3)]
    color = list(COLORS)[random.integers(len(COLORS))]
    width, height = random.uniform(8, 32.5, 2)
    if shape == "circle":
        height = width
    elif shape == "triangle":
        height = width * 0.866
    beyond = 2.0
    x = random.uniform(-beyond, SIDE - width + beyond)
    y = random.uniform(-beyond, SIDE - height + beyond)
    coverage = _coverage(shape, width, height, x, y)
    mask = coverage >= 0.25
    background = random.integers(230, 256, 3).astype(np.float32)
    pixels = background + coverage[..., None] * (np.array(COLORS[color], np.float32) - background)
    return np.rint(pixels).astype(np.uint8), mask, shape, color, box_of(mask)


def _shift(random, low, high):
    """How far a box from `low` to `high` moves along one axis: not at all where a border cuts it, never to within 2 pixels of one."""
    if low <= 1 or high >= SIDE - 1:
        return 0
    return int(random.integers(min(0, 2 - low), max(0, SIDE - 2 - high) + 1))


def moved(picture, random):
    """A training picture mirrored (every shape stays one of its kind) and shifted, the background following."""
    pixels, mask, (x1, y1, x2, y2) = picture.pixels, picture.mask, picture.box
    if random.random() < 0.5:
        pixels, mask, x1, x2 = pixels[:, ::-1], mask[:, ::-1], SIDE - x2, SIDE - x1
    dx, dy = _shift(random, x1, x2), _shift(random, y1, y2)
    # Rolled: what leaves on one side is background only, and returns on the other.
    pixels, mask = (np.roll(array, (dy, dx), axis=(0, 1)) for array in (pixels, mask))
    return pixels, mask, picture.shape, picture.color, (x1 + dx, y1 + dy, x2 + dx, y2 + dy)
