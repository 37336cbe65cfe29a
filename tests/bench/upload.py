"""gwq models push of a model directory: MB/s as a share of what one core hashes, in one run, alternating.

usage: upload.py --model DIR [--rounds 3]
environment: GWQ_BIN_DIR (build/release/bin)
"""
import argparse
import hashlib
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import services  # noqa: E402

MEGABYTE = 1_000_000
HASHED = 400 * MEGABYTE


def hash_speed():
    block = bytes(MEGABYTE)
    start, hasher = time.monotonic(), hashlib.sha256()
    for _ in range(HASHED // MEGABYTE):
        hasher.update(block)
    return HASHED / (time.monotonic() - start)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    size = sum(f.stat().st_size for f in args.model.glob("*.safetensors"))
    shares = []
    for _ in range(args.rounds):
        speed = hash_speed()
        with services.Services() as running:
            start = time.monotonic()
            running.gwq("models", "push", args.model, "--name", "pushed")
            pushed = size / (time.monotonic() - start)
        shares.append(pushed / speed)
        print(f"push {pushed / 1e6:.0f} MB/s, one core hashes {speed / 1e6:.0f} MB/s: share {pushed / speed:.2f}", flush=True)
    print(f"median share {statistics.median(shares):.2f}")


if __name__ == "__main__":
    main()
