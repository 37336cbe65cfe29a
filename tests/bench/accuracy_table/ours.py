"""Makes a case with gwq's own methods, by the program quantize_local (tests/tools)."""
import json
import re
import shutil
import subprocess

from . import process, texts
from .samples import SAMPLE_TOKENS

# More than 512 tokens of any text, for the cases with one sample.
BEGINNING = 100_000


def recipe(case, data):
    out = dict(case.settings)
    if case.calibration.endswith(".txt"):
        text = (data / case.calibration).read_text(encoding="utf-8")
        # One sample is the text's beginning; the recipe need not carry the rest.
        out["calibration"] = {"source": "text", "text": text if case.samples > 1 else text[:BEGINNING], "max_tokens": SAMPLE_TOKENS}
    elif case.calibration:
        out["calibration"] = {"source": case.calibration, "max_tokens": SAMPLE_TOKENS}
    if case.calibration and case.samples:
        out["calibration"]["samples"] = case.samples
    return out


def programs(tool):
    """The tool and the libraries that were built with it; their bytes decide what it makes."""
    linked = subprocess.run(["ldd", str(tool)], check=True, capture_output=True, text=True).stdout
    libraries = re.findall(r"=> (\S+)", linked)
    return [tool, *sorted(path for path in libraries if not path.startswith(("/usr/", "/lib")))]


def make(case, args, folder):
    """Leaves folder/hf and returns what is known of how it was made."""
    data = args.reference / "wikitext-2"
    (folder / "recipe.json").write_text(json.dumps(recipe(case, data)), encoding="utf-8")
    (folder / "task.json").write_text(json.dumps({"kind": "text", "text": (data / "eval.txt").read_text(encoding="utf-8"),
                                                  "tokens": 12 * texts.LENGTH, "window": texts.LENGTH}), encoding="utf-8")
    total, phases = process.run([args.tool, folder / "store", args.model, folder / "recipe.json", folder, folder / "task.json"],
                                folder / "log", {"OMP_NUM_THREADS": "2"})
    shutil.rmtree(folder / "store")
    for name, usage in phases.items():
        # The report's own evaluation is no part of quantizing.
        if "evaluate" in name:
            total = total.minus(usage)
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    metrics = {metric["name"]: metric for metric in report["evaluations"][0]["metrics"]}
    return {
        "matrix_bits": report["matrix_bits_per_weight"],
        "model_bits": report["model_bits_per_weight"],
        "seconds": total.seconds,
        "cpu_seconds": total.cpu_seconds,
        "peak_bytes": max(phase["peak_memory_bytes"] for phase in report["phases"] if "evaluate" not in phase["name"]),
        "samples": report["calibration_samples"],
        "reported": {"eval": metrics["perplexity"]["after"], "mean_kl": metrics["mean_kl"]["after"]},
    }
