#!/usr/bin/env python3
"""What quantization costs the easy-VQA model: answers, their divergence, located boxes and bits, by method, bits and calibration.

usage: easy_vqa.py --model DIR --data DIR [--limit N] [--bits 4,3,2] [--json]
needs: the programs in GWQ_BIN_DIR; nothing beyond the standard library

DIR of the model: tests/models/easy-vqa-qwen2-vl. DIR of the data: what tests/models/easy_vqa_data.py writes; its questions and images are
held out of the training.
Every figure comes from `gwq eval run` and the jobs' reports. Three tables:

  methods        round to nearest and GWQ (1 % outliers by one image and question built into the service), each at 4, 3 and 2 bits
  paired         by how much GWQ's divergence is below round to nearest's on the same questions, and on how many of them
  calibration    GWQ at 3 and 2 bits: image and text against text alone, with the vision tower quantized and with the tower kept

KL is against the full-precision model in nats, over the steps of its own answers; of answers and of located boxes apart. Takes about half a minute a
row on 2 cores.
"""
import argparse
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import services  # noqa: E402

GROUP = 32
TEXT = "what color is the shape? is there a circle in the image? where is the rectangle? what shape is in the image? is there a red shape?"
TEXT_ALONE = ["--calibration-text", TEXT]
KEEP_TOWER = ["--rule", "*:method=keep,part=vision", "--rule", "*:method=keep,part=projector,kind=linear"]
COLUMNS = ("case", "exact match", "± s.e.", "KL of answers", "located (IoU 0.5)", "KL of boxes", "bits: matrices", "bits: model")


class Bench:
    def __init__(self, running, args):
        self.running, self.limit = running, args.limit
        self.divergence = {}  # by case and kind, question by question

    def gwq(self, *arguments):
        done = self.running.gwq("--json", *arguments, check=False)
        if done.returncode != 0:
            raise SystemExit(f"gwq {' '.join(map(str, arguments))}: {done.stderr}")
        return json.loads(done.stdout.splitlines()[-1])

    def measure(self, case, target, kind, reference):
        metrics = self.gwq("eval", "run", target, "--kind", kind, "--dataset", kind, "--limit", self.limit, "--name", "measured",
                           "--max-tokens", 40 if kind == "grounding" else 8, *(["--reference", "models/full"] if reference else []))["metrics"]
        if reference:
            with tempfile.TemporaryDirectory() as folder:
                self.running.gwq("eval", "pull", "measured", folder)
                self.divergence[case, kind] = [json.loads(line)["kl"] for line in (Path(folder) / "items.jsonl").read_text().splitlines()]
        return {metric["name"]: metric for metric in metrics}

    def row(self, case, target, bits):
        reference = target != "models/full"
        vqa, boxes = (self.measure(case, target, kind, reference) for kind in ("vqa", "grounding"))
        value = lambda metrics, name: metrics[name]["value"] if name in metrics else None
        return dict(zip(COLUMNS, (case, value(vqa, "exact_match"), vqa["exact_match"]["standard_error"], value(vqa, "mean_kl"),
                                  value(boxes, "accuracy_iou50"), value(boxes, "mean_kl"), *bits)))

    def quantized(self, case, name, *flags):
        self.gwq("quantize", "full", "--name", name, "--group-size", GROUP, "--gwq-loss", "all", "--no-evaluation", *flags, "--wait")
        report = self.gwq("artifacts", "show", name, "--report")
        return self.row(case, f"artifacts/{name}", (report["matrix_bits_per_weight"], report["model_bits_per_weight"]))


def paired(divergence, bits, kind):
    pairs = zip(divergence[f"round to nearest, {bits} bits", kind], divergence[f"GWQ, {bits} bits", kind])
    gains = [rtn - gwq for rtn, gwq in pairs]
    return {"bits": str(bits), "asked": {"vqa": "answers", "grounding": "boxes"}[kind], "mean gain": statistics.fmean(gains),
            "its s.e.": statistics.stdev(gains) / len(gains) ** 0.5, "GWQ is closer on": f"{sum(gain > 0 for gain in gains)} of {len(gains)}"}


def text(value):
    if value is None:
        return "-"
    return value if isinstance(value, str) else f"{value:.2e}" if 0 < abs(value) < 0.01 else f"{value:.4f}"


def print_table(title, rows):
    columns = list(rows[0])
    print(f"\n{title}\n\n| " + " | ".join(columns) + " |\n|---|" + "---:|" * (len(columns) - 1))
    for row in rows:
        print("| " + " | ".join(text(row[column]) for column in columns) + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, type=Path)
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--limit", type=int, default=0, help="questions to ask; 0: all")
    parser.add_argument("--bits", default="4,3,2")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    with services.Services() as running:
        bench = Bench(running, args)
        bench.gwq("models", "push", args.model, "--name", "full")
        bench.gwq("eval", "push", args.data / "questions.jsonl", "--name", "vqa")
        bench.gwq("eval", "push", args.data / "locate.jsonl", "--name", "grounding")
        bits = [int(one) for one in args.bits.split(",")]
        methods = [bench.row("full precision", "models/full", (16.0, 16.0))]
        for one in bits:
            methods.append(bench.quantized(f"round to nearest, {one} bits", f"rtn{one}", "--bits", one, "--method", "rtn"))
            methods.append(bench.quantized(f"GWQ, {one} bits", f"gwq{one}", "--bits", one))
        calibration = []
        for one in [one for one in bits if one < 4]:
            for sample, flags in (("image and text", []), ("text alone", TEXT_ALONE)):
                for tower, rules in (("tower too", []), ("tower kept", KEEP_TOWER)):
                    name = f"c{one}-{len(calibration)}"
                    calibration.append(bench.quantized(f"{one} bits, {sample}, {tower}", name, "--bits", one, *flags, *rules))
    pairs = [paired(bench.divergence, one, kind) for one in bits for kind in ("vqa", "grounding")]
    if args.json:
        print(json.dumps({"methods": methods, "paired": pairs, "calibration": calibration}))
        return
    print_table("Methods", methods)
    print_table("Paired: divergence of round to nearest less that of GWQ", pairs)
    if calibration:
        print_table("Calibration of GWQ", calibration)


if __name__ == "__main__":
    main()
