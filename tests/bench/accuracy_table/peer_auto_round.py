"""Makes a case with AutoRound and dequantizes what it stored."""
import json
import shutil
import sys
from dataclasses import asdict
from pathlib import Path

from . import folder as folders
from . import process

SCRIPT = Path(__file__).resolve().parent / "auto_round_quantize.py"
PACKED = ("qweight", "qzeros", "scales", "g_idx")


def unpack(words, bits):
    """Codes of a stream of little-endian bits along the first dimension; the words are 32-bit."""
    import numpy as np
    stream = np.unpackbits(np.ascontiguousarray(words.T).view(np.uint8), axis=1, bitorder="little")
    codes = stream.reshape(words.shape[1], -1, bits).astype(np.uint8)
    return (codes << np.arange(bits, dtype=np.uint8)).sum(-1).T


def dequantize(tensors, bits, group, zero_offset):
    """rows x columns of one matrix, from qweight (columns packed x rows), qzeros (groups x rows packed) and scales (groups x rows)."""
    import torch
    codes = torch.from_numpy(unpack(tensors["qweight"].numpy(), bits)).float()
    zeros = torch.from_numpy(unpack(tensors["qzeros"].numpy().T, bits).T.copy()).float() + zero_offset
    spread = lambda values: values.float().repeat_interleave(group, 0)[:len(codes)]
    return ((codes - spread(zeros)) * spread(tensors["scales"])).T


def read(packed):
    """The dequantized tensors of AutoRound's folder, and the stored bytes and number of weights of each matrix or tensor."""
    from safetensors.torch import load_file
    stored = {}
    for shard in sorted(packed.glob("*.safetensors")):
        stored.update(load_file(shard))
    config = json.loads((packed / "config.json").read_text(encoding="utf-8"))["quantization_config"]
    if config["packing_format"] not in ("auto_round:auto_gptq", "auto_round"):
        raise SystemExit(f"AutoRound stored its codes as {config['packing_format']}, which this script cannot read")
    # The layout of GPTQ stores zero points less one.
    offset = 1 if "gptq" in config["packing_format"] else 0
    dense, sizes, weights = {}, {}, {}
    for name, tensor in stored.items():
        base, _, part = name.rpartition(".")
        if part not in PACKED:
            dense[name], sizes[name], weights[name] = tensor, tensor.nbytes, tensor.numel()
        elif part == "qweight":
            parts = {key: stored[f"{base}.{key}"] for key in PACKED if f"{base}.{key}" in stored}
            matrix = dequantize(parts, config["bits"], config["group_size"], offset)
            dense[base + ".weight"], weights[base + ".weight"] = matrix, matrix.numel()
            sizes[base + ".weight"] = sum(value.nbytes for value in parts.values())
    return dense, sizes, weights


def make(case, args, folder):
    data = args.reference / "wikitext-2"
    packed = folder / "packed"
    usage, _ = process.run([sys.executable, SCRIPT, args.model, data / case.calibration, packed, "--bits", case.settings["bits"],
                            "--group", case.settings["group"], "--samples", case.samples], folder / "log", {"HF_HUB_OFFLINE": "1"})
    dense, sizes, weights = read(next(path.parent for path in packed.rglob("config.json")))
    folders.write(args.model, dense, folder / "hf")
    shutil.rmtree(packed)
    matrix, model = folders.bits(sizes, weights)
    return {"matrix_bits": matrix, "model_bits": model, "samples": case.samples, **asdict(usage)}
