#!/usr/bin/env python3
"""Tiny randomly initialised vision-language models of every family, with what transformers computes for them.

usage: make_vlms.py [--out DIR] [NAME...]      default: all, into models/ beside this script
       make_vlms.py --trained DIR FILE         the same of a trained model's directory, without gradients, into FILE
needs: torch 2.11, transformers 5.23, safetensors

For each model a Hugging Face directory, and goldens.safetensors with, for the prompts a (one image), b (two images of
different sizes), c (none) and, where a size is a number of equal tiles, d (two images of different numbers)
  tokens.P        I32, the image token where an image row stands
  tiles.P         I32 [tiles, 3]: the tile's image, patches high, patches wide
  patches.P       F32 [rows, floats of a patch], all tiles: random, as a processor would lay them out
  positions.P     I32 [axes, tokens]; delta.P I32 [1]
  embeddings.P    F32 [image tokens, hidden]: the tower's output
  logits.P        F32 [tokens, vocab], single precision
  loss.all        F32 [1]: cross-entropy of prompt b against the model's own next tokens
  gradient.all.NAME  F32, of every matrix but the head and the token embedding, by the file's names
and positions.json: learned positions of SigLIP tiles of every size.
"""
import argparse
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText, Idefics3Config, LlavaConfig, Qwen2_5_VLConfig, Qwen2VLConfig, SmolVLMConfig

IMAGE = 30
VOCAB = 32
TEXT = dict(vocab_size=VOCAB, hidden_size=32, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1,
            max_position_embeddings=128, bos_token_id=1, eos_token_id=2)
MROPE = dict(rope_type="default", rope_theta=100.0, mrope_section=[2, 3, 3])
QWEN = dict(image_token_id=IMAGE, video_token_id=29, vision_start_token_id=27, vision_end_token_id=28)
SIGLIP = dict(hidden_size=16, intermediate_size=24, num_attention_heads=2, patch_size=2, image_size=12)


@dataclass
class Case:
    name: str
    config: object
    dtype: torch.dtype
    version: int
    images: dict            # prompt -> list of images, each a list of tiles (patches high, patches wide)
    rename: tuple = ()      # prefixes of the file's tensors, to those that other versions wrote


CASES = [
    Case("qwen2-vl-tied-f16-v4", Qwen2VLConfig(
        text_config={**TEXT, "rope_parameters": MROPE}, tie_word_embeddings=True, **QWEN,
        vision_config=dict(depth=2, embed_dim=16, hidden_size=32, num_heads=2, patch_size=2, mlp_ratio=2)), torch.float16, 4,
        {"a": [[(4, 6)]], "b": [[(2, 4)], [(6, 2)]]}),
    Case("qwen2-vl-untied-f32-v5", Qwen2VLConfig(
        text_config={**TEXT, "num_hidden_layers": 2, "rope_parameters": MROPE}, **QWEN,
        vision_config=dict(depth=1, embed_dim=8, hidden_size=32, num_heads=2, patch_size=2, mlp_ratio=3, hidden_act="gelu", in_channels=1)),
        torch.float32, 5, {"a": [[(4, 4)]], "b": [[(4, 2)], [(2, 6)]]}),
    # Windows of 2 x 2 tokens over grids that they do not divide, one block with full attention.
    Case("qwen25-vl-f16-v4", Qwen2_5_VLConfig(
        text_config={**TEXT, "rope_parameters": MROPE}, **QWEN,
        vision_config=dict(depth=3, hidden_size=16, out_hidden_size=32, num_heads=2, patch_size=2, intermediate_size=20, window_size=8,
                           fullatt_block_indexes=[1])), torch.float16, 4, {"a": [[(6, 10)]], "b": [[(8, 4)], [(2, 6)]]}),
    Case("qwen25-vl-f32-v5", Qwen2_5_VLConfig(
        text_config={**TEXT, "rope_parameters": MROPE}, **QWEN, tie_word_embeddings=True,
        vision_config=dict(depth=2, hidden_size=16, out_hidden_size=32, num_heads=1, patch_size=2, intermediate_size=16, window_size=12,
                           fullatt_block_indexes=[0])), torch.float32, 5, {"a": [[(8, 8)]], "b": [[(4, 4)], [(6, 8)]]},
        (("model.", "model.language_model."), ("visual.", "model.visual."))),
    Case("smolvlm-bf16-v4", SmolVLMConfig(
        text_config={**TEXT, "model_type": "llama", "rope_parameters": dict(rope_type="default", rope_theta=500.0)}, scale_factor=3,
        image_token_id=IMAGE, vision_config=dict(**SIGLIP, num_hidden_layers=2)), torch.bfloat16, 4,
        {"a": [[(6, 6), (6, 6), (6, 6)]], "b": [[(6, 6)], [(3, 3)]], "d": [[(6, 6), (6, 6), (6, 6)], [(6, 6)]]}),
    Case("idefics3-f32-v5", Idefics3Config(
        text_config={**TEXT, "model_type": "llama"}, scale_factor=2, image_token_id=IMAGE, tie_word_embeddings=True,
        vision_config=dict(**SIGLIP, num_hidden_layers=1)), torch.float32, 5,
        {"a": [[(6, 6), (6, 6)]], "b": [[(4, 4)], [(6, 6)]], "d": [[(6, 6)], [(6, 6), (6, 6), (6, 6)]]}),
    Case("llava-f16-v4", LlavaConfig(
        text_config={**TEXT, "model_type": "llama"}, image_token_index=IMAGE,
        vision_config=dict(model_type="clip_vision_model", hidden_size=16, intermediate_size=24, num_attention_heads=2, patch_size=2,
                           image_size=8, num_hidden_layers=3)), torch.float16, 4, {"a": [[(4, 4)]], "b": [[(4, 4)], [(4, 4)]]},
        (("vision_tower.", "vision_tower.vision_model."),)),
    Case("llava-qwen2-f32-v5", LlavaConfig(
        text_config={**TEXT, "model_type": "qwen2"}, image_token_index=IMAGE, vision_feature_layer=-1, multimodal_projector_bias=False,
        projector_hidden_act="gelu_pytorch_tanh", tie_word_embeddings=True,
        vision_config=dict(model_type="clip_vision_model", hidden_size=16, intermediate_size=16, num_attention_heads=1, patch_size=2,
                           image_size=6, num_hidden_layers=1, hidden_act="relu")), torch.float32, 5,
        {"a": [[(3, 3)]], "b": [[(3, 3)], [(3, 3)]]},
        (("language_model.lm_head", "lm_head"), ("language_model.model.", "model.language_model."), ("vision_tower.", "model.vision_tower."),
         ("multi_modal_projector.", "model.multi_modal_projector."))),
]


def rope_to_version4(config):
    rope = config.pop("rope_parameters")
    config["rope_theta"] = rope.pop("rope_theta")
    if "mrope_section" in rope:
        config["rope_scaling"] = {"type": "mrope", "mrope_section": rope["mrope_section"]}
    config.pop("layer_types", None)
    config.pop("dtype", None)


def to_version4(config):
    """config.json as transformers 4 wrote it: Qwen's text fields flat, the others' nested."""
    rope_to_version4(config["text_config"])
    vision = config["vision_config"]
    vision.pop("rope_parameters", None)
    if "in_channels" in vision:
        vision["in_chans"] = vision.pop("in_channels")
    if config["model_type"].startswith("qwen"):
        text = config.pop("text_config")
        text.pop("model_type")
        config.update(text)
    config["torch_dtype"] = config.pop("dtype")
    config["transformers_version"] = "4.46.3"
    return config


@torch.no_grad()
def randomise(model, generator):
    """Weights large enough that no activation is near linear and every part is felt in the logits."""
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if parameter.dim() == 1:
            parameter.copy_(1 + 0.3 * noise if name.endswith("weight") else 0.3 * noise)
        elif "embed_tokens" in name:
            parameter.copy_(0.4 * noise)  # a tied head's logits stay near those of the others
        elif "position_embedding" in name:
            parameter.copy_(noise)
        else:
            parameter.copy_(noise * 1.5 / parameter[0].numel() ** 0.5)


def patch_floats(config):
    vision = config.vision_config
    channels = getattr(vision, "in_channels", None) or vision.num_channels
    return channels * getattr(vision, "temporal_patch_size", 1) * vision.patch_size**2


def pixels(patches, high, wide, config):
    """The tile that row-major patches [high * wide, channel * y * x] cut up: [channels, height, width]."""
    side = config.vision_config.patch_size
    grid = patches.reshape(high, wide, -1, side, side)
    return grid.permute(2, 0, 3, 1, 4).reshape(-1, high * side, wide * side)


def encode(model, patches, tiles):
    """The tower's output for the tiles of one image."""
    if model.config.model_type.startswith("qwen"):
        grid = torch.tensor([[1, *tile] for tile in tiles])
        return torch.cat(list(model.model.get_image_features(patches, grid, return_dict=True).pooler_output))
    sizes = [high * wide for high, wide in tiles]
    images = torch.stack([pixels(part, *tile, model.config) for part, tile in zip(patches.split(sizes), tiles)])
    if model.config.model_type == "llava":
        return torch.cat(list(model.model.get_image_features(images, return_dict=True).pooler_output))
    return torch.cat(list(model.model.get_image_features(images[None], return_dict=True).pooler_output))


def image_tokens(config, tiles):
    merge = getattr(config.vision_config, "spatial_merge_size", getattr(config, "scale_factor", 1))
    return sum(high * wide for high, wide in tiles) // merge**2


def prompt(config, images, generator):
    """Text before, between and after the images."""
    def text(count):
        return torch.randint(3, 26, (count,), generator=generator)
    parts = [text(2)]
    for tiles in images:
        parts += [torch.tensor([27]), torch.full((image_tokens(config, tiles),), config.image_token_id), torch.tensor([28]), text(3)]
    return torch.cat(parts)


def positions(model, tokens, images):
    if not model.config.model_type.startswith("qwen"):
        return torch.arange(len(tokens))[None], torch.zeros(1)
    if not images:
        return torch.arange(len(tokens)).expand(3, -1), torch.zeros(1)
    grid = torch.tensor([[1, *tile] for tiles in images for tile in tiles])
    ids, delta = model.model.get_rope_index(tokens[None], (tokens == model.config.image_token_id).int()[None], image_grid_thw=grid)
    return ids[:, 0], delta[0]


def forward(model, tokens, patches, images):
    """Logits with the images encoded one by one, checked against a call with all images where the shapes allow one."""
    embeds = model.get_input_embeddings()(tokens)
    ids, delta = positions(model, tokens, images)
    features = None
    if images:
        sizes = [sum(high * wide for high, wide in tiles) for tiles in images]
        features = torch.cat([encode(model, part, tiles) for part, tiles in zip(patches.split(sizes), images)])
        embeds = embeds.masked_scatter((tokens == model.config.image_token_id)[:, None], features)
    at = ids[:, None] if len(ids) == 3 else ids
    logits = model(inputs_embeds=embeds[None], position_ids=at).logits[0]
    check_whole_call(model, tokens, patches, images, logits)
    return logits, features, ids, delta


@torch.no_grad()
def check_whole_call(model, tokens, patches, images, logits):
    flat = [tile for tiles in images for tile in tiles]
    inputs = {}
    if images and model.config.model_type.startswith("qwen"):
        inputs = dict(pixel_values=patches, image_grid_thw=torch.tensor([[1, *tile] for tile in flat]),
                      mm_token_type_ids=(tokens == model.config.image_token_id).int()[None])
    elif images:
        if len(set(flat)) > 1:
            return
        stack = torch.stack([pixels(part, *flat[0], model.config) for part in patches.split(flat[0][0] * flat[0][1])])
        inputs = dict(pixel_values=stack if model.config.model_type == "llava" else stack[None])
    whole = model(input_ids=tokens[None], **inputs).logits[0]
    assert (whole - logits).abs().max() < 2e-5, model.config.model_type


def file_names(model, stored):
    """Parameters by the names of the file, found by their values: versions of transformers rename them."""
    names = {}
    for name, parameter in model.named_parameters():
        same = [key for key, value in stored.items() if value.shape == parameter.shape and torch.equal(value.float(), parameter.detach())]
        assert len(same) <= 1, (name, same)
        if same:
            names[same[0]] = parameter
    return names


def goldens(directory, case_images, generator, gradients=True):
    model = AutoModelForImageTextToText.from_pretrained(directory, dtype=torch.float32).eval()
    parameters = file_names(model, load_file(directory / "model.safetensors"))
    out = {}
    for name in sorted({"a", "b", "c", *case_images}):
        images = case_images.get(name, [])
        tokens = prompt(model.config, images, generator)
        rows = sum(high * wide for tiles in images for high, wide in tiles)
        patches = torch.randn((rows, patch_floats(model.config)), generator=generator)
        model.zero_grad()
        logits, features, ids, delta = forward(model, tokens, patches, images)
        out[f"tokens.{name}"] = tokens.to(torch.int32)
        out[f"positions.{name}"] = ids.to(torch.int32).contiguous()
        out[f"delta.{name}"] = delta.to(torch.int32)
        out[f"logits.{name}"] = logits.detach().contiguous()
        if images:
            out[f"tiles.{name}"] = torch.tensor([(i, *tile) for i, tiles in enumerate(images) for tile in tiles], dtype=torch.int32)
            out[f"patches.{name}"] = patches
            out[f"embeddings.{name}"] = features.detach().contiguous()
        if name != "b" or not gradients:
            continue
        loss = torch.nn.functional.cross_entropy(logits, logits.detach().argmax(-1))
        loss.backward()
        out["loss.all"] = loss.detach().reshape(1)
        for key, parameter in parameters.items():
            if parameter.dim() > 1 and parameter.grad is not None and "embed_tokens" not in key and "lm_head" not in key:
                out[f"gradient.all.{key}"] = parameter.grad.reshape(parameter.shape[0], -1).clone()
    return out


def rename(path, prefixes):
    """Each tensor's first prefix that matches becomes the other."""
    tensors = {}
    for key, value in load_file(path).items():
        old, new = next(((old, new) for old, new in prefixes if key.startswith(old)), ("", ""))
        tensors[new + key[len(old):]] = value
    save_file(tensors, path, metadata={"format": "pt"})


def write_case(case, out, generator):
    directory = out / case.name
    shutil.rmtree(directory, ignore_errors=True)
    model = AutoModelForImageTextToText.from_config(case.config)
    randomise(model, generator)
    model.to(case.dtype).save_pretrained(directory)
    (directory / "generation_config.json").unlink(missing_ok=True)
    rename(directory / "model.safetensors", case.rename)
    if case.version == 4:
        path = directory / "config.json"
        path.write_text(json.dumps(to_version4(json.loads(path.read_text())), indent=2) + "\n")
    save_file(goldens(directory, case.images, generator), directory / "goldens.safetensors")


def learned_positions():
    """Position of each patch along one side, for every number of patches up to the learned ones: [[side, count, positions]]."""
    from transformers.models.idefics3.modeling_idefics3 import Idefics3VisionEmbeddings
    out = []
    for side in (1, 3, 14, 16, 24, 26, 27, 32):
        config = SmolVLMConfig(vision_config=dict(hidden_size=1, num_attention_heads=1, patch_size=1, image_size=side)).vision_config
        embeddings = Idefics3VisionEmbeddings(config)
        for count in range(1, side + 1):
            embeddings.patch_embedding.weight.data.zero_()
            embeddings.patch_embedding.bias.data.zero_()
            embeddings.position_embedding.weight.data.copy_(torch.arange(side * side, dtype=torch.float32)[:, None])
            with torch.no_grad():
                rows = embeddings(torch.zeros(1, 3, count, count), torch.ones(1, count, count, dtype=torch.bool))[0, :, 0]
            out.append([side, count, [int(i) for i in rows[:count]]])
    return out


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "models")
    parser.add_argument("--trained", type=Path, nargs=2)
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.trained:
        directory, file = args.trained
        images = {"a": [[(4, 4)]], "b": [[(2, 4)], [(4, 2)]]}
        save_file(goldens(directory, images, torch.Generator().manual_seed(20261122), gradients=False), file)
        return
    for index, case in enumerate(CASES):
        if args.names and case.name not in args.names:
            continue
        write_case(case, args.out, torch.Generator().manual_seed(20261122 + index))
    (args.out / "positions.json").write_text(json.dumps(learned_positions(), separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
