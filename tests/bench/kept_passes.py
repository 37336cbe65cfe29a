#!/usr/bin/env python3
"""What a kept gradient pass saves: two quantizations of one model to two targets, one after the other, through the services.

usage: kept_passes.py --model HF_DIR --calibration-file TEXT [--method rtn] [--targets 3.25,4.0] [--samples 16]
environment: GWQ_BIN_DIR (build/release/bin)

Prints for each job the gradient passes that it ran and took from the store, and its time without evaluation, and the ratio of the times.
Ends with 1 if the second job ran a pass.
"""
import argparse
import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "support"))
import services  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--calibration-file", type=Path, required=True)
    parser.add_argument("--method", default="rtn")
    parser.add_argument("--targets", default="3.25,4.0")
    parser.add_argument("--samples", type=int, default=16)
    args = parser.parse_args()
    rows = []
    with services.Services() as running:
        def gwq(*words):
            command = [services.BIN / "gwq", "--jobs", running.jobs.address, "--infer", running.infer.address, *words]
            return subprocess.run([str(word) for word in command], check=True, stdout=subprocess.PIPE, text=True).stdout

        gwq("models", "push", args.model, "--name", "model")
        for target in args.targets.split(","):
            gwq("quantize", "model", "--name", f"to-{target}", "--method", args.method, "--target-bits", target, "--no-evaluation",
                "--calibration-file", args.calibration_file, "--calibration-samples", args.samples, "--wait")
            report = json.loads(gwq("--json", "artifacts", "show", f"to-{target}", "--report"))
            rows.append((target, report["backward_passes"], sum(phase["seconds"] for phase in report["phases"])))
    print(f"{args.method}, {args.samples} samples\ntarget  passes run  reused  seconds  ratio")
    for target, passes, seconds in rows:
        print(f"{target:>6}  {passes['run']:>10}  {passes['reused']:>6}  {seconds:>7.1f}  {seconds / rows[0][2]:>5.3f}")
    if any(passes["run"] for _, passes, _ in rows[1:]):
        sys.exit("a later job ran a gradient pass")


if __name__ == "__main__":
    main()
