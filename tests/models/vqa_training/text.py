"""The tokenizer: byte-level BPE of 512 tokens in Qwen2-VL's form, with whole words of the task and whole coordinates as tokens.

Coordinates are Qwen2-VL's, 0 to 999 over the picture's width or height. The model writes only the 65 values at which the edges of
the 64 pixels lie, each one token; any other number still has tokens, digit by digit.
"""
import json

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers

from .dataset import COLORS, SHAPES, SIDE

VOCABULARY = 512
SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>", "<|box_end|>",
            "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>"]
# Qwen2's cut into pieces, but for numbers: up to three digits are one piece.
PIECES = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
FIRST_WORDS = ["what", "is", "does", "where", "locate", "detect", "yes", "no", "user", "assistant", "system", *SHAPES, *COLORS]
LATER_WORDS = ["is", "the", "a", "there", "not", "no", "in", "image", "contain", "present", "of", "color", "shape", "does", *SHAPES, *COLORS]
CHAT = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for content in message['content'] %}"
    "{% if content['type'] == 'image' or 'image' in content or 'image_url' in content %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif 'text' in content %}{{ content['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def coordinate(edge):
    """The number written for an edge, 0 to 64."""
    return min(999, round(edge * 1000 / SIDE))


def merges_for(words):
    """Merges that make each word one token: what the merges so far leave apart is joined from the left, at lower priority."""
    merges, rank = [], {}
    for word in words:
        parts = list(word)
        while len(parts) > 1:
            known = [(rank[pair], i) for i, pair in enumerate(zip(parts, parts[1:])) if pair in rank]
            if not known:
                rank[parts[0], parts[1]] = len(merges)
                merges.append((parts[0], parts[1]))
                continue
            i = min(known)[1]
            parts[i:i + 2] = [parts[i] + parts[i + 1]]
    return merges


def build_tokenizer():
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    numbers = [str(coordinate(edge)) for edge in range(SIDE + 1)]
    space = "Ġ"
    merges = merges_for(["),(", *numbers, *FIRST_WORDS, *[space + word for word in LATER_WORDS]])
    tokens = alphabet + [a + b for a, b in merges]
    room = VOCABULARY - len(SPECIALS)
    assert len(tokens) == len(set(tokens)) <= room, (len(tokens), room)
    tokenizer = Tokenizer(models.BPE(vocab={token: id for id, token in enumerate(tokens)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(PIECES), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel(add_prefix_space=False, use_regex=False)
    # Ids that no text has lie between the last merge and the special tokens, which end the vocabulary.
    tokenizer.add_special_tokens([AddedToken(f"<|unused_{i}|>", special=True, normalized=False) for i in range(room - len(tokens))])
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIALS])
    return tokenizer


def save_text_files(folder):
    build_tokenizer().save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": None, "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>", "unk_token": None,
        "add_prefix_space": False, "clean_up_tokenization_spaces": False, "model_max_length": 1024, "errors": "replace",
        "additional_special_tokens": SPECIALS[1:], "chat_template": CHAT,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")
    (folder / "chat_template.jinja").write_text(CHAT)


def box_text(label, box):
    x1, y1, x2, y2 = map(coordinate, box)
    return f"<|object_ref_start|>{label}<|object_ref_end|><|box_start|>({x1},{y1}),({x2},{y2})<|box_end|>"
