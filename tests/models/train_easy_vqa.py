#!/usr/bin/env python3
"""Trains the small Qwen2-VL that ships with the project, from random weights, on easy-VQA: about an hour of one core.

usage: train_easy_vqa.py OUT_DIR [--checkpoint FILE] [--tower-steps 1500] [--steps 4000] [--seed 1] [--threads 1]
needs: torch 2.11, transformers 5.23, torchvision 0.26, pillow, easy-vqa 1.0

First the vision tower alone, by heads that tell shape, color and the shape's pixels (trained with the decoder from the start it gets
stuck at what the questions alone tell), then everything, the heads' loss still counting a little; the heads are thrown away. Yes/no
questions get harder by levels (vqa_training/asking.py). A run that stops goes on from --checkpoint, with the same batches. OUT_DIR
gets the Hugging Face directory; with --steps 0 that of random weights.

Every 50 steps a line: the heads' loss and share of shapes right, the answers' loss, the shares of yes/no and of other words right, and
of coordinates within 2 pixels, all on pictures not seen before.
"""
import argparse
import math
import os
import time
from pathlib import Path

import torch

from vqa_training.asking import LEVELS
from vqa_training.batches import EDGE_OF, WORDS, YES_NO, make_batch
from vqa_training.dataset import pictures
from vqa_training.export import export
from vqa_training.losses import AnswerLoss
from vqa_training.network import Tower, WarmUpHeads, build_model, pixel_values, train_in_float_attention

SIZE = 32  # pictures a step
TOWER_RATE, ANSWER_RATE = 6e-4, 1e-3
TOWER_SHARE = 0.4  # of the answers' learning rate, once the tower is warm
HEADS_SHARE = 0.1  # of the loss, once answers are learned
SAVE_EVERY, LOG_EVERY = 100, 50


class Training:
    def __init__(self, args):
        self.args = args
        self.pictures = [picture for picture in pictures("train").values() if picture.shape]
        self.model = build_model(args.seed)
        train_in_float_attention(self.model)
        self.tower, self.heads, self.answers = Tower(self.model.model.visual), WarmUpHeads(), AnswerLoss(self.model)
        visual = list(self.model.model.visual.parameters()) + list(self.heads.parameters())
        rest = [p for name, p in self.model.named_parameters() if not name.startswith("model.visual.")]
        self.parameters = visual + rest
        self.optimizer = torch.optim.AdamW([{"params": visual}, {"params": rest}], lr=0, betas=(0.9, 0.98), weight_decay=0.05)
        self.step, self.spent, self.log = 0, 0.0, {}
        self.level, self.right = 0, 0.5  # of the yes/no questions; the share answered right of late

    def rates(self):
        """(tower, decoder) at this step."""
        args = self.args
        if self.step < args.tower_steps:
            return TOWER_RATE * min(1, (self.step + 1) / 100), 0
        at = self.step - args.tower_steps
        rate = ANSWER_RATE * min(1, (at + 1) / 200) * max(0.01, 0.5 * (1 + math.cos(math.pi * at / max(1, args.steps))))
        return rate * TOWER_SHARE, rate

    def rise(self, right):
        """The next level of the yes/no questions once nine of ten are answered right."""
        self.right = 0.9 * self.right + 0.1 * right
        if self.right > 0.9 and self.level < LEVELS - 1:
            self.level, self.right = self.level + 1, 0.5
            print(f"step {self.step}: yes/no questions of level {self.level}", flush=True)

    def one(self):
        """One step; its figures go to self.log."""
        batch = make_batch(self.pictures, self.args.seed, self.step, SIZE, self.level)
        for group, rate in zip(self.optimizer.param_groups, self.rates()):
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16):
            merged = self.tower.merged(self.tower.blocks(pixel_values(batch.pixels)))
            seen, right = self.heads.loss(merged, batch.shape, batch.color, batch.mask)
            self.note("seen", seen)
            self.note("shape", right.float().mean())
            loss = seen
            if self.step >= self.args.tower_steps:
                answered, logits = self.answers(batch, merged)
                self.note_answers(batch, answered, logits)
                loss = answered + HEADS_SHARE * seen
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        self.step += 1

    def note(self, name, value):
        self.log.setdefault(name, []).append(float(value.detach()))

    def note_answers(self, batch, answered, logits):
        self.note("answers", answered)
        guess = logits.argmax(-1)
        is_edge = torch.tensor([int(id) in EDGE_OF for id in batch.targets])
        for name, ids in (("yes/no", YES_NO), ("words", WORDS - YES_NO)):
            chosen = torch.tensor([int(id) in ids for id in batch.targets])
            self.note(name, (guess[chosen] == batch.targets[chosen]).float().mean())
        self.rise(self.log["yes/no"][-1])
        wanted = [EDGE_OF[int(id)] for id in batch.targets[is_edge]]
        said = [EDGE_OF.get(int(id), 1000) for id in guess[is_edge]]
        self.note("edges", torch.tensor([float(abs(a - b) <= 2) for a, b in zip(wanted, said)]).mean())

    def save(self):
        state = {"model": self.model.state_dict(), "heads": self.heads.state_dict(), "optimizer": self.optimizer.state_dict(),
                 "step": self.step, "spent": self.spent, "level": self.level, "right": self.right}
        part = self.args.checkpoint.with_suffix(".part")
        torch.save(state, part)
        os.replace(part, self.args.checkpoint)

    def load(self):
        state = torch.load(self.args.checkpoint, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.heads.load_state_dict(state["heads"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.spent = state["step"], state["spent"]
        self.level, self.right = state["level"], state["right"]

    def run(self):
        last = self.args.tower_steps + self.args.steps if self.args.steps else 0
        begun = time.monotonic() - self.spent
        while self.step < last:
            self.one()
            self.spent = time.monotonic() - begun
            if self.step % LOG_EVERY == 0:
                figures = "  ".join(f"{name} {sum(values) / len(values):.4f}" for name, values in self.log.items())
                print(f"{self.spent / 60:5.1f} min  step {self.step}/{last}  {figures}", flush=True)
                self.log = {}
            if self.args.checkpoint and self.step % SAVE_EVERY == 0:
                self.save()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--tower-steps", type=int, default=1500)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    training = Training(args)
    if args.checkpoint and args.checkpoint.exists():
        training.load()
    training.run()
    export(training.model, args.out)


if __name__ == "__main__":
    main()
