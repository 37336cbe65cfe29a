"""The rows of the table: what each case quantizes with, and what `tuned` has to reach."""
from dataclasses import dataclass, field

GROUP = 64
BITS = (2, 3, 4)
# Samples of 512 tokens, spread evenly over calibration.txt.
ALL_SAMPLES = (16, 40, 128)
WIKITEXT = "calibration.txt"


@dataclass(frozen=True)
class Bars:
    """Largest values allowed; None: no bar."""
    bits: float | None = None
    eval: float | None = None
    code: float | None = None
    kl: float | None = None


@dataclass(frozen=True)
class Case:
    name: str
    kind: str  # "ours", "autoround", "llama", "full"
    label: str
    settings: dict = field(hash=False)  # of ours: the recipe without the calibration
    calibration: str = ""  # "", WIKITEXT or, for ours, another source of a recipe
    samples: int = 0
    bars: Bars = Bars()
    # The perplexity of the reference scripts on eval.txt, and how far off ours may be.
    reference: float | None = None
    tolerance: float | None = None


def _ours(method, bits, label, **more):
    recipe = {"method": method, "bits": bits, "group_size": GROUP, "threads": 2}
    return Case(f"{method}-{bits}", "ours", label, recipe, **more)


# GWQ's one sample is the text's first 512 tokens, as in reference_gwq.py.
_GWQ = {"calibration": WIKITEXT, "samples": 1}
_REFERENCE = {"rtn": {3: (61.232, 0.01)}, "gwq": {3: (41.064, 0.02)}}
# The references of GPTQ and SpQR are prototypes in PyTorch, which cut the samples elsewhere.
_LARGEST = {("gptq", 3): 37.5, ("spqr", 3): 28.6}


def _methods():
    for bits in BITS:
        for method, label, more in (("rtn", "round to nearest", {}), ("gwq", "GWQ, last position", _GWQ),
                                    ("gptq", "GPTQ", {"calibration": WIKITEXT, "samples": 16}),
                                    ("spqr", "SpQR, 1 %", {"calibration": WIKITEXT, "samples": 16}),
                                    ("tuned", "tuned", {"calibration": WIKITEXT, "samples": 40})):
            reference, tolerance = _REFERENCE.get(method, {}).get(bits, (None, None))
            bars = Bars(eval=_LARGEST.get((method, bits)))
            yield _ours(method, bits, label, bars=bars, reference=reference, tolerance=tolerance, **more)


def _controls():
    for name, label, options, reference, tolerance in (("all", "GWQ, all positions", {"loss": "all"}, 40.171, 0.02),
                                                       ("magnitude", "control: 1 % by magnitude", {"select": "magnitude"}, 43.821, None),
                                                       ("random", "control: 1 % at random", {"select": "random"}, 60.425, None)):
        recipe = {"method": "gwq", "bits": 3, "group_size": GROUP, "threads": 2, "gwq": options}
        yield Case(f"gwq-{name}-3", "ours", label, recipe, WIKITEXT, 1, reference=reference, tolerance=tolerance)


# Budget of the matrices' bits, calibration, bars. The recipe's own budget decides what the bits are spent on. Each has as many samples as
# `thorough` takes, of the default set all that there are; the model's own text is made token by token, so it has fewer.
_TUNED = (
    (2.60, "default", Bars(2.60, 37, 18, 0.70)),
    (3.34, WIKITEXT, Bars(3.34, 24.5, None, 0.23)),
    (3.34, "default", Bars(3.34, 25.3, 10.6, 0.24)),
    (3.34, "generated", Bars(3.34, 28.5, 12.0, 0.32)),
    (3.58, WIKITEXT, Bars(3.58, 23.3, None, 0.20)),
    (3.58, "default", Bars(3.58, 23.8, 9.9, 0.20)),
    (4.36, "default", Bars(4.36, 21.6, 8.95, 0.05)),
    (4.60, "default", Bars(4.60, 21.4, 8.9, 0.045)),
)
_SHORT = {WIKITEXT: "wikitext", "default": "default", "generated": "own"}
_SAMPLES = {WIKITEXT: 128, "default": 128, "generated": 96}


def _budgets():
    for target, calibration, bars in _TUNED:
        recipe = {"method": "tuned", "effort": "thorough", "threads": 2, "target": {"bits": target}}
        yield Case(f"tuned-{target:.2f}-{_SHORT[calibration]}", "ours", f"tuned, at most {target:.2f}", recipe, calibration,
                   _SAMPLES[calibration], bars)
    for effort in ("fast", "normal"):
        recipe = {"method": "tuned", "effort": effort, "threads": 2, "target": {"bits": 3.34}}
        yield Case(f"tuned-3.34-{effort}", "ours", f"tuned, at most 3.34, {effort}", recipe, "default")
    # As many bits as AutoRound's files of groups of 64, and the same samples.
    for bits in (2.28, 3.29, 4.31):
        recipe = {"method": "tuned", "effort": "thorough", "threads": 2, "target": {"bits": bits}}
        yield Case(f"tuned-{bits:.2f}-s40", "ours", f"tuned, at most {bits:.2f}, samples of AutoRound", recipe, WIKITEXT, 40)


def _autoround():
    for bits in BITS:
        for group in (64, 128):
            for samples in ALL_SAMPLES:
                yield Case(f"autoround-{bits}-g{group}-s{samples}", "autoround", f"AutoRound W{bits}, groups of {group}",
                           {"bits": bits, "group": group}, WIKITEXT, samples)


def _llama():
    for kind in ("Q2_K", "Q3_K_M", "Q4_K_M"):
        for samples in ALL_SAMPLES:
            yield Case(f"llama-{kind}-s{samples}", "llama", f"llama.cpp {kind}, imatrix", {"type": kind}, WIKITEXT, samples)


_FULL = Case("full", "full", "full precision", {})
ALL = {case.name: case for case in (_FULL, *_methods(), *_controls(), *_budgets(), *_autoround(), *_llama())}
