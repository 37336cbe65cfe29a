#!/usr/bin/env python3
"""Writes tests/golden/data/text/: what transformers, tokenizers and llama.cpp make of awkward strings, dialogues and templates.

  make_text.py --gguf SmolLM2-135M-Instruct.Q4_1.gguf --llama-lib FOLDER_OF_libllama.so --llama-python FOLDER_OF_llama_cpp
               [--vocabularies FOLDER_OF_ggml-vocab-*.gguf]

Needs transformers 5, gguf, and llama.cpp as llama-cpp-python's source package carries it (its ctypes binding is used; the library
is built by its CMakeLists). The encodings are checked to be the same with both on the way, so a golden has one truth.
"""

import argparse
import datetime
import importlib
import json
import os
import random
import sys
import types
from pathlib import Path

import text_inputs

NOW = datetime.datetime(2024, 2, 9, 5, 7, 3)
OUT = Path(__file__).parent / "data" / "text"


class LlamaCpp:
    """The vocabulary of a GGUF file in llama.cpp."""

    def __init__(self, gguf, library, package):
        os.environ["LLAMA_CPP_LIB_PATH"] = library
        if "llama_cpp" not in sys.modules:
            shell = types.ModuleType("llama_cpp")  # without the package's own imports
            shell.__path__ = [package]
            sys.modules["llama_cpp"] = shell
        self.c = importlib.import_module("llama_cpp.llama_cpp")
        self.log = self.c.llama_log_callback(lambda *_: None)
        self.c.llama_log_set(self.log, None)
        self.c.llama_backend_init()
        params = self.c.llama_model_default_params()
        params.vocab_only = True
        self.model = self.c.llama_model_load_from_file(str(gguf).encode(), params)
        assert self.model, gguf
        self.vocab = self.c.llama_model_get_vocab(self.model)

    def encode(self, text, add_special=False):
        data = text.encode()
        ids = (self.c.llama_token * (len(data) + 8))()
        count = self.c.llama_tokenize(self.vocab, data, len(data), ids, len(ids), add_special, True)
        assert count >= 0
        return list(ids[:count])


def fnv(ids):
    value = 0xCBF29CE484222325
    for token in ids:
        for byte in token.to_bytes(4, "little"):
            value = (value ^ byte) * 0x100000001B3 % 2**64
    return f"{value:016x}"


def published(tokenizer):
    """SmolLM2's own tokenizer.json cuts digits apart (as the GGUF's "smollm" says); transformers' reader of GGUF leaves that out."""
    from tokenizers import pre_tokenizers
    backend = tokenizer.backend_tokenizer
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    return tokenizer


def encodings(tokenizer, llama):
    rows, differing = [], []
    for text in text_inputs.strings():
        ids = tokenizer.encode(text, add_special_tokens=False)
        if ids != llama.encode(text):
            differing.append((text, ids, llama.encode(text)))
        row = {"text": text, "ids": ids}
        plain = tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        skipped = tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        if plain != text:
            row["decoded"] = plain
        if skipped != plain:
            row["skipped"] = skipped
        rows.append(row)
    for text, times in text_inputs.LONG:
        ids = tokenizer.encode(text * times, add_special_tokens=False)
        if ids != llama.encode(text * times):
            differing.append((text, times))
        rows.append({"text": text, "times": times, "count": len(ids), "hash": fnv(ids)})
    return rows, differing


def id_runs(tokenizer, count):
    """Random ids: most of them cut characters apart."""
    rng = random.Random(5)
    vocab = tokenizer.get_vocab()
    size = len(vocab)
    # Tokens that are one byte of a longer character.
    bytes_only = [i for token, i in vocab.items() if len(token) == 1 and ord(token) > 0x7e]
    rows = []
    for i in range(count):
        pool = bytes_only if i % 3 == 0 else range(size)
        ids = [rng.choice(pool) if rng.random() < 0.9 else rng.randrange(17) for _ in range(rng.randint(1, 24))]
        rows.append({"ids": ids,
                     "decoded": tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False),
                     "skipped": tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)})
    return rows


def render(template, messages, prompt, tokens):
    from transformers.utils import chat_template_utils

    class Clock(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return NOW

    chat_template_utils.datetime = Clock
    try:
        return {"rendered": chat_template_utils.render_jinja_template([messages], chat_template=template, add_generation_prompt=prompt, **tokens)[0][0]}
    except Exception as error:  # whatever the template raises is the golden
        return {"error": type(error).__name__}


def cases(template, dialogues, tokens):
    return [{"messages": messages, "prompt": prompt, **render(template, messages, prompt, tokens)} for messages, prompt in dialogues]


def templates():
    named = {"chatml": text_inputs.CHATML, "qwen": text_inputs.QWEN, "llama3": text_inputs.LLAMA3, "strict": text_inputs.STRICT}
    named |= {f"corner {i}": source for i, source in enumerate(text_inputs.CORNERS)}
    tokens = {"bos_token": "<s>", "eos_token": "</s>"}
    seeing = {"qwen2-vl": text_inputs.QWEN2_VL, "smolvlm": text_inputs.SMOLVLM, "llava": text_inputs.LLAVA}
    return [{"name": name, "template": source, "tokens": tokens, "cases": cases(source, dialogues, tokens)}
            for group, dialogues in ((named, text_inputs.TEMPLATE_DIALOGUES), (seeing, text_inputs.VISION_DIALOGUES)) for name, source in group.items()]


def write(name, value):
    OUT.mkdir(parents=True, exist_ok=True)
    lines = []
    for key, entry in value.items():
        if isinstance(entry, list):
            rows = ",\n".join(json.dumps(row, ensure_ascii=True, separators=(",", ":")) for row in entry)
            lines.append(f"{json.dumps(key)}:[\n{rows}\n]")
        else:
            lines.append(f"{json.dumps(key)}:{json.dumps(entry)}")
    (OUT / name).write_text("{" + ",\n".join(lines) + "}\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gguf", type=Path, required=True)
    parser.add_argument("--llama-lib", required=True)
    parser.add_argument("--llama-python", required=True)
    args = parser.parse_args()
    import tokenizers
    import transformers

    tokenizer = published(transformers.AutoTokenizer.from_pretrained(args.gguf.parent, gguf_file=args.gguf.name))
    llama = LlamaCpp(args.gguf, args.llama_lib, args.llama_python)
    rows, differing = encodings(tokenizer, llama)
    for entry in differing:
        print("llama.cpp differs:", entry, file=sys.stderr)
    tokens = {key: value for key, value in tokenizer.special_tokens_map.items() if isinstance(value, str)}
    made_with = {"transformers": transformers.__version__, "tokenizers": tokenizers.__version__}
    write("smollm2.json", {"made_with": made_with, "encodings": rows, "id_runs": id_runs(tokenizer, 60),
                           "dialogues": cases(tokenizer.chat_template, text_inputs.dialogues(), tokens)})
    write("templates.json", {"made_with": made_with, "now": NOW.isoformat(), "templates": templates()})
    print(len(rows), "encodings,", len(text_inputs.dialogues()), "dialogues,", len(differing), "differ in llama.cpp")


if __name__ == "__main__":
    main()
