#!/usr/bin/env python3
"""Tiny randomly initialised models of every family, with what transformers computes for them.

usage: make_models.py [--out DIR]      default: models/ beside this script
needs: torch 2.11, transformers 5.23, safetensors

For each model a Hugging Face directory, and goldens.safetensors with
  tokens.{a,b,c}           I32, three sequences
  logits.{a,b,c}           F32 [tokens, vocab], single precision
  loss.{last,all}          F32 [1]: cross-entropy of sequence a against the model's own next tokens
  gradient.{last,all}.NAME F32, of every linear layer but the head (not for every model: size)
and rope.json: the rotary frequencies of each scaling, in both forms of config.json.
"""
import argparse
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, LlamaConfig, Qwen2Config

SIZES = dict(vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2, max_position_embeddings=128)
LLAMA3 = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=16)
YARN = dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=32)
LENGTHS = {"a": 13, "b": 5, "c": 9}


@dataclass
class Case:
    name: str
    config: object
    dtype: torch.dtype
    version: int
    gradients: bool = True
    shard: str = "5GB"


CASES = [
    Case("llama-tied-f16-v4", LlamaConfig(
        **SIZES, num_attention_heads=4, num_key_value_heads=2, tie_word_embeddings=True, rms_norm_eps=1e-5, bos_token_id=1, eos_token_id=2,
        rope_parameters={"rope_theta": 10000.0, **LLAMA3}), torch.float16, 4),
    Case("llama-untied-f32-v5", LlamaConfig(
        **SIZES, num_attention_heads=4, num_key_value_heads=1, head_dim=12, tie_word_embeddings=False, attention_bias=True, mlp_bias=True,
        hidden_act="gelu_pytorch_tanh", eos_token_id=[2, 5], rope_parameters={"rope_theta": 500.0, "rope_type": "default"}),
        torch.float32, 5, shard="32KB"),
    Case("qwen2-tied-bf16-v5", Qwen2Config(
        **SIZES, num_attention_heads=4, num_key_value_heads=2, tie_word_embeddings=True, eos_token_id=3,
        rope_parameters={"rope_theta": 1000000.0, "rope_type": "default"}), torch.bfloat16, 5),
    Case("qwen2-untied-f32-v4", Qwen2Config(
        **SIZES, num_attention_heads=2, num_key_value_heads=2, tie_word_embeddings=False, hidden_act="gelu", eos_token_id=3,
        rope_parameters={"rope_theta": 10000.0, **YARN}), torch.float32, 4, gradients=False),
]

ROPES = {
    "default": dict(rope_type="default"),
    "linear": dict(rope_type="linear", factor=3.0),
    "llama3": dict(rope_type="llama3", factor=32.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=8192),
    "yarn": dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=32768),
    "yarn-mscale": dict(rope_type="yarn", factor=40.0, original_max_position_embeddings=4096, mscale=1.0, mscale_all_dim=0.5,
                        beta_fast=16, beta_slow=2),
    "yarn-no-truncate": dict(rope_type="yarn", factor=32.0, original_max_position_embeddings=4096, truncate=False),
    "yarn-attention-factor": dict(rope_type="yarn", factor=2.0, original_max_position_embeddings=65536, attention_factor=0.75),
}


def to_version4(config):
    """config.json as transformers 4 wrote it."""
    rope = config.pop("rope_parameters")
    config["rope_theta"] = rope.pop("rope_theta")
    config["rope_scaling"] = None if rope["rope_type"] == "default" else rope
    config["torch_dtype"] = config.pop("dtype")
    config["transformers_version"] = "4.46.3"
    config.pop("layer_types", None)
    return config


@torch.no_grad()
def randomise(model, generator):
    """Weights large enough that logits differ by several units and no activation is near linear."""
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if "norm" in name:
            parameter.copy_(1 + 0.3 * noise)
        elif name.endswith("bias"):
            parameter.copy_(0.3 * noise)
        else:
            parameter.copy_(noise * (1.0 if "embed" in name else 1.5 / parameter.shape[1] ** 0.5))


def goldens(directory, tokens, gradients):
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()
    out = {}
    for name, ids in tokens.items():
        out[f"tokens.{name}"] = ids.to(torch.int32)
        out[f"logits.{name}"] = model(ids[None]).logits[0].detach().contiguous()
    one_by_one, cache = [], None
    with torch.no_grad():
        for token in tokens["a"]:
            step = model(token[None, None], past_key_values=cache, use_cache=True)
            one_by_one.append(step.logits[0, 0])
            cache = step.past_key_values
    assert (torch.stack(one_by_one) - out["logits.a"]).abs().max() < 2e-5
    for loss_kind in ("last", "all") if gradients else ():
        model.zero_grad()
        logits = model(tokens["a"][None]).logits[0]
        if loss_kind == "last":
            logits = logits[-1:]
        loss = torch.nn.functional.cross_entropy(logits, logits.detach().argmax(-1))
        loss.backward()
        out[f"loss.{loss_kind}"] = loss.detach().reshape(1)
        for name, module in model.named_modules():
            if isinstance(module, torch.nn.Linear) and name != "lm_head":
                out[f"gradient.{loss_kind}.{name}.weight"] = module.weight.grad.clone()
    return out


def write_case(case, out, generator):
    directory = out / case.name
    shutil.rmtree(directory, ignore_errors=True)
    model = AutoModelForCausalLM.from_config(case.config)
    randomise(model, generator)
    model.to(case.dtype).save_pretrained(directory, max_shard_size=case.shard)
    (directory / "generation_config.json").unlink(missing_ok=True)
    if case.version == 4:
        path = directory / "config.json"
        path.write_text(json.dumps(to_version4(json.loads(path.read_text())), indent=2) + "\n")
    tokens = {name: torch.randint(0, SIZES["vocab_size"], (length,), generator=generator) for name, length in LENGTHS.items()}
    save_file(goldens(directory, tokens, case.gradients), directory / "goldens.safetensors")


def rope_cases():
    """A config.json of each scaling in each form, with the frequencies that transformers derives from it."""
    cases = []
    for name, rope in ROPES.items():
        base = dict(architectures=["LlamaForCausalLM"], model_type="llama", vocab_size=64, hidden_size=128, intermediate_size=64,
                    num_hidden_layers=1, num_attention_heads=2, max_position_embeddings=131072)
        rope5 = {**base, "dtype": "float32", "rope_parameters": {"rope_theta": 500000.0, **rope}}
        rope4 = {**base, "torch_dtype": "float32", "rope_theta": 500000.0, "rope_scaling": None if name == "default" else rope}
        old = {**rope4, "rope_scaling": {("type" if k == "rope_type" else k): v for k, v in rope.items()}}
        for form, config in {"v5": rope5, "v4": rope4, "v4-type": old}.items():
            config = json.loads(json.dumps(config))
            model = AutoModelForCausalLM.from_config(LlamaConfig(**json.loads(json.dumps(config))))
            rotary = model.model.rotary_emb
            cases.append({"name": f"{name}-{form}", "config": config, "attention_factor": float(rotary.attention_scaling),
                          "inverse_frequencies": [float(f) for f in rotary.inv_freq]})
    return cases


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "models")
    args = parser.parse_args()
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(20261122)
    for case in CASES:
        write_case(case, args.out, generator)
    (args.out / "rope.json").write_text(json.dumps(rope_cases(), separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
