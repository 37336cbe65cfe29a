"""A 1.1B-parameter Llama through upload, quantization, generation and download: peak memory of every process against its bound.

usage: memory_1b.py [--model DIR] [--method NAME] [--target-bits BITS] [--effort NAME] [--calibration-file F --samples N]
                    [--calibration-tokens N] [--evaluation-tokens N]
DIR is written by tests/models/make_random_llama.py where it does not exist. Without a file the model generates its own samples.
environment: GWQ_BIN_DIR (build/release/bin)
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "support"))
import services  # noqa: E402

MIB = 1 << 20
SMALL_PROCESS_LIMIT = 200_000_000  # bytes, client and gwq-jobs
INFER_MARGIN = 300_000_000


def run_measured(arguments):
    """Runs a command and returns (seconds, peak resident bytes, standard output)."""
    reader, writer = os.pipe()
    start = time.monotonic()
    pid = os.fork()
    if pid == 0:
        os.dup2(writer, 1)
        os.close(reader)
        os.execv(str(arguments[0]), [str(a) for a in arguments])
    os.close(writer)
    with os.fdopen(reader) as output:
        text = output.read()
    _, status, usage = os.wait4(pid, 0)
    if os.waitstatus_to_exitcode(status) != 0:
        raise SystemExit(f"{arguments} failed")
    return time.monotonic() - start, usage.ru_maxrss * 1024, text


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path, default=Path("/tmp/gwq-random-1b"))
    parser.add_argument("--method", default="gwq")
    parser.add_argument("--target-bits", help="default: 4 bits for every matrix")
    parser.add_argument("--effort", default="normal", help="of tuned")
    parser.add_argument("--calibration-file", type=Path)
    parser.add_argument("--samples", type=int, default=0)
    parser.add_argument("--calibration-tokens", type=int, default=512)
    parser.add_argument("--evaluation-tokens", type=int, default=512)
    args = parser.parse_args()
    if not (args.model / "config.json").exists():
        subprocess.run([sys.executable, HERE.parent / "models/make_random_llama.py", args.model], check=True)
    rows = []
    with services.Services(infer_arguments=["--cache-tokens", "2048"]) as running:
        gwq = [services.BIN / "gwq", "--jobs", running.jobs.address, "--infer", running.infer.address]
        seconds, peak, _ = run_measured([*gwq, "models", "push", args.model, "--name", "random-1b"])
        size = sum(f.stat().st_size for f in args.model.glob("*.safetensors"))
        print(f"push: {seconds:.1f} s, {size / seconds / 1e6:.0f} MB/s")
        rows.append(("gwq models push", peak, SMALL_PROCESS_LIMIT))
        flags = ["--method", args.method, "--effort", args.effort, "--calibration-max-tokens", str(args.calibration_tokens)]
        flags += ["--target-bits", args.target_bits] if args.target_bits else ["--bits", "4"]
        flags += ["--calibration-samples", str(args.samples), "--evaluate", f"kind=text,tokens={args.evaluation_tokens}"]
        if args.calibration_file:
            flags += ["--calibration-file", args.calibration_file]
        _, _, plan = run_measured([*gwq, "--json", "quantize", "random-1b", *flags, "--plan"])
        bound = int(json.loads(plan)["peak_memory_bytes"])
        seconds, peak, _ = run_measured([*gwq, "quantize", "random-1b", "--name", "small-1b", *flags, "--wait"])
        print(f"quantize with {args.method}: {seconds:.1f} s")
        report = json.loads(run_measured([*gwq, "--json", "artifacts", "show", "small-1b", "--report"])[2])
        rows.append(("gwq-worker", max(phase["peak_memory_bytes"] for phase in report["phases"]), bound))
        seconds, peak, _ = run_measured([*gwq, "generate", "small-1b", "--message", "hello", "--max-tokens", "32"])
        loaded = json.loads(run_measured([*gwq, "--json", "serve", "list"])[2].splitlines()[0])
        rows.append(("gwq generate", peak, SMALL_PROCESS_LIMIT))
        with tempfile.TemporaryDirectory() as folder:
            seconds, peak, _ = run_measured([*gwq, "artifacts", "pull", "small-1b", "--to", Path(folder) / "small-1b"])
            size = sum(f.stat().st_size for f in Path(folder).rglob("*") if f.is_file())
            print(f"pull: {seconds:.1f} s, {size / seconds / 1e6:.0f} MB/s")
        rows.append(("gwq artifacts pull", peak, SMALL_PROCESS_LIMIT))
        rows.append(("gwq-jobs", running.jobs.peak_memory_bytes(), SMALL_PROCESS_LIMIT))
        rows.append(("gwq-infer", running.infer.peak_memory_bytes(), int(loaded["weight_bytes"]) + int(loaded["cache_bytes"]) + INFER_MARGIN))
    print(f"{'process':<20}{'peak MB':>10}{'bound MB':>10}")
    for name, peak, limit in rows:
        print(f"{name:<20}{peak / 1e6:>10.1f}{limit / 1e6:>10.1f}  {'ok' if peak <= limit else 'ABOVE'}")
    return 0 if all(peak <= limit for _, peak, limit in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
