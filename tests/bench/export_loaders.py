#!/usr/bin/env python3
"""Makes artifacts of a model, exports each in every format, loads the exports in the programs that they are made for, and compares what
these compute with the hf-fp16 export in transformers. Prints one table; docs/exports.md has what was measured.

usage: export_loaders.py BIN MODEL [--store DIR] [--cases NAME ...] [--text FILE] [--windows 2] [--length 256]
                         [--llama LIB --llama-python DIR] [--gguf-type TYPE ...]

BIN     folder of quantize_local and export_local
MODEL   Hugging Face directory of a text model
--store where artifacts are kept for the next run (default: a temporary folder)
--text  the text to measure on (default: ../shared/data/wikitext-2/eval.txt)
--llama folder of llama.cpp's libllama.so; --llama-python: an unpacked llama-cpp-python of the same version, for its ctypes
needs: torch, transformers, safetensors, numpy, gguf; for their formats compressed-tensors, and optimum and gptqmodel.
A loader that is not installed, or refuses the export, is a row that says so. Every loader is a process of its own.

Columns: size of the weights' file; perplexity of the text's windows, to compare with the row hf-fp16; mean and largest KL divergence of a
position's distribution from hf-fp16's; positions with the same most likely token; whether 16 tokens of greedy generation are the same; the
relative squared error of the quantized matrices, decoded here from the file, and what the export's own report states.
For llama.cpp, that its tokens are the same is a condition of the row.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

CASES = {
    "4 bits": {"method": "rtn", "bits": 4, "group_size": 64},
    "4 bits, groups of 128": {"method": "rtn", "bits": 4, "group_size": 128},
    "3 bits": {"method": "rtn", "bits": 3, "group_size": 64},
    "5 bits": {"method": "rtn", "bits": 5, "group_size": 64},
    "mixed": {"method": "rtn", "bits": 4, "group_size": 64, "rules": [
        {"pattern": "*.v_proj", "bits": 8, "group_size": 128}, {"pattern": "*.gate_proj", "bits": 3, "group_size": 32},
        {"pattern": "model.layers.1?.mlp.up_proj", "bits": 3, "group_size": 64}, {"pattern": "*.o_proj", "group_size": 32},
        {"pattern": "model.layers.29.*", "bits": 8}]},
    "outliers": {"method": "gwq", "bits": 4, "group_size": 64, "calibration": {"source": "default", "max_tokens": 64, "samples": 2}},
}
GENERATED = 16
PROMPT = 32  # tokens before them


def make_artifact(arguments, store, name):
    out = store / name.replace(" ", "-").replace(",", "")
    digest = out / "artifact.digest"
    if not digest.exists():
        out.mkdir(parents=True, exist_ok=True)
        (out / "recipe.json").write_text(json.dumps(CASES[name] | {"threads": 1}))
        command = [arguments.bin / "quantize_local", store / "blobs", arguments.model, out / "recipe.json", out]
        subprocess.run(list(map(str, command)), check=True, capture_output=True)
    return digest.read_text().strip()


def export(arguments, store, digest, out, *words):
    """None, or the error."""
    done = subprocess.run([str(arguments.bin / "export_local"), str(store / "blobs"), digest, str(out), *words], capture_output=True, text=True)
    return None if done.returncode == 0 else done.stderr.strip()


# What runs in a process of its own: the logits of every window, and what follows a prompt.


def run_model(model, windows):
    import torch
    with torch.no_grad():
        logits = np.stack([model(input_ids=torch.tensor(window[None])).logits[0].float().numpy() for window in windows])
        made = model.generate(input_ids=torch.tensor(windows[0][None, :PROMPT]), max_new_tokens=GENERATED, min_new_tokens=GENERATED, do_sample=False)
    return logits, np.asarray(made)[0, PROMPT:]


def with_transformers(path, windows):
    import torch
    from transformers import AutoModelForCausalLM
    return run_model(AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval(), windows)


def with_gptqmodel(path, windows):
    import torch
    from gptqmodel import BACKEND, GPTQModel
    return run_model(GPTQModel.load(str(path), device="cpu", backend=BACKEND.TORCH, dtype=torch.float16), windows)


def with_llama(path, windows, text, library, package):
    os.environ["LLAMA_CPP_LIB_PATH"] = library
    sys.path.insert(0, package)
    import ctypes

    import llama_cpp as llama
    silent = llama.llama_log_callback(lambda level, text, data: None)
    llama.llama_log_set(silent, ctypes.c_void_p(0))
    model = llama.llama_model_load_from_file(str(Path(path) / "model.gguf").encode(), llama.llama_model_default_params())
    if not model:
        raise RuntimeError("llama.cpp does not load it")
    vocabulary = llama.llama_model_get_vocab(model)
    check_tokens(llama, vocabulary, text, windows)
    settings = llama.llama_context_default_params()
    settings.n_ctx = settings.n_batch = windows.shape[1] + GENERATED
    context = llama.llama_init_from_model(model, settings)
    size = llama.llama_vocab_n_tokens(vocabulary)

    def rows(tokens, first):
        batch = llama.llama_batch_init(len(tokens), 0, 1)
        batch.n_tokens = len(tokens)
        for i, token in enumerate(tokens):
            batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.logits[i] = int(token), first + i, 1, 1
            batch.seq_id[i][0] = 0
        if llama.llama_decode(context, batch) != 0:
            raise RuntimeError("llama.cpp does not run it")
        return np.stack([np.ctypeslib.as_array(llama.llama_get_logits_ith(context, i), (size,)).copy() for i in range(len(tokens))])

    def forget():
        llama.llama_memory_clear(llama.llama_get_memory(context), True)

    logits = []
    for window in windows:
        forget()
        logits.append(rows(window, 0))
    forget()
    made = [int(rows(windows[0][:PROMPT], 0)[-1].argmax())]
    while len(made) < GENERATED:
        made.append(int(rows(made[-1:], PROMPT + len(made) - 1)[-1].argmax()))
    return np.stack(logits), np.array(made)


def check_tokens(llama, vocabulary, text, windows):
    data = text.encode()
    tokens = (llama.llama_token * (len(data) + 8))()
    count = llama.llama_tokenize(vocabulary, data, len(data), tokens, len(data) + 8, False, True)
    ours = windows.reshape(-1)
    # The text was cut somewhere: its last tokens may be others.
    theirs = np.array(tokens[:count])[:len(ours)]
    if len(theirs) < len(ours) or (theirs != ours).any():
        raise RuntimeError(f"llama.cpp makes other tokens: {theirs[:8]}..., not {ours[:8]}...")


def run_loader(loader, path, folder, *words):
    os.environ["TORCHDYNAMO_DISABLE"] = "1"  # GPTQModel compiles its kernel otherwise, for minutes
    windows = np.load(Path(folder) / "windows.npy")
    if loader == "llama.cpp":
        logits, made = with_llama(path, windows, (Path(folder) / "text").read_text(), *words)
    else:
        import torch
        torch.set_num_threads(1)
        logits, made = {"transformers": with_transformers, "GPTQModel": with_gptqmodel}[loader](path, windows)
    np.savez(Path(folder) / "found.npz", logits=logits, made=made)


# Matrices as they are in the file.


def unpacked(words, bits, count):
    """Codes of each row of 32-bit words, packed without gaps."""
    stream = np.unpackbits(np.ascontiguousarray(words).view(np.uint8).reshape(len(words), -1), axis=1, bitorder="little")
    codes = stream[:, :count * bits].reshape(len(words), count, bits).astype(np.int32)
    return (codes << np.arange(bits)).sum(-1)


def gptq_matrix(tensor, module):
    codes, groups, scales = tensor(module + ".qweight"), tensor(module + ".g_idx"), tensor(module + ".scales").astype(np.float32)
    inputs, outputs = len(groups), codes.shape[1]
    bits = codes.shape[0] * 32 // inputs
    zeros = unpacked(tensor(module + ".qzeros"), bits, outputs)
    return (unpacked(codes.T, bits, inputs) - zeros.T[:, groups]) * scales.T[:, groups]


def packed_matrix(tensor, module):
    rows, cols = tensor(module + ".weight_shape")
    words, scales = tensor(module + ".weight_packed"), tensor(module + ".weight_scale").astype(np.float32)
    bits = words.shape[1] * 32 // cols
    zeros = unpacked(tensor(module + ".weight_zero_point").T, bits, rows).T
    repeat = cols // scales.shape[1]
    return (unpacked(words, bits, cols) - np.repeat(zeros, repeat, 1)) * np.repeat(scales, repeat, 1)


def safetensors_matrices(folder, suffix, decode):
    """Names and weights of the modules that have a tensor `suffix`."""
    from safetensors import safe_open
    with safe_open(Path(folder) / "model.safetensors", "np") as file:
        for name in sorted(file.keys()):
            if name.endswith(suffix):
                module = name[:-len(suffix)]
                yield module + ".weight", decode(file.get_tensor, module)


NAMES = {"attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
         "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}


def gguf_matrices(folder):
    from gguf import GGUFReader, dequantize
    reader = GGUFReader(str(Path(folder) / "model.gguf"))
    arch = reader.fields["general.architecture"].contents()
    for tensor in reader.tensors:
        parts = tensor.name.split(".")
        if parts[0] != "blk" or parts[2] not in NAMES or parts[3] != "weight":
            continue
        weights = dequantize(tensor.data, tensor.tensor_type)
        if arch == "llama" and parts[2] in ("attn_q", "attn_k"):
            heads = reader.fields["llama.attention.head_count" + ("_kv" if parts[2] == "attn_k" else "")].contents()
            rows, cols = weights.shape
            weights = weights.reshape(heads, rows // heads // 2, 2, cols).swapaxes(1, 2).reshape(rows, cols)
        yield f"model.layers.{parts[1]}.{NAMES[parts[2]]}.weight", weights


def stated(folder, names):
    """The relative squared error of each of `names` that the report has."""
    report = json.loads((Path(folder) / "gwq-export.json").read_text())
    entries = {matrix["name"]: matrix for matrix in report["matrices"]}
    return {name: entries[name]["relative_squared_error"] for name in names if name in entries}


def compare_weights(folder, matrices, dense):
    error = power = said = 0.0
    reports = None
    worst = 0.0
    for name, weights in matrices:
        if reports is None:
            reports = stated(folder, dense.keys())
        if name not in reports:
            continue
        ours = dense[name].astype(np.float64)
        lost, size = float(((weights - ours) ** 2).sum()), float((ours ** 2).sum())
        error, power, said = error + lost, power + size, said + reports[name] * size
        worst = max(worst, abs(lost / size - reports[name]))
    if reports is None:
        return "no matrix of integers"
    return f"{error / power:.3g} ({said / power:.3g})" + (f", a matrix off by {worst:.1g}" if worst > 1e-6 else "")


def log_softmax(logits):
    shifted = logits - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


class Bench:
    def __init__(self, arguments, folder):
        from transformers import AutoTokenizer
        self.arguments, self.folder = arguments, Path(folder)
        self.store = arguments.store or self.folder / "store"
        self.store.mkdir(parents=True, exist_ok=True)
        count = arguments.windows * arguments.length
        text = arguments.text.read_text()[:count * 12]
        ids = AutoTokenizer.from_pretrained(arguments.model)(text, add_special_tokens=False).input_ids
        self.windows = np.array(ids[:count]).reshape(arguments.windows, arguments.length)
        np.save(self.folder / "windows.npy", self.windows)
        (self.folder / "text").write_text(text)
        self.reference = self.made = self.dense = None

    def load(self, loader, path, *words):
        """Logits and generated tokens, or the error's last line."""
        command = [sys.executable, __file__, "--loader", loader, str(path), str(self.folder), *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=900)
        if done.returncode != 0:
            lines = [line for line in done.stderr.strip().splitlines() if line.strip()]
            return lines[-1][:150] if lines else f"exit {done.returncode}"
        with np.load(self.folder / "found.npz") as found:
            return found["logits"], found["made"]

    def start(self, name):
        from safetensors import safe_open
        digest = make_artifact(self.arguments, self.store, name)
        half = self.folder / "hf"
        export(self.arguments, self.store, digest, half, "hf-fp16")
        found = self.load("transformers", half)
        if isinstance(found, str):
            sys.exit(found)
        self.reference, self.made = log_softmax(found[0]), found[1]
        with safe_open(half / "model.safetensors", "np") as file:
            self.dense = {tensor: file.get_tensor(tensor) for tensor in file.keys()}
        self.row(name, "hf-fp16", "transformers", half, found, "")
        return digest

    def row(self, name, form, loader, path, found, weights):
        size = sum(file.stat().st_size for file in Path(path).iterdir() if file.suffix in (".safetensors", ".gguf"))
        head = f"| {name} | {form} | {loader} | {size / 2**20:.0f} MiB |"
        if isinstance(found, str):
            print(f"{head} {found} | | | | | {weights} |", flush=True)
            return
        ours = log_softmax(found[0])
        divergence = (np.exp(self.reference) * (self.reference - ours)).sum(-1)[:, :-1]
        loss = -np.take_along_axis(ours[:, :-1], self.windows[:, 1:, None], -1).mean()
        same = (ours.argmax(-1) == self.reference.argmax(-1)).mean()
        print(f"{head} {np.exp(loss):.3f} | {divergence.mean():.2g} | {divergence.max():.2g} | {same:.1%} | "
              f"{'same' if (found[1] == self.made).all() else 'other'} | {weights} |", flush=True)

    def exported(self, name, digest, form, loaders, matrices, outliers="", gguf_type="", widths=""):
        path = self.folder / "export"
        subprocess.run(["rm", "-rf", str(path)], check=True)
        words = " ".join(word for word in (form, outliers, gguf_type, widths) if word)
        error = export(self.arguments, self.store, digest, path, form, outliers, gguf_type, widths)
        if error:
            print(f"| {name} | {words} | not exported: {error} | | | | | | | |", flush=True)
            return
        weights = compare_weights(path, matrices(path), self.dense)
        for loader, *more in loaders:
            self.row(name, words, loader, path, self.load(loader, path, *more), weights)

    def formats(self, name, digest, outliers=""):
        llama = self.arguments.llama and [("llama.cpp", str(self.arguments.llama), str(self.arguments.llama_python))] or []
        packed = lambda path: safetensors_matrices(path, ".weight_packed", packed_matrix)
        columns = lambda path: safetensors_matrices(path, ".qweight", gptq_matrix)
        self.exported(name, digest, "compressed-tensors", [("transformers",)], packed, outliers)
        self.exported(name, digest, "gptq", [("transformers",), ("GPTQModel",)], columns, outliers)
        if name == "mixed":
            self.exported(name, digest, "compressed-tensors", [("transformers",)], packed, outliers, widths="mixed")
            self.exported(name, digest, "gptq", [("transformers",), ("GPTQModel",)], columns, outliers, widths="mixed")
        for kind in ["", *self.arguments.gguf_type]:
            self.exported(name, digest, "gguf", llama, gguf_matrices, outliers, kind)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bin", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--store", type=Path)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--text", type=Path, default=Path(__file__).parents[2].parent / "shared/data/wikitext-2/eval.txt")
    parser.add_argument("--windows", type=int, default=2)
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--gguf-type", action="append", default=[], help="besides the default of the format")
    parser.add_argument("--llama", type=Path)
    parser.add_argument("--llama-python", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(arguments, folder)
        print("| artifact | export | loader | size | perplexity | mean KL | largest KL | same token | greedy | error in the file (stated) |")
        print("|---|---|---|---|---|---|---|---|---|---|", flush=True)
        for name in arguments.cases:
            digest = bench.start(name)
            for outliers in ["wider", "fold", "drop"] if name == "outliers" else [""]:
                bench.formats(name, digest, outliers)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--loader"]:
        run_loader(*sys.argv[2:])
    else:
        main()
