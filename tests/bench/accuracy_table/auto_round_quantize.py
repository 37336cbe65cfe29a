#!/usr/bin/env python3
"""Quantizes a model with AutoRound (PyPI `auto-round`) as it comes, on the samples of our calibrated methods.

usage: auto_round_quantize.py MODEL_DIR CALIBRATION.txt OUT_DIR --bits 3 --group 64 --samples 40
needs: auto-round==0.16.1 torch==2.11.0 transformers==5.23.0 accelerate==1.15.0 datasets==5.2.0 numpy==2.4.6

All settings are AutoRound's own (200 steps of 8 samples a block, symmetric codes), but the data, the samples' length and the group size.
OUT_DIR gets AutoRound's packed model. accuracy.py starts this in a process of its own and reads time and memory from outside.
"""
import argparse
from pathlib import Path

import samples


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("text", type=Path)
    parser.add_argument("out")
    parser.add_argument("--bits", type=int, required=True)
    parser.add_argument("--group", type=int, required=True)
    parser.add_argument("--samples", type=int, required=True)
    args = parser.parse_args()

    import torch
    from auto_round import AutoRound
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.set_num_threads(2)
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    model = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32)
    ids = samples.token_samples(tokenizer, args.text.read_text(), args.samples)
    tuner = AutoRound(model, tokenizer=tokenizer, scheme=f"W{args.bits}A16", group_size=args.group, device_map="cpu",
                      dataset=[torch.tensor([sample]) for sample in ids], nsamples=len(ids), seqlen=samples.SAMPLE_TOKENS)
    tuner.quantize_and_save(args.out, format="auto_round")


if __name__ == "__main__":
    main()
