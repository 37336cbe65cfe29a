"""Writes the model as a Hugging Face directory: weights in FP16, config, tokenizer, chat template, processor, generation settings."""
import copy

import torch
from transformers import GenerationConfig
from transformers.models.qwen2_vl import Qwen2VLImageProcessor

from .dataset import SIDE
from .network import DEVIATION, MEAN, MERGE, PATCH
from .text import save_text_files


def export(model, folder):
    folder.mkdir(parents=True, exist_ok=True)
    config = model.config.text_config
    half = copy.deepcopy(model).to(torch.float16)
    half.generation_config = GenerationConfig(eos_token_id=config.eos_token_id, pad_token_id=config.pad_token_id, do_sample=False,
                                              max_new_tokens=32)
    half.save_pretrained(folder)
    # Every picture is brought to the 4,096 pixels that the model was trained on, its aspect ratio kept to multiples of 16.
    Qwen2VLImageProcessor(patch_size=PATCH, merge_size=MERGE, temporal_patch_size=2, min_pixels=SIDE * SIDE, max_pixels=SIDE * SIDE,
                          image_mean=list(MEAN), image_std=list(DEVIATION)).save_pretrained(folder)
    save_text_files(folder)
