"""Writes dequantized weights as a Hugging Face directory that measure.py can read, and counts stored bits."""
import shutil

# Of the decoder blocks; what every method here quantizes.
MATRICES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def write(model, tensors, folder):
    """`tensors` in FP32, with the configuration and the tokenizer of `model`."""
    from safetensors.torch import save_file
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.float().contiguous() for name, tensor in tensors.items()}, folder / "model.safetensors", {"format": "pt"})
    for file in model.iterdir():
        if file.suffix in (".json", ".jinja") and not file.name.endswith(".index.json"):
            shutil.copy(file, folder / file.name)


def bits(stored_bytes, weights):
    """Bits per weight of the matrices and of the model. `stored_bytes`, `weights`: by name of the matrix or tensor."""
    matrices = [name for name in weights if any(f".{matrix}." in name for matrix in MATRICES)]
    return (8 * sum(stored_bytes[name] for name in matrices) / sum(weights[name] for name in matrices),
            8 * sum(stored_bytes.values()) / sum(weights.values()))
