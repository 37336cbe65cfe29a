#!/usr/bin/env python3
"""Perplexity of a Hugging Face directory on the three texts, and how far it is from full precision on eval.txt; by transformers alone.

usage: measure.py MODEL_DIR REFERENCE_MODEL_DIR --reference REFERENCE_DIR [--code DIR]
needs: torch==2.11.0 transformers==5.23.0 safetensors==0.8.0

Prints one JSON object: eval, code, chat (perplexity as reference_ppl.py computes it), mean_kl (nats, of full precision to the model) and
same_top1 (share of the positions).
"""
import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import texts


class Compared:
    """A model that is called as itself, and adds up how far each window's logits are from those of full precision."""

    def __init__(self, model, full):
        self.model, self.full = model, full
        self.total = self.same = self.count = 0

    def __call__(self, window):
        import torch
        out = self.model(window)
        # The last position predicts what is outside of the window; perplexity leaves it out too.
        p = self.full(window).logits[0, :-1].float().log_softmax(-1)
        q = out.logits[0, :-1].float().log_softmax(-1)
        self.total += torch.nn.functional.kl_div(q, p, log_target=True, reduction="sum").item()
        self.same += int((p.argmax(-1) == q.argmax(-1)).sum())
        self.count += len(p)
        return out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("full", type=Path)
    parser.add_argument("--reference", type=Path, required=True, help="folder of reference_ppl.py and wikitext-2/")
    parser.add_argument("--code", type=Path, default=Path("/usr/lib/python3.11"))
    args = parser.parse_args()

    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    sys.path.insert(0, str(args.reference))
    from reference_ppl import perplexity

    torch.set_num_threads(2)
    # The tokenizer of full precision for all: what is measured is the weights.
    tokenizer = AutoTokenizer.from_pretrained(args.full)
    model = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32).eval()
    full = AutoModelForCausalLM.from_pretrained(args.full, dtype=torch.float32).eval()
    out, compared = {}, Compared(model, full)
    for text in texts.load(args.reference / "wikitext-2", args.code, tokenizer):
        subject = compared if text.name == "eval" else model
        out[text.name] = perplexity(subject, tokenizer, text.text, text.windows, texts.LENGTH)
    out["mean_kl"], out["same_top1"] = compared.total / compared.count, compared.same / compared.count
    print(json.dumps(out))


if __name__ == "__main__":
    main()
