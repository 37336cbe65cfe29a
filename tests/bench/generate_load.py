#!/usr/bin/env python3
"""Generated tokens a second of a running gwq-infer, and of a llama-server beside it, for several numbers of streams.

usage: generate_load.py --infer HOST:PORT --model NAME [--llama http://HOST:PORT] [--streams 1,8,32] [--prompt-tokens 64]
                        [--max-tokens 64] [--rounds 3] [--seed N] [--json]

Every stream sends its own random prompt as token ids (so that no prefix can be shared) and reads all of its answer; end-of-sequence is
ignored, so that the work is the same everywhere. A figure is all generated tokens over the time from the first request to the last token, the
best of the rounds; services take turns within a round, because machines are noisy. Needs grpcio and grpcio-tools.
"""
import argparse
import json
import random
import statistics
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))


class Infer:
    """gwq-infer over gRPC, one channel a stream as separate clients would have."""

    def __init__(self, address, model):
        import grpc
        from services import generate_stubs

        self.stubs = tempfile.TemporaryDirectory(prefix="gwq-bench-")
        generate_stubs(self.stubs.name)
        sys.path.insert(0, self.stubs.name)
        from gwq.v1 import inference_pb2, inference_pb2_grpc

        self.pb, self.model = inference_pb2, model
        self.stub = lambda: inference_pb2_grpc.InferenceServiceStub(
            grpc.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)]))

    def stream(self, ids, max_tokens):
        request = self.pb.GenerateRequest(model=self.model, tokens=self.pb.TokenIds(ids=ids), max_tokens=max_tokens, ignore_eos=True)
        for chunk in self.stub().Generate(request):
            yield len(chunk.token_ids)


class LlamaServer:
    """llama-server over HTTP; one event a token."""

    def __init__(self, url):
        self.url = url.rstrip("/")

    def stream(self, ids, max_tokens):
        body = {"prompt": ids, "n_predict": max_tokens, "ignore_eos": True, "stream": True, "cache_prompt": False, "temperature": 0}
        request = urllib.request.Request(self.url + "/completion", json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request) as answer:
            for line in answer:
                if line.startswith(b"data: "):
                    event = json.loads(line[6:])
                    yield 0 if event.get("stop") else 1


def measure(service, streams, prompt_tokens, max_tokens, seed):
    """Runs `streams` requests at once; tokens a second, median time to the first token, median time between tokens."""
    generator = random.Random(seed)
    prompts = [[generator.randrange(1000, 40000) for _ in range(prompt_tokens)] for _ in range(streams)]
    times, errors = [[] for _ in range(streams)], []
    barrier = threading.Barrier(streams + 1)

    def run(i):
        try:
            barrier.wait()
            for count in service.stream(prompts[i], max_tokens):
                times[i].extend([time.perf_counter()] * count)
        except Exception as error:  # a thread's error would be lost
            errors.append(error)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(streams)]
    for thread in threads:
        thread.start()
    barrier.wait()
    start = time.perf_counter()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    total = sum(map(len, times))
    gaps = [b - a for t in times for a, b in zip(t, t[1:])]
    return {"tokens_per_second": total / (max(t[-1] for t in times) - start), "tokens": total,
            "first_token_ms": 1000 * statistics.median(t[0] - start for t in times),
            "inter_token_ms": 1000 * statistics.median(gaps or [0])}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--infer")
    parser.add_argument("--model", default="")
    parser.add_argument("--llama")
    parser.add_argument("--streams", default="1,8,32")
    parser.add_argument("--prompt-tokens", type=int, default=64)
    parser.add_argument("--max-tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    services = {}
    if options.infer:
        services["gwq-infer"] = Infer(options.infer, options.model)
    if options.llama:
        services["llama-server"] = LlamaServer(options.llama)
    results = []
    for streams in map(int, options.streams.split(",")):
        best = {}
        for round_number in range(options.rounds):
            for name, service in services.items():
                figures = measure(service, streams, options.prompt_tokens, options.max_tokens, options.seed + round_number)
                if name not in best or figures["tokens_per_second"] > best[name]["tokens_per_second"]:
                    best[name] = figures
        for name, figures in best.items():
            results.append({"service": name, "streams": streams, **figures})
            if not options.json:
                print(f"{name:13} {streams:3} streams  {figures['tokens_per_second']:8.1f} token/s  first token {figures['first_token_ms']:8.1f} ms"
                      f"  between tokens {figures['inter_token_ms']:7.1f} ms", flush=True)
    if options.json:
        print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
