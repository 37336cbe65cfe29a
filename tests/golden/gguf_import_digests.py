"""Prints "SHA-256  name" for every tensor of a Llama GGUF file as its import stores it: Hugging Face names and row order, FP16.

usage: gguf_import_digests.py FILE.gguf > tests/core/artifact/golden/smollm2_fp16.sha256        (needs the packages gguf and numpy)

Independent of our code: blocks are widened by the gguf package, rows are put back by inverting the `permute` of llama.cpp's
convert_hf_to_gguf.py.
"""

import hashlib
import sys

import gguf
import numpy as np

MODULES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
MODEL = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}


def unpermute(matrix, heads):
    rows = matrix.shape[0]
    return matrix.reshape(heads, rows // heads // 2, 2, *matrix.shape[1:]).swapaxes(1, 2).reshape(matrix.shape)


def main(path):
    reader = gguf.GGUFReader(path)
    field = lambda key: reader.fields["llama.attention." + key].contents()
    heads = {"attn_q": field("head_count"), "attn_k": field("head_count_kv")}
    lines = []
    for tensor in reader.tensors:
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type).reshape([int(n) for n in tensor.shape[::-1]])
        parts = tensor.name.split(".")
        if parts[0] == "blk":
            if parts[2] in heads:
                values = unpermute(values, heads[parts[2]])
            name = ".".join(["model.layers", parts[1], MODULES[parts[2]], parts[3]])
        else:
            name = ".".join([MODEL[parts[0]], parts[1]])
        data = np.ascontiguousarray(values).astype(np.float16).tobytes()
        lines.append(f"{hashlib.sha256(data).hexdigest()}  {name}")
    print("\n".join(sorted(lines, key=lambda line: line[66:])))


main(sys.argv[1])
