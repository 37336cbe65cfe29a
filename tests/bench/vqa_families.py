#!/usr/bin/env python3
"""Every vision-language family through gwq-jobs and gwq-infer against transformers (fp32): greedy tokens and their log-probabilities.

usage: vqa_families.py [--tokens N]
needs: torch, transformers 5.23, pillow, grpcio, grpcio-tools; GWQ_BIN_DIR and GWQ_DEPS as the tests have them

The models are tiny and random, with the tokenizers and processors of tests/golden/make_prompts.py, and saved by transformers. Asked are
dialogues with text before, between and after one image, two of different sizes, one that is split, and none.
"""
import argparse
import io
import sys
import tempfile
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / "support"), str(TESTS / "golden")]
import services  # noqa: E402

STUBS = tempfile.TemporaryDirectory(prefix="gwq-stubs-")
services.generate_stubs(STUBS.name)
sys.path.insert(0, STUBS.name)

import grpc  # noqa: E402
import make_prompts  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
from gwq.v1 import inference_pb2, inference_pb2_grpc  # noqa: E402
from PIL import Image  # noqa: E402

SIZES = [[(40, 30)], [(30, 52), (64, 16)], [(17, 90)], []]
SPREAD = 0.12  # of the random weights: large enough that answers depend on the images


def save(folder, config, template, processor):
    """A random model with its processor, as save_pretrained writes them."""
    config["text_config"]["max_position_embeddings"] = 1024
    fields = {key: value for key, value in config.items() if key not in ("model_type", "architectures")}
    torch.manual_seed(1)
    model = getattr(transformers, config["architectures"][0])(transformers.AutoConfig.for_model(config["model_type"], **fields)).eval().float()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0, SPREAD)
    model.save_pretrained(folder)
    processor.chat_template = template
    processor.save_pretrained(folder)
    return model


def pieces(pictures):
    """The parts of the one message, images as they are."""
    return ["see ", *(part for picture in pictures for part in (picture, " then ")), "what?"]


def reference(model, processor, pictures, tokens):
    content = [{"type": "text", "text": part} if isinstance(part, str) else {"type": "image", "image": part} for part in pieces(pictures)]
    inputs = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True, tokenize=True, return_dict=True,
                                           return_tensors="pt")
    with torch.no_grad():
        out = model.generate(**inputs, max_new_tokens=tokens, min_new_tokens=tokens, do_sample=False, output_logits=True, return_dict_in_generate=True)
    prompt = inputs["input_ids"].shape[1]
    return prompt, out.sequences[0, prompt:].tolist(), [torch.log_softmax(logits[0].double(), -1) for logits in out.logits]


def ask(stub, name, pictures, tokens):
    request = inference_pb2.VqaRequest(model=name, max_tokens=tokens, ignore_eos=True)
    message = request.dialogue.messages.add(role="user")
    for part in pieces(pictures):
        if isinstance(part, str):
            message.parts.add(text=part)
            continue
        file = io.BytesIO()
        part.save(file, "png")
        message.parts.add(image=len(request.images))
        request.images.add(data=file.getvalue())
    return stub.VqaOnce(request, timeout=60)


def compare(stub, name, model, processor, tokens):
    random = np.random.default_rng(1)
    same, worst = 0, 0.0
    for sizes in SIZES:
        pictures = [Image.fromarray(random.integers(0, 255, (height, width, 3), dtype=np.uint8)) for width, height in sizes]
        prompt, ids, expected = reference(model, processor, pictures, tokens)
        answer = ask(stub, name, pictures, tokens)
        if answer.usage.prompt_tokens != prompt:
            raise SystemExit(f"{name}: a prompt of {answer.usage.prompt_tokens} tokens, transformers has {prompt}")
        same += list(answer.token_ids) == ids
        for row, token, wanted, got in zip(expected, answer.token_ids, ids, answer.result.free_text.token_log_probabilities):
            worst = max(worst, abs(row[token].item() - got))
            if token != wanted:
                break
    print(f"{name:<11} same tokens in {same} of {len(SIZES)} dialogues, log-probabilities within {worst:.1e}", flush=True)
    return same == len(SIZES)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=12)
    tokens = parser.parse_args().tokens
    torch.set_num_threads(1)
    with services.Services() as running:
        stub = inference_pb2_grpc.InferenceServiceStub(grpc.insecure_channel(running.infer.address))
        equal = True
        for name, config, _, _, _, _, template, processor in make_prompts.families():
            folder = running.folder / name
            model = save(folder, config, template, processor)
            running.gwq("models", "push", folder, "--name", name)
            running.gwq("serve", "load", name)
            equal &= compare(stub, name, model, processor, tokens)
    return 0 if equal else 1


if __name__ == "__main__":
    sys.exit(main())
