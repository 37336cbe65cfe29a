#!/usr/bin/env python3
"""Trains a small Qwen2 language model of 3.5 million parameters from random weights: the benchmarks' model of another family than Llama.

usage: train_qwen2_text.py OUT_DIR --text calibration.txt [--code DIR] [--steps 800] [--seed 1] [--threads 2]
needs: torch 2.11, transformers 5.23, tokenizers 0.23

Half of the windows are of the text (WikiText-2's validation split, as the accuracy benchmark calibrates with), half of Python's standard
library but for shutil.py and zipfile.py, which the benchmark measures on. About 1.3 core-seconds a step. OUT_DIR gets a Hugging Face
directory in FP16 with a tokenizer of 2,048 tokens, learned from the same texts, and Qwen2's chat template. Every 50 steps a line: the loss.
"""
import argparse
import math
import time
from pathlib import Path

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

VOCABULARY, LENGTH, WINDOWS, RATE = 2048, 1024, 4, 3e-3
HELD_OUT = ("shutil.py", "zipfile.py")
SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
# How Qwen2 cuts text into pieces.
PIECES = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
CHAT = ("{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}")


def read_texts(args):
    code = [path.read_text(encoding="utf-8") for path in sorted(args.code.glob("*.py")) if path.name not in HELD_OUT]
    return args.text.read_text(encoding="utf-8"), "\n".join(code)


def learn_tokenizer(texts):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(PIECES), behavior="isolated"),
                                                       pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False,
                                  special_tokens=[AddedToken(token, special=True, normalized=False) for token in SPECIALS])
    # As much of either, so that neither decides the vocabulary.
    size = min(len(text) for text in texts)
    tokenizer.train_from_iterator([text[:size] for text in texts], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>", chat_template=CHAT,
                                   model_max_length=LENGTH, clean_up_tokenization_spaces=False)


def build_model(seed):
    torch.manual_seed(seed)
    return Qwen2ForCausalLM(Qwen2Config(
        vocab_size=VOCABULARY, hidden_size=256, intermediate_size=704, num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=2,
        max_position_embeddings=LENGTH, rms_norm_eps=1e-6, tie_word_embeddings=True, bos_token_id=0, eos_token_id=2, pad_token_id=0,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0}))


def batch(streams, random):
    """WINDOWS windows, in turn of each stream."""
    windows = []
    for i in range(WINDOWS):
        ids = streams[i % len(streams)]
        begin = int(torch.randint(len(ids) - LENGTH, (1,), generator=random))
        windows.append(ids[begin:begin + LENGTH])
    return torch.stack(windows)


def rate(step, steps):
    return RATE * min(1, (step + 1) / 50) * max(0.02, 0.5 * (1 + math.cos(math.pi * step / steps)))


def train(model, streams, args):
    random = torch.Generator().manual_seed(args.seed)
    optimizer = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.95), weight_decay=0.1)
    begun, losses = time.monotonic(), []
    for step in range(args.steps):
        for group in optimizer.param_groups:
            group["lr"] = rate(step, args.steps)
        windows = batch(streams, random)
        loss = model(windows, labels=windows).loss
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
        if len(losses) == 50:
            print(f"{(time.monotonic() - begun) / 60:5.1f} min  step {step + 1}/{args.steps}  loss {sum(losses) / 50:.4f}", flush=True)
            losses = []


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--text", type=Path, required=True)
    parser.add_argument("--code", type=Path, default=Path("/usr/lib/python3.11"), help="folder whose *.py are read")
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    texts = read_texts(args)
    tokenizer = learn_tokenizer(texts)
    streams = [torch.tensor(tokenizer(text, add_special_tokens=False).input_ids) for text in texts]
    print(" and ".join(str(len(ids)) for ids in streams), "tokens", flush=True)
    model = build_model(args.seed)
    print(sum(parameter.numel() for parameter in model.parameters()), "parameters", flush=True)
    train(model, streams, args)
    model.to(torch.float16).save_pretrained(args.out)
    tokenizer.save_pretrained(args.out)


if __name__ == "__main__":
    main()
