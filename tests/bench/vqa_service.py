#!/usr/bin/env python3
"""The easy-VQA model at full precision through gwq-infer: accuracy with and without the image, boxes, and how often it says what transformers says.

usage: vqa_service.py --data DIR [--model DIR] [--reference FILE] [--questions N] [--streams N]
needs: grpcio, grpcio-tools; GWQ_BIN_DIR and GWQ_DEPS as the tests have them

  --data DIR        what tests/models/easy_vqa_data.py wrote
  --model DIR       a Hugging Face directory (default: the one that ships in tests/models)
  --reference FILE  what tests/bench/easy_vqa_reference.py --answers wrote: adds the comparison with transformers
  --questions N     the first N questions and images alone
  --streams N       requests at once

Exact match compares whole greedy answers. A box counts when its IoU with the shape's is at least 0.5.
"""
import argparse
import json
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import services  # noqa: E402

KINDS = {"all": ("shape", "colour", "yesno"), "shape and colour": ("shape", "colour"), "yes/no": ("yesno",)}


def overlap(a, b):
    wide, high = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = max(wide, 0) * max(high, 0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return shared / (sum(areas) - shared) if shared else 0.0


class Asker:
    def __init__(self, stub, messages, data, streams):
        self.stub, self.messages, self.data, self.streams = stub, messages, data, streams

    def ask(self, rows, image=None, **task):
        """The responses to all rows, in order; `image` is shown in place of each row's own."""
        def one(row):
            picture = self.messages.ImageInput(data=(self.data / (image or row["image"])).read_bytes())
            request = self.messages.VqaRequest(model="vlm", images=[picture], question=row["question"], **task)
            return self.stub.VqaOnce(request, timeout=120).result
        with ThreadPoolExecutor(self.streams) as pool:
            return list(pool.map(one, rows))

    def answers(self, rows, image=None):
        return [result.free_text.answer.strip() for result in self.ask(rows, image, max_tokens=8)]

    def boxes(self, rows):
        """Of each row the first box, or None."""
        results = self.ask(rows, boxes=self.messages.BoxTask(), max_tokens=32)
        return [(b[0].left, b[0].top, b[0].right, b[0].bottom) if (b := result.boxes.boxes) else None for result in results]


def shares(rows, answers):
    out = []
    for name, kinds in KINDS.items():
        right = [answer == row["answer"] for answer, row in zip(answers, rows) if row["kind"] in kinds]
        out.append(f"{name} {sum(right) / len(right):.1%} of {len(right)}")
    return ", ".join(out)


def report(asker, rows, reference):
    begun = time.monotonic()
    answers = asker.answers(rows["questions"])
    seconds = time.monotonic() - begun
    print(f"exact match: {shares(rows['questions'], answers)}; {len(answers) / seconds:.0f} questions a second")
    print(f"exact match, blank picture: {shares(rows['questions'], asker.answers(rows['questions'], 'blank.png'))}")
    if reference:
        same = sum(answer == reference[row["id"]]["answer"] for answer, row in zip(answers, rows["questions"]))
        print(f"the answer of transformers: {same / len(answers):.1%} of {len(answers)}")
    boxes = asker.boxes(rows["locate"])
    ious = [overlap(box, row["box"]) if box else 0.0 for box, row in zip(boxes, rows["locate"])]
    print(f"located at IoU 0.5: {sum(iou >= 0.5 for iou in ious) / len(ious):.1%} of {len(ious)}, mean IoU {sum(ious) / len(ious):.3f}, "
          f"without a box {boxes.count(None)}")


def main():
    shipped = Path(__file__).resolve().parents[1] / "models/easy-vqa-qwen2-vl"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--model", default=shipped, type=Path)
    parser.add_argument("--reference", type=Path)
    parser.add_argument("--questions", type=int, default=1000)
    parser.add_argument("--streams", type=int, default=16)
    args = parser.parse_args()
    rows = {what: [json.loads(line) for line in (args.data / f"{what}.jsonl").read_text().splitlines()][:args.questions]
            for what in ("questions", "locate")}
    reference = {}
    if args.reference:
        reference = {row["id"]: row for row in map(json.loads, args.reference.read_text().splitlines())}
    with tempfile.TemporaryDirectory() as folder, services.Services() as running:
        services.generate_stubs(folder)
        sys.path.insert(0, folder)
        import grpc
        from gwq.v1 import inference_pb2, inference_pb2_grpc
        running.gwq("models", "push", args.model, "--name", "vlm")
        running.gwq("serve", "load", "vlm")
        with grpc.insecure_channel(running.infer.address) as channel:
            report(Asker(inference_pb2_grpc.InferenceServiceStub(channel), inference_pb2, args.data, args.streams), rows, reference)
    return 0


if __name__ == "__main__":
    sys.exit(main())
