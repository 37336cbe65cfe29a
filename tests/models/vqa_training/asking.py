"""Questions about a picture that is known: easy-VQA's 24 forms and those that ask for a place, with the answers."""
from .dataset import COLORS, SHAPES
from .text import box_text

WHAT_SHAPE = ("what is the {color} shape?", "what shape is present?", "what shape is in the image?", "what shape does the image contain?")
WHAT_COLOR = ("what color is the shape?", "what color is the {shape}?", "what is the color of the shape?", "what is the color of the {shape}?")
IS_THERE = ("is there a {thing}?", "is there a {thing} in the image?", "does the image contain a {thing}?", "is a {thing} present?")
IS_THERE_NOT = ("is there not a {thing}?", "is there not a {thing} in the image?", "does the image not contain a {thing}?",
                "is no {thing} present?")
LOCATE = ("where is the {thing}?", "locate the {thing}", "detect the {thing}")

NAMES = ("circle", "red", "rectangle", "blue", "triangle", "green", "yellow", "black", "gray", "teal", "brown")
DENIAL_LEVELS = 5
LEVELS = len(NAMES) + DENIAL_LEVELS


def _pick(random, items):
    return items[random.integers(len(items))]


def _yes_no(random, shape, color, level):
    asked = NAMES[:level + 1]
    known = [name for name in (shape, color) if name in asked]
    # Half of the questions that can be true are.
    named = _pick(random, known) if known and random.random() < 0.5 else _pick(random, asked)
    denied = random.random() < min(0.5, max(0, level + 1 - len(NAMES)) / DENIAL_LEVELS / 2)
    text = _pick(random, IS_THERE_NOT if denied else IS_THERE).format(thing=named if named in SHAPES else f"{named} shape")
    return text, "yes" if (named in (shape, color)) != denied else "no"


def question(random, shape, color, level):
    """(question, answer): yes/no two times in three; easy-VQA has about three in four.

    Whether the picture has what the question names is learned soon for one name, then for one more; from all names at once, half of
    the questions with "not", nothing is learned for an hour, as neither the picture nor the question alone tells the answer. So
    `level`, 0 to LEVELS - 1, adds one name after the other, then "not"."""
    kind = random.random()
    if kind < 0.66:
        return _yes_no(random, shape, color, level)
    if kind < 0.83:
        return _pick(random, WHAT_SHAPE).format(color=color), shape
    return _pick(random, WHAT_COLOR).format(shape=shape), color


def location(random, shape, color, box):
    """(request, Qwen2-VL's grounding text). However it is named, the label of the answer is color and shape."""
    thing = _pick(random, ("shape", shape, f"{color} shape", f"{color} {shape}"))
    return _pick(random, LOCATE).format(thing=thing), box_text(f"{color} {shape}", box)
