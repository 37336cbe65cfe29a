"""Questions about a picture that is known: easy-VQA's 24 forms and those that ask for a place, with the answers."""
from .dataset import COLORS, SHAPES
from .text import box_text

WHAT_SHAPE = ("what is the {color} shape?", "what shape is present?", "what shape is in the image?", "what shape does the image contain?")
WHAT_COLOR = ("what color is the shape?", "what color is the {shape}?", "what is the color of the shape?", "what is the color of the {shape}?")
IS_THERE = ("is there a {thing}?", "is there a {thing} in the image?", "does the image contain a {thing}?", "is a {thing} present?")
IS_THERE_NOT = ("is there not a {thing}?", "is there not a {thing} in the image?", "does the image not contain a {thing}?",
                "is no {thing} present?")
LOCATE = ("where is the {thing}?", "locate the {thing}", "detect the {thing}")


def _pick(random, items):
    return items[random.integers(len(items))]


def _yes_no(random, shape, color):
    denied, truth, by_shape = random.random(3) < (0.5, 0.5, 0.45)
    kinds, shown = (SHAPES, shape) if by_shape else (tuple(COLORS), color)
    named = shown if truth else _pick(random, [kind for kind in kinds if kind != shown])
    thing = named if by_shape else f"{named} shape"
    text = _pick(random, IS_THERE_NOT if denied else IS_THERE).format(thing=thing)
    return text, "yes" if truth != denied else "no"


def question(random, shape, color):
    """(question, answer): yes/no two times in three; easy-VQA has about three in four."""
    kind = random.random()
    if kind < 0.66:
        return _yes_no(random, shape, color)
    if kind < 0.83:
        return _pick(random, WHAT_SHAPE).format(color=color), shape
    return _pick(random, WHAT_COLOR).format(shape=shape), color


def location(random, shape, color, box):
    """(request, Qwen2-VL's grounding text). However it is named, the label of the answer is color and shape."""
    thing = _pick(random, ("shape", shape, f"{color} shape", f"{color} {shape}"))
    return _pick(random, LOCATE).format(thing=thing), box_text(f"{color} {shape}", box)
