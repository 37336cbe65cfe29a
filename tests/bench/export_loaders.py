#!/usr/bin/env python3
"""Loads every export of an artifact in the program that it is made for, and compares logits and weights with the hf-fp16 export.

usage: export_loaders.py EXPORT_LOCAL STORE DIGEST [--outliers CHOICE] [--gguf-type TYPE ...] [--llama BIN --llama-python DIR]

EXPORT_LOCAL  tests/tools' program of that name; STORE and DIGEST are what quantize_local left
--llama       folder of llama.cpp's libllama.so; --llama-python: an unpacked llama-cpp-python of the same version, for its ctypes
needs: torch, transformers, safetensors, numpy, gguf; for the formats compressed-tensors (0.15 to 0.17), and optimum and gptqmodel.
A loader that is not installed, or refuses the export, is a line that says so.

A line has the largest difference of logits, how often the most likely token is the same, the relative squared error of the quantized
matrices as they are in the file (decoded here, or by the package gguf), and what the export's own report states. The logits differ by more
than the weights do: llama.cpp rounds activations to 8 bits, and GPTQModel computes in half precision.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from transformers import AutoModelForCausalLM, AutoTokenizer

TEXT = "The capital of France is Paris. It lies on the Seine, and about 2 million people live there.\n\nQ: What is 12 + 30?\nA: 42."


def export(arguments, folder, name, *words):
    out = Path(folder) / name
    done = subprocess.run([str(arguments.export_local), str(arguments.store), arguments.digest, str(out), *words], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr)
    return out


def transformers_logits(path, ids, dtype=torch.float32):
    model = AutoModelForCausalLM.from_pretrained(path, dtype=dtype).eval()
    with torch.no_grad():
        return model(torch.tensor([ids])).logits[0].float().numpy()


def gptqmodel_logits(path, ids):
    from gptqmodel import BACKEND, GPTQModel
    model = GPTQModel.load(str(path), device="cpu", backend=BACKEND.TORCH)
    with torch.no_grad():
        return model(input_ids=torch.tensor([ids])).logits[0].float().numpy()


def llama_logits(arguments, path, ids):
    os.environ["LLAMA_CPP_LIB_PATH"] = str(arguments.llama)
    sys.path.insert(0, str(arguments.llama_python))
    import ctypes

    import llama_cpp as llama
    silent = llama.llama_log_callback(lambda level, text, data: None)
    llama.llama_log_set(silent, ctypes.c_void_p(0))
    model = llama.llama_model_load_from_file(str(path).encode(), llama.llama_model_default_params())
    if not model:
        raise RuntimeError("llama.cpp does not load it")
    settings = llama.llama_context_default_params()
    settings.n_ctx = 256
    context = llama.llama_init_from_model(model, settings)
    words = len(TEXT.encode())
    tokens = (llama.llama_token * (words + 8))()
    vocabulary = llama.llama_model_get_vocab(model)
    count = llama.llama_tokenize(vocabulary, TEXT.encode(), words, tokens, words + 8, False, True)
    if list(tokens[:count]) != ids:
        raise RuntimeError(f"llama.cpp makes other tokens: {list(tokens[:count])[:8]}..., not {ids[:8]}...")
    batch = llama.llama_batch_init(len(ids), 0, 1)
    batch.n_tokens = len(ids)
    for i, token in enumerate(ids):
        batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.logits[i] = token, i, 1, 1
        batch.seq_id[i][0] = 0
    if llama.llama_decode(context, batch) != 0:
        raise RuntimeError("llama.cpp does not run it")
    size = llama.llama_vocab_n_tokens(vocabulary)
    rows = [np.ctypeslib.as_array(llama.llama_get_logits_ith(context, i), (size,)).copy() for i in range(len(ids))]
    llama.llama_free(context)
    llama.llama_model_free(model)
    return np.stack(rows)


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
    """Changed weights, all weights, and the relative squared error of each of `names` that the report has."""
    report = json.loads((Path(folder) / "gwq-export.json").read_text())
    entries = {matrix["name"]: matrix for matrix in report["matrices"]}
    return report["changed"], report["weights"], {name: entries[name]["relative_squared_error"] for name in names if name in entries}


def compare_weights(folder, matrices, dense):
    error = power = said = 0.0
    reports = None
    worst = 0.0
    for name, weights in matrices:
        if reports is None:
            changed, total, reports = stated(folder, dense.keys())
        if name not in reports:
            continue
        ours = dense[name].astype(np.float64)
        lost, size = float(((weights - ours) ** 2).sum()), float((ours ** 2).sum())
        error, power, said = error + lost, power + size, said + reports[name] * size
        worst = max(worst, abs(lost / size - reports[name]))
    if reports is None:
        return "no quantized matrix"
    return (f"relative squared error {error / power:.3g}, stated {said / power:.3g}, worst matrix off by {worst:.1g}; "
            f"{changed} of {total} weights changed")


def show(name, loader, logits, reference):
    try:
        found = logits()
    except BaseException as problem:  # a loader may end the process
        if isinstance(problem, KeyboardInterrupt):
            raise
        print(f"{name:<24} {loader}: not loaded: {str(problem).strip().splitlines()[-1][:160] if str(problem).strip() else type(problem).__name__}")
        return
    same = (found.argmax(-1) == reference.argmax(-1)).mean()
    print(f"{name:<24} {loader}: largest difference {np.abs(found - reference).max():.4g} of {np.abs(reference).max():.4g}, "
          f"same first token {same:.0%}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("export_local", type=Path)
    parser.add_argument("store", type=Path)
    parser.add_argument("digest")
    parser.add_argument("--outliers", default="", help="wider, fold or drop; needed if the artifact has outliers")
    parser.add_argument("--gguf-type", action="append", default=[], help="besides the default of the format")
    parser.add_argument("--llama", type=Path)
    parser.add_argument("--llama-python", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(2)

    with tempfile.TemporaryDirectory() as folder:
        half = export(arguments, folder, "hf", "hf-fp16")
        ids = AutoTokenizer.from_pretrained(half)(TEXT, add_special_tokens=False).input_ids
        reference = transformers_logits(half, ids)
        with safe_open(half / "model.safetensors", "np") as file:
            dense = {name: file.get_tensor(name) for name in file.keys()}

        packed = export(arguments, folder, "ct", "compressed-tensors", arguments.outliers)
        print(f"{'compressed-tensors':<24} file: " + compare_weights(packed, safetensors_matrices(packed, ".weight_packed", packed_matrix), dense))
        show("compressed-tensors", "transformers", lambda: transformers_logits(packed, ids), reference)

        gptq = export(arguments, folder, "gptq", "gptq", arguments.outliers)
        print(f"{'gptq':<24} file: " + compare_weights(gptq, safetensors_matrices(gptq, ".qweight", gptq_matrix), dense))
        show("gptq", "transformers", lambda: transformers_logits(gptq, ids), reference)
        show("gptq", "GPTQModel", lambda: gptqmodel_logits(gptq, ids), reference)

        for kind in ["", *arguments.gguf_type]:
            name = f"gguf {kind or 'default'}"
            made = export(arguments, folder, f"gguf-{kind}", "gguf", arguments.outliers, kind)
            print(f"{name:<24} file: " + compare_weights(made, gguf_matrices(made), dense))
            if arguments.llama:
                show(name, "llama.cpp", lambda: llama_logits(arguments, made / "model.gguf", ids), reference)


if __name__ == "__main__":
    main()
