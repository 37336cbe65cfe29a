"""Makes a case with llama.cpp's llama-imatrix and llama-quantize, and dequantizes the GGUF."""
from dataclasses import asdict

from . import folder as folders
from . import process
from .samples import SAMPLE_TOKENS, token_samples

# GGUF's names of the matrices.
NAMES = {"attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
         "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
         "ffn_down": "mlp.down_proj"}


def write_samples(case, args, path):
    """One text of all samples. Where two meet, a word may be cut into other tokens than in the samples themselves, and fewer: the first
    sample stands at the end again, so that the last stretch is whole."""
    from transformers import AutoTokenizer
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    text = (args.reference / "wikitext-2" / case.calibration).read_text(encoding="utf-8")
    samples = token_samples(tokenizer, text, case.samples)
    path.write_text("".join(tokenizer.decode(ids, clean_up_tokenization_spaces=False) for ids in [*samples, samples[0]]), encoding="utf-8")


def stored(path):
    """Stored bytes and number of weights by name as in a Hugging Face directory; and how many matrices each type has."""
    from gguf import GGUFReader
    sizes, weights, types = {}, {}, {}
    for tensor in GGUFReader(path).tensors:
        name = str(tensor.name)
        for short, long in NAMES.items():
            name = name.replace(f".{short}.", f".{long}.")
        sizes[name], weights[name] = int(tensor.n_bytes), int(tensor.n_elements)
        types[tensor.tensor_type.name] = types.get(tensor.tensor_type.name, 0) + 1
    return sizes, weights, types


def make(case, args, folder):
    from transformers import AutoModelForCausalLM
    libraries = {"LD_LIBRARY_PATH": str(args.llama)}
    plain, quantized = folder / "f16.gguf", folder / "quantized.gguf"
    # The same FP16 weights as the Hugging Face directory's; not part of what is timed.
    process.run([args.llama / "llama-quantize", "--allow-requantize", args.gguf, plain, "F16"], folder / "log-f16", libraries)
    write_samples(case, args, folder / "samples.txt")
    matrix, _ = process.run([args.llama / "llama-imatrix", "-m", plain, "-f", folder / "samples.txt", "-o", folder / "imatrix.gguf",
                             "-c", SAMPLE_TOKENS, "--chunks", case.samples, "-t", 2, "--no-ppl"], folder / "log-imatrix", libraries)
    quantize, _ = process.run([args.llama / "llama-quantize", "--imatrix", folder / "imatrix.gguf", plain, quantized,
                               case.settings["type"], 2], folder / "log", libraries)
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=quantized.name)
    tensors = model.state_dict()
    if model.config.tie_word_embeddings:
        tensors.pop("lm_head.weight", None)
    folders.write(args.model, tensors, folder / "hf")
    plain.unlink()
    sizes, weights, types = stored(quantized)
    matrices, whole = folders.bits(sizes, weights)
    return {"matrix_bits": matrices, "model_bits": whole, "samples": case.samples, "types": types, **asdict(matrix + quantize)}
