#!/usr/bin/env python3
"""Perplexity of our artifacts against the reference scripts, and how far the outlier masks agree.

usage: accuracy.py --tool quantize_local --model HF_DIR --reference REFERENCE_DIR [--work DIR] [--cases rtn,last,...] [--masks]
needs: torch, transformers, safetensors; a build with the target quantize_local (tests/tools)

HF_DIR is SmolLM2-135M-Instruct in FP16 (tests/golden/make_smollm2.py makes it of the wheel's GGUF). REFERENCE_DIR holds reference_gwq.py,
reference_ppl.py and wikitext-2/. For each case the tool quantizes with 3 bits in groups of 64 and exports FP16; the export is measured by
reference_ppl.py on 12 windows of 1024 tokens, and stands beside

  reference   the reference scripts' figure for the same method (recorded; --masks runs reference_gwq.py again for the gradient cases)
  report      the artifact's perplexity in our report on the same windows: packed kernels, block by block

With --masks, the share of the reference's outliers that ours has, over all matrices.
The cases gptq and spqr are calibrated on 16 samples of 512 tokens, spread evenly over calibration.txt, tuned on 40.
Takes about 4 minutes per case on 2 cores (tuned: 15), and 3 more with --masks.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

WINDOWS, LENGTH = 12, 1024
FULL_PRECISION = 21.136
# case -> (recipe, perplexity of the reference scripts, allowed share of it or None where it is a control, largest one allowed)
CASES = {
    "rtn": ({"method": "rtn"}, 61.232, 0.01, None),
    "last": ({"gwq": {"loss": "last"}}, 41.064, 0.02, None),
    "all": ({"gwq": {"loss": "all"}}, 40.171, 0.02, None),
    "magnitude": ({"gwq": {"select": "magnitude"}}, 43.821, None, None),
    "random": ({"gwq": {"select": "random"}}, 60.425, None, None),
    # The reference is a prototype in PyTorch with the same samples but for where they are cut from the text.
    "gptq": ({"method": "gptq"}, 36.69, None, 37.5),
    "spqr": ({"method": "spqr"}, 28.06, None, 28.6),
    # The reference is a prototype in PyTorch with 48 samples in its last part, and embedding and head in full precision.
    "tuned": ({"method": "tuned"}, 24.785, None, 24.5),
}
SAMPLES = {"gptq": 16, "spqr": 16, "tuned": 40}
MASK_CASES = ("last", "all")


def write_recipe(path, case, data):
    recipe = {"bits": 3, "group_size": 64, "threads": 2, **CASES[case][0]}
    if case in MASK_CASES:
        # The sample is the text's first 512 tokens; the beginning holds far more than those.
        recipe["calibration"] = {"source": "text", "text": (data / "calibration.txt").read_text()[:100_000], "max_tokens": 512}
    if case in SAMPLES:
        recipe["calibration"] = {"source": "text", "text": (data / "calibration.txt").read_text(), "max_tokens": 512, "samples": SAMPLES[case]}
    path.write_text(json.dumps(recipe))


def write_task(path, data):
    path.write_text(json.dumps({"kind": "text", "text": (data / "eval.txt").read_text(), "tokens": WINDOWS * LENGTH, "window": LENGTH}))


def perplexity(reference, model):
    out = subprocess.run([sys.executable, str(reference / "reference_ppl.py"), str(model)], check=True, capture_output=True, text=True)
    return float(out.stdout.split()[-1])


def equal_outliers(ours, theirs):
    from safetensors import safe_open
    a, b = safe_open(str(ours), "pt"), safe_open(str(theirs), "pt")
    if set(a.keys()) != set(b.keys()):
        raise SystemExit("the masks are of different matrices")
    total = same = 0
    for name in b.keys():
        mine, reference = a.get_tensor(name).bool(), b.get_tensor(name).bool()
        total += int(reference.sum())
        same += int((mine & reference).sum())
    return same, total


def masks(args, case, out, work):
    target = work / f"reference-{case}.safetensors"
    if not target.exists():
        subprocess.run([sys.executable, str(args.reference / "reference_gwq.py"), str(args.model), "--bits", "3", "--loss", case,
                        "--masks", str(target)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return equal_outliers(out / "masks.safetensors", target)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tool", required=True, type=Path)
    parser.add_argument("--model", required=True, type=Path)
    parser.add_argument("--reference", required=True, type=Path)
    parser.add_argument("--work", type=Path, help="kept, and what is there already is used again; default: a temporary folder")
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument("--masks", action="store_true")
    args = parser.parse_args()
    work = args.work or Path(tempfile.mkdtemp(prefix="gwq-accuracy-"))
    work.mkdir(parents=True, exist_ok=True)
    failed = False
    print("| case | reference | export | difference | report, packed kernels | difference to export | matrices, bits/weight | model, bits/weight |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|", flush=True)
    lines = []
    for case in args.cases.split(","):
        out = work / case
        if not (out / "hf" / "config.json").exists():
            write_recipe(work / f"{case}.json", case, args.reference / "wikitext-2")
            write_task(work / "task.json", args.reference / "wikitext-2")
            subprocess.run([str(args.tool), str(work / "store"), str(args.model), str(work / f"{case}.json"), str(out),
                            str(work / "task.json")], check=True,
                           stderr=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "2"})
        report = json.loads((out / "report.json").read_text())
        metrics = {metric["name"]: metric for metric in report["evaluations"][0]["metrics"]}
        _, expected, allowed, largest = CASES[case]
        exported, reported = perplexity(args.reference, out / "hf"), metrics["perplexity"]["after"]
        off, kernels = exported / expected - 1, reported / exported - 1
        bad = (allowed is not None and abs(off) > allowed) or (largest is not None and exported > largest) or abs(kernels) > 0.005
        failed |= bad
        print(f"| {case} | {expected:.3f} | {exported:.3f} | {off:+.2%} | {reported:.3f} | {kernels:+.2%} | "
              f"{report['matrix_bits_per_weight']:.4f} | {report['model_bits_per_weight']:.4f} |{' FAILED' if bad else ''}", flush=True)
        original = metrics["perplexity"]["before"]
        if abs(original / FULL_PRECISION - 1) > 0.005:
            failed = True
        lines.append(f"{case}: full precision by our kernels {original:.3f} (reference {FULL_PRECISION}), mean KL "
                     f"{metrics['mean_kl']['after']:.4f}, p99 {metrics['p99_kl']['after']:.4f}, same top-1 {metrics['same_top1']['after']:.4f}")
        if args.masks and case in MASK_CASES:
            same, total = masks(args, case, out, work)
            failed |= same < 0.999 * total
            lines.append(f"{case}: {same} of the reference's {total} outliers = {same / total:.5%}")
    print("\n" + "\n".join(lines))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
