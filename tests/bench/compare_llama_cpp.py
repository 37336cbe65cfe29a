#!/usr/bin/env python3
"""Decode and prefill speed of gwq's CPU kernels against llama.cpp's Q4_0: same model shapes, same threads, one run.

The two programs take turns, because machines are noisy: what is compared is the median of the rounds' ratios.
Needs the folder of llama.cpp's programs (llama-bench, llama-quantize), a GGUF of the model and decode_bench, which
-DGWQ_BUILD_BENCH=ON builds under bench/.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent


def run(command, environment=None):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, env=environment)
    if done.returncode != 0:
        sys.exit(f"{command[0]} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return done.stdout


def quantized(arguments, environment, folder):
    path = Path(folder) / "q4_0.gguf"
    run([arguments.llama / "llama-quantize", "--allow-requantize", arguments.gguf, path, "Q4_0", arguments.threads], environment)
    return path


def llama_round(arguments, environment, model):
    out = run([arguments.llama / "llama-bench", "-m", model, "-t", arguments.threads, "-p", arguments.prompt, "-n", arguments.generate,
               "-r", 1, "-o", "json"], environment)
    speeds = {}
    for test in json.loads(out):
        speeds["prefill" if test["n_prompt"] else "decode"] = test["avg_ts"]
    return speeds


def gwq_round(arguments):
    out = run([arguments.decode_bench, "--config", arguments.config, "--threads", arguments.threads, "--prompt", arguments.prompt,
               "--generate", arguments.generate, "--bits", arguments.bits, "--group", arguments.group, "--outliers", arguments.outliers])
    measured = json.loads(out)
    return {"prefill": measured["prefill_tokens_per_second"], "decode": measured["decode_tokens_per_second"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("llama", type=Path, help="folder of llama-bench and llama-quantize")
    parser.add_argument("gguf", type=Path, help="the model as GGUF")
    parser.add_argument("decode_bench", type=Path, help="gwq's bench/decode_bench")
    parser.add_argument("--config", type=Path, default=HERE / "smollm2-135m.json", help="config.json with the model's shapes")
    parser.add_argument("--bits", type=int, default=4)
    parser.add_argument("--group", type=int, default=64)
    parser.add_argument("--outliers", type=float, default=0.01)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--prompt", type=int, default=256)
    parser.add_argument("--generate", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()

    environment = dict(os.environ, LD_LIBRARY_PATH=f"{arguments.llama}:{os.environ.get('LD_LIBRARY_PATH', '')}")
    rounds = []
    with tempfile.TemporaryDirectory() as folder:
        model = quantized(arguments, environment, folder)
        for number in range(arguments.rounds):
            # Who goes first alternates too.
            order = [("llama.cpp", lambda: llama_round(arguments, environment, model)), ("gwq", lambda: gwq_round(arguments))]
            speeds = {name: measure() for name, measure in (order if number % 2 == 0 else reversed(order))}
            rounds.append(speeds)
            if not arguments.json:
                print(f"round {number + 1}: " + "; ".join(
                    f"{kind} {speeds['gwq'][kind]:.0f} against {speeds['llama.cpp'][kind]:.0f} token/s" for kind in ("decode", "prefill")),
                    flush=True)
    summary = {}
    for kind in ("decode", "prefill"):
        summary[kind] = {
            "gwq": statistics.median(r["gwq"][kind] for r in rounds),
            "llama.cpp": statistics.median(r["llama.cpp"][kind] for r in rounds),
            "ratio": statistics.median(r["gwq"][kind] / r["llama.cpp"][kind] for r in rounds),
        }
    if arguments.json:
        print(json.dumps({"threads": arguments.threads, "rounds": rounds, "median": summary}))
        return
    for kind, values in summary.items():
        print(f"{kind}: gwq {values['gwq']:.1f}, llama.cpp Q4_0 {values['llama.cpp']:.1f} token/s; median ratio {values['ratio']:.2f}")


if __name__ == "__main__":
    main()
