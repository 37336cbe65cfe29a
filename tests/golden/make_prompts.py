#!/usr/bin/env python3
"""Writes tests/golden/data/prompts.json: conversations about images as the processors of transformers turn them into token ids.

usage: make_prompts.py
needs: transformers 5.23, tokenizers, pillow, numpy (SmolVLM's own processor would need num2words; it differs from Idefics3's in videos)

Each family has a byte-level tokenizer with its own special tokens, its own chat template and processor; LLaVA's tokenizer puts a BOS in
front, which its template does not write. Pictures are of one colour: only their sizes matter here.
"""
import json
import sys
from pathlib import Path

import tokenizers
import transformers
from PIL import Image
from transformers import (CLIPImageProcessorPil, Idefics3ImageProcessorPil, Idefics3Processor, LlavaProcessor, PreTrainedTokenizerFast,
                          Qwen2_5_VLProcessor, Qwen2VLImageProcessorPil, Qwen2VLProcessor, Qwen2VLVideoProcessor)

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import text_inputs  # noqa: E402
import tiny_model  # noqa: E402

HERE = Path(__file__).resolve().parent
QWEN = ["<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>", "<|vision_pad|>"]
IDEFICS = ["<|im_start|>", "<end_of_utterance>", "<fake_token_around_image>", "<image>", "<global-img>",
           *(f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7))]
LLAVA = ["<s>", "</s>", "<image>"]
SIZES = [[(40, 30)], [(30, 52), (64, 16)], [(17, 90), (16, 16)]]


def tokenizer_json(special, bos=None):
    tokenizer = tiny_model.tokenizer_json()
    vocab = {text: i for i, text in enumerate(special)}
    for byte, character in tiny_model.byte_characters().items():
        vocab[character] = len(special) + byte
    tokenizer["model"]["vocab"] = vocab
    tokenizer["added_tokens"] = [{"id": i, "content": text, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
                                  "special": True} for i, text in enumerate(special)]
    if bos:
        tokenizer["post_processor"] = {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": bos, "type_id": 0}},
                                                                                {"Sequence": {"id": "A", "type_id": 0}}],
                                       "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
                                       "special_tokens": {bos: {"id": bos, "ids": [special.index(bos)], "tokens": [bos]}}}
    return tokenizer


def config(model, special, image_token, **changes):
    """A tiny model's config.json with the tokenizer's vocabulary."""
    value = json.loads((HERE / "models" / model / "config.json").read_text())
    value["text_config"]["vocab_size"] = len(special) + 256
    value["image_token_id"] = special.index(image_token)
    value.pop("image_token_index", None)
    value["vision_config"] |= changes
    return value


def fast(tokenizer, **tokens):
    return PreTrainedTokenizerFast(tokenizer_object=tokenizers.Tokenizer.from_str(json.dumps(tokenizer)), **tokens)


def families():
    """(name, config, preprocessor_config, tokenizer.json, tokens, template, processor)."""
    settings = {"patch_size": 2, "merge_size": 2, "temporal_patch_size": 2, "size": {"shortest_edge": 64, "longest_edge": 576}}
    tokens, made = {"eos_token": "<|im_end|>"}, tokenizer_json(QWEN)
    for name, model, processor in (("qwen2-vl", "qwen2-vl-untied-f32-v5", Qwen2VLProcessor), ("qwen2.5-vl", "qwen25-vl-f32-v5", Qwen2_5_VLProcessor)):
        yield (name, config(model, QWEN, "<|image_pad|>", in_channels=3), "Qwen2VLImageProcessor", settings, made, tokens, text_inputs.QWEN2_VL,
               processor(Qwen2VLImageProcessorPil(**settings), fast(made, **tokens), Qwen2VLVideoProcessor()))
    settings = {"size": {"longest_edge": 36}, "max_image_size": {"longest_edge": 12}}
    tokens, made = {"bos_token": "<|im_start|>", "eos_token": "<end_of_utterance>"}, tokenizer_json(IDEFICS)
    yield ("idefics3", config("idefics3-f32-v5", IDEFICS, "<image>"), "Idefics3ImageProcessor", settings, made, tokens, text_inputs.SMOLVLM,
           Idefics3Processor(Idefics3ImageProcessorPil(**settings), fast(made, **tokens), image_seq_len=9))
    settings = {"size": {"shortest_edge": 8}, "crop_size": {"height": 8, "width": 8}}
    tokens, made = {"bos_token": "<s>", "eos_token": "</s>"}, tokenizer_json(LLAVA, "<s>")
    yield ("llava", config("llava-f16-v4", LLAVA, "<image>"), "CLIPImageProcessor", settings, made, tokens, text_inputs.LLAVA,
           LlavaProcessor(CLIPImageProcessorPil(**settings), fast(made, **tokens), patch_size=2, vision_feature_select_strategy="default",
                          num_additional_image_tokens=1))


def cases(processor, template):
    for messages, prompt in text_inputs.VISION_DIALOGUES:
        for sizes in SIZES:
            count = sum(part["type"] == "image" for message in messages for part in message["content"])
            used = [sizes[i % len(sizes)] for i in range(count)]
            pictures = iter([Image.new("RGB", size, (40, 90, 200)) for size in used])
            shown = [{"role": message["role"], "content": [part | {"image": next(pictures)} if part["type"] == "image" else part
                                                           for part in message["content"]]} for message in messages]
            out = processor.apply_chat_template(shown, chat_template=template, add_generation_prompt=prompt, tokenize=True, return_dict=True)
            ids = out["input_ids"]
            yield {"messages": messages, "prompt": prompt, "sizes": used, "ids": [int(i) for i in (ids[0] if isinstance(ids[0], list) else ids)]}


def main():
    made = []
    for name, model, kind, settings, tokenizer, tokens, template, processor in families():
        made.append({"name": name, "config": model, "preprocessor_config": {"image_processor_type": kind, **settings}, "tokenizer": tokenizer,
                     "tokenizer_config": tokens | {"chat_template": template}, "cases": list(cases(processor, template))})
        print(name, [len(case["ids"]) for case in made[-1]["cases"]])
    lines = ",\n".join(json.dumps(entry, separators=(",", ":")) for entry in made)
    (HERE / "data/prompts.json").write_text('{"made_with":"transformers %s","families":[\n%s\n]}\n' % (transformers.__version__, lines))


if __name__ == "__main__":
    main()
