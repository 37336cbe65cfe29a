"""Calibration samples cut from a text exactly where gwq cuts them (core/calibration/sample.cc), for the peers' quantizers."""

SAMPLE_TOKENS = 512
# More bytes than any 512 tokens of this text have; what follows the sample cannot change its tokens.
ENOUGH_BYTES = 64 * SAMPLE_TOKENS


def stretches(text, count):
    """The text of each of `count` stretches, from the stretch's first byte on; a character that is cut is left out."""
    data = text.encode()
    step = len(data) // count
    for i in range(count):
        part = data[i * step:i * step + ENOUGH_BYTES]
        yield part.decode(errors="ignore")


def token_samples(tokenizer, text, count, length=SAMPLE_TOKENS):
    """`count` lists of `length` token ids."""
    samples = [tokenizer(part, add_special_tokens=False).input_ids[:length] for part in stretches(text, count)]
    short = [i for i, ids in enumerate(samples) if len(ids) < length]
    if short:
        raise SystemExit(f"stretches {short} of the calibration text have fewer than {length} tokens; take fewer samples")
    return samples
