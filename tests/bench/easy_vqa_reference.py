#!/usr/bin/env python3
"""What transformers (fp32) makes of a Qwen2-VL on easy-VQA's held-out test data: exact match, with a blank image too, and boxes.

usage: easy_vqa_reference.py MODEL_DIR [--all] [--answers FILE] [--threads 1]
needs: torch 2.11, transformers 5.23, torchvision 0.26, pillow, easy-vqa 1.0

The questions are the 1,000 of tests/models/easy_vqa_data.py, or with --all the whole test split. Answers are generated greedily and
compared as whole strings. "of 13" takes the most probable of the 13 answers' first tokens instead. A box counts when it overlaps the
shape's by at least half (IoU); beside it stands the constant box that would score best on the same images. --answers writes one JSON
object a question: {"id", "answer", "logprobs": of the 13 answers}, and one a located image: {"id", "text", "box"}.
"""
import argparse
import json
import re
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from transformers import AutoProcessor, Qwen2VLForConditionalGeneration

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "models"))
from easy_vqa_data import LOCATE, blank_picture  # noqa: E402
from vqa_training.dataset import COLORS, SHAPES, SIDE, held_out_questions, pictures, questions  # noqa: E402

ANSWERS = (*SHAPES, *COLORS, "yes", "no")
BATCH = 64
BOX = re.compile(r"<\|box_start\|>\((\d+),(\d+)\),\((\d+),(\d+)\)<\|box_end\|>")


class Reference:
    def __init__(self, folder):
        self.model = Qwen2VLForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
        self.processor = AutoProcessor.from_pretrained(folder)
        self.answers = torch.tensor([self.processor.tokenizer.encode(answer)[0] for answer in ANSWERS])

    def prompt(self, text):
        content = [{"type": "image"}, {"type": "text", "text": text}]
        return self.processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)

    @torch.no_grad()
    def ask(self, rows, limit):
        """(text, log-probabilities of ANSWERS as the first token) for each (question, image)."""
        out = [None] * len(rows)
        by_length = defaultdict(list)  # equal lengths together: no padding
        for i, (text, _) in enumerate(rows):
            by_length[len(self.processor.tokenizer.encode(self.prompt(text)))].append(i)
        for group in by_length.values():
            for at in range(0, len(group), BATCH):
                part = group[at:at + BATCH]
                inputs = self.processor(text=[self.prompt(rows[i][0]) for i in part], images=[rows[i][1] for i in part], return_tensors="pt")
                made = self.model.generate(**inputs, max_new_tokens=limit, do_sample=False, return_dict_in_generate=True, output_logits=True)
                first = torch.log_softmax(made.logits[0].float(), -1)[:, self.answers]
                for i, ids, logprobs in zip(part, made.sequences[:, inputs["input_ids"].shape[1]:], first):
                    text = self.processor.tokenizer.decode(ids, skip_special_tokens=False)
                    out[i] = re.sub(r"<\|im_end\|>.*", "", text, flags=re.S), logprobs.tolist()
        return out


def overlap(a, b):
    """IoU of boxes [..., 4]; that of a box without area is 0."""
    a, b = np.asarray(a, float), np.asarray(b, float)
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    shared = np.clip(sides, 0, None).prod(-1)
    areas = [np.clip(box[..., 2:] - box[..., :2], 0, None).prod(-1) for box in (a, b)]
    return shared / np.maximum(areas[0] + areas[1] - shared, 1e-9)


def best_constant_box(boxes):
    """(share of `boxes` that it finds, box), by trying those on a grid of 2 pixels around the middle."""
    low, high = np.arange(8, 34, 2), np.arange(30, 58, 2)
    best = (0.0, None)
    for x1 in low:
        for y1 in low:
            tried = np.array([(x1, y1, x2, y2) for x2 in high for y2 in high])
            shares = (overlap(tried[:, None], boxes[None]) >= 0.5).mean(1)
            best = max(best, (float(shares.max()), tuple(map(int, tried[shares.argmax()]))))
    return best


def parse_box(text):
    """The box in pixels, or None."""
    found = BOX.search(text)
    return [int(value) * SIDE / 1000 for value in found.groups()] if found else None


def share_line(name, rows, right):
    kinds = {"all": lambda k: True, "shape and colour": lambda k: k != "yesno", "shape": "shape".__eq__, "colour": "colour".__eq__,
             "yes/no": "yesno".__eq__}
    parts = []
    for kind, belongs in kinds.items():
        chosen = [ok for row, ok in zip(rows, right) if belongs(row.kind)]
        parts.append(f"{kind} {100 * np.mean(chosen):.2f} % ({sum(chosen)} of {len(chosen)})")
    print(f"{name}: " + ", ".join(parts), flush=True)


def report_answers(reference, rows, shown):
    blank = blank_picture()
    made = reference.ask([(row.text, shown[row.picture].pixels) for row in rows], 8)
    share_line("exact match", rows, [text == row.answer for row, (text, _) in zip(rows, made)])
    share_line("of 13", rows, [ANSWERS[int(np.argmax(logprobs))] == row.answer for row, (_, logprobs) in zip(rows, made)])
    unseen = reference.ask([(row.text, blank) for row in rows], 8)
    share_line("exact match, blank image", rows, [text == row.answer for row, (text, _) in zip(rows, unseen)])
    return [{"id": row.id, "answer": text, "logprobs": logprobs} for row, (text, logprobs) in zip(rows, made)]


def report_boxes(reference, shown):
    made = [text for text, _ in reference.ask([(LOCATE, picture.pixels) for picture in shown.values()], 32)]
    boxes, wanted = [parse_box(text) for text in made], np.array([picture.box for picture in shown.values()])
    ious = np.array([overlap(box, right) if box else 0 for box, right in zip(boxes, wanted)])
    constant, place = best_constant_box(wanted)
    print(f"located at IoU 0.5: {100 * (ious >= 0.5).mean():.1f} % of {len(boxes)}, at 0.75: {100 * (ious >= 0.75).mean():.1f} %, mean IoU "
          f"{ious.mean():.3f}, without a box {boxes.count(None)}; best constant box {place}: {100 * constant:.1f} %")
    known = [(text, picture) for text, picture in zip(made, shown.values()) if picture.shape]
    named = [f"<|object_ref_start|>{picture.color} {picture.shape}<|object_ref_end|>" in text for text, picture in known]
    print(f"label of the box right: {100 * np.mean(named):.1f} % of {len(named)}")
    return [{"id": f"locate-{id}", "text": text, "box": box} for id, text, box in zip(shown, made, boxes)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--answers", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    reference, shown = Reference(args.model), pictures("test")
    written = report_answers(reference, questions("test") if args.all else held_out_questions(), shown)
    written += report_boxes(reference, shown)
    if args.answers:
        args.answers.write_text("".join(json.dumps(row) + "\n" for row in written))


if __name__ == "__main__":
    main()
