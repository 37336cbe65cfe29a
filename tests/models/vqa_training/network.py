"""The network: Qwen2VLForConditionalGeneration of 3 million parameters, and a forward pass for many equal pictures at once.

transformers runs the tower's attention picture by picture; for training all pictures have 64 patches, so `encode` runs them as one
batch over the same modules. tests/bench/easy_vqa_reference.py measures with transformers' own pass.
"""
import torch
from torch import nn
from torch.nn import functional
from transformers import AttentionInterface, Qwen2VLConfig, Qwen2VLForConditionalGeneration

from .dataset import COLORS, SHAPES, SIDE
from .text import VOCABULARY, build_tokenizer

PATCH, MERGE = 8, 2
GRID = SIDE // PATCH
IMAGE_TOKENS = (GRID // MERGE) ** 2
MEAN = (0.48145466, 0.4578275, 0.40821073)
DEVIATION = (0.26862954, 0.26130258, 0.27577711)


def build_config():
    id_of = build_tokenizer().token_to_id
    return Qwen2VLConfig(
        text_config={
            "vocab_size": VOCABULARY, "hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 3, "num_attention_heads": 8,
            "num_key_value_heads": 4, "max_position_embeddings": 1024, "rms_norm_eps": 1e-6, "max_window_layers": 3,
            # A picture is only 4 columns wide in the decoder. With a base of 10,000 the rotations by column hardly differ, and
            # nothing learns to say where; with 3 one column turns by 0.4 to 0.5 radian.
            "rope_parameters": {"rope_type": "default", "rope_theta": 3.0, "mrope_section": [4, 6, 6]},
            "bos_token_id": None, "eos_token_id": id_of("<|im_end|>"), "pad_token_id": id_of("<|endoftext|>"),
            "tie_word_embeddings": True,
        },
        vision_config={
            "depth": 3, "embed_dim": 128, "hidden_size": 256, "num_heads": 4, "mlp_ratio": 4, "patch_size": PATCH,
            "spatial_merge_size": MERGE, "temporal_patch_size": 2,
        },
        image_token_id=id_of("<|image_pad|>"), video_token_id=id_of("<|video_pad|>"),
        vision_start_token_id=id_of("<|vision_start|>"), vision_end_token_id=id_of("<|vision_end|>"), tie_word_embeddings=True)


def build_model(seed):
    torch.manual_seed(seed)
    return Qwen2VLForConditionalGeneration(build_config())


def windows(rows):
    """[n, 64, 64, c] of pixels -> [n, 64 patches, c, 8, 8] in the tower's order: the four patches of a merged token side by side."""
    n, _, _, c = rows.shape
    merged = GRID // MERGE
    cut = rows.permute(0, 3, 1, 2).reshape(n, c, merged, MERGE, PATCH, merged, MERGE, PATCH)
    return cut.permute(0, 2, 5, 3, 6, 1, 4, 7).reshape(n, GRID * GRID, c, PATCH, PATCH)


def pixel_values(pixels):
    """uint8 [n, 64, 64, 3] -> what Qwen2VLImageProcessor gives for one of its two equal frames, [n, 64, 192]."""
    normal = (pixels.float() / 255 - torch.tensor(MEAN)) / torch.tensor(DEVIATION)
    return windows(normal).flatten(2)


def _positions():
    ys, xs = torch.meshgrid(torch.arange(GRID), torch.arange(GRID), indexing="ij")
    return windows(torch.stack([ys, xs], -1).repeat_interleave(PATCH, 0).repeat_interleave(PATCH, 1)[None])[0, :, :, 0, 0]


def _rotate(x, cos, sin):
    left, right = x.chunk(2, -1)
    return x * cos + torch.cat((-right, left), -1) * sin


def float_attention(q, k, v, **options):
    """Attention in fp32 whatever the autocast: the backward pass in bf16 is five times slower on a CPU."""
    with torch.autocast("cpu", enabled=False):
        return functional.scaled_dot_product_attention(q.float(), k.float(), v.float(), **options)


def _decoder_attention(module, q, k, v, attention_mask, scaling=None, **_):
    return float_attention(q, k, v, attn_mask=attention_mask, scale=scaling, enable_gqa=True).transpose(1, 2).contiguous(), None


def train_in_float_attention(model):
    AttentionInterface.register("float_attention", _decoder_attention)
    model.model.language_model.config._attn_implementation = "float_attention"


class Tower(nn.Module):
    """The model's own vision tower over pictures of 64 x 64: `blocks` -> [n, 64, 128], `merged` -> [n, 16, 256]."""

    def __init__(self, visual):
        super().__init__()
        self.visual = visual
        cos, sin = visual.rotary_pos_emb(torch.zeros(1), _positions())
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)

    def _attend(self, attention, x):
        n, rows, width = x.shape
        q, k, v = attention.qkv(x).view(n, rows, 3, attention.num_heads, -1).permute(2, 0, 3, 1, 4)
        q, k = (_rotate(t.float(), self.cos, self.sin) for t in (q, k))
        return attention.proj(float_attention(q, k, v).transpose(1, 2).reshape(n, rows, width))

    def blocks(self, values):
        # The two frames of a still picture are equal: one product with the sum of their weights.
        x = functional.linear(values, self.visual.patch_embed.proj.weight.sum(2).flatten(1))
        for block in self.visual.blocks:
            x = x + self._attend(block.attn, block.norm1(x))
            x = x + block.mlp(block.norm2(x))
        return x

    def merged(self, x):
        return self.visual.merger(x).view(x.shape[0], IMAGE_TOKENS, -1)


class WarmUpHeads(nn.Module):
    """What the tower learns first, by itself: shape and color of the picture, and which pixels the shape covers. Thrown away afterwards."""

    def __init__(self, width=256):
        super().__init__()
        self.shape, self.color = nn.Linear(width, len(SHAPES)), nn.Linear(width, len(COLORS))
        self.mask = nn.Linear(width, (PATCH * MERGE) ** 2)

    def loss(self, merged, shape, color, mask):
        """`mask` [n, 64, 64, 1] of 0 and 1."""
        pooled = merged.mean(1)
        target = windows(mask).view(mask.shape[0], IMAGE_TOKENS, -1)
        seen = functional.cross_entropy(self.shape(pooled), shape) + functional.cross_entropy(self.color(pooled), color)
        return seen + 4 * functional.binary_cross_entropy_with_logits(self.mask(merged), target), self.shape(pooled).argmax(1) == shape
