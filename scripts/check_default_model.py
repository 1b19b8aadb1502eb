#!/usr/bin/env python3
"""Checks that the embedded default model is complete, small, bfloat16 and agrees with its config.

usage: check_default_model.py [DIR]      default: tests/data/tale-llama of this repository

Needs only the standard library. Prints one line and exits 0, or names the first fault and exits 1.
"""
import json
import math
import pathlib
import struct
import sys

FILES = ["config.json", "generation_config.json", "model.safetensors", "tokenizer.json",
         "tokenizer_config.json", "LICENSE", "README.md", "calibration.txt", "heldout.txt"]
MODEL_LIMIT_BYTES = 2_000_000
WINDOW_TOKENS = 256


class Fault(Exception):
    """What is wrong with the model."""


def expect(condition, message):
    if not condition:
        raise Fault(message)


def expected_shapes(config):
    """The shape of every tensor a tied Llama of this config has."""
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    expect(hidden % config["num_attention_heads"] == 0, f"{hidden} does not split into heads")
    kv_rows = hidden // config["num_attention_heads"] * config["num_key_value_heads"]
    shapes = {"model.embed_tokens.weight": [config["vocab_size"], hidden],
              "model.norm.weight": [hidden]}
    for layer in range(config["num_hidden_layers"]):
        block = {"input_layernorm": [hidden], "post_attention_layernorm": [hidden],
                 "self_attn.q_proj": [hidden, hidden], "self_attn.k_proj": [kv_rows, hidden],
                 "self_attn.v_proj": [kv_rows, hidden], "self_attn.o_proj": [hidden, hidden],
                 "mlp.gate_proj": [inner, hidden], "mlp.up_proj": [inner, hidden],
                 "mlp.down_proj": [hidden, inner]}
        for name, shape in block.items():
            shapes[f"model.layers.{layer}.{name}.weight"] = shape
    return shapes


def check_tensors(path, shapes):
    """Checks layout and contents of the safetensors file; returns the number of parameters."""
    data = path.read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8:8 + length])
    expect(header.pop("__metadata__", None) == {"format": "pt"}, "metadata is not format pt")
    expect(set(header) == set(shapes), f"tensors differ: {sorted(set(header) ^ set(shapes))}")
    body, end = data[8 + length:], 0
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        size = 2 * math.prod(shapes[name])
        expect(entry["dtype"] == "BF16", f"{name} is {entry['dtype']}, not BF16")
        expect(entry["shape"] == shapes[name], f"{name} is {entry['shape']}, not {shapes[name]}")
        expect(entry["data_offsets"] == [end, end + size], f"{name} is not where it should be")
        expect(end + size <= len(body), f"{name} lies behind the end of the file")
        bits = struct.unpack_from(f"<{size // 2}H", body, end)
        expect(all(value & 0x7F80 != 0x7F80 for value in bits), f"{name} is not finite")
        expect(any(bits), f"{name} is all zero")
        end += size
    expect(end == len(body), f"{len(body) - end} bytes follow the last tensor")
    return end // 2


def check_tokenizer(folder, config):
    tokenizer = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    model = tokenizer["model"]
    expect(model["type"] == "BPE", f"tokenizer is {model['type']}, not BPE")
    expect(sorted(model["vocab"].values()) == list(range(config["vocab_size"])),
           f"vocabulary is not 0 to {config['vocab_size'] - 1}")
    for merge in model["merges"]:
        expect(merge.replace(" ", "") in model["vocab"], f"merge {merge!r} makes no token")
    expect(tokenizer["post_processor"]["type"] == "TemplateProcessing", "no BOS template")
    added = tokenizer["added_tokens"][0]
    expect(added["id"] == config["bos_token_id"], f"BOS is {added['id']} in tokenizer.json")


def check_texts(folder):
    """The texts have room for 64 windows and share no story. A token has at least one byte."""
    stories = {}
    for name, least in (("calibration.txt", 190_000), ("heldout.txt", 55_000)):
        text = (folder / name).read_text(encoding="ascii")
        expect(len(text) >= least, f"{name} has {len(text)} bytes, fewer than {least}")
        stories[name] = set(text.strip().split("\n\n"))
    shared = stories["calibration.txt"] & stories["heldout.txt"]
    expect(not shared, f"{len(shared)} stories are in both texts")


def check(folder):
    for name in FILES:
        expect((folder / name).is_file(), f"{name} is missing")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    expect(config["model_type"] == "llama", f"model_type is {config['model_type']}")
    expect(config["torch_dtype"] == "bfloat16", f"torch_dtype is {config['torch_dtype']}")
    expect(config["tie_word_embeddings"] is True, "the head is not tied")
    expect(config["max_position_embeddings"] >= WINDOW_TOKENS, "the context is too short")
    size = (folder / "model.safetensors").stat().st_size
    expect(size <= MODEL_LIMIT_BYTES, f"model.safetensors has {size} bytes")
    parameters = check_tensors(folder / "model.safetensors", expected_shapes(config))
    check_tokenizer(folder, config)
    check_texts(folder)
    return f"{parameters} parameters, {size} bytes"


def main():
    default = pathlib.Path(__file__).resolve().parent.parent / "tests" / "data" / "tale-llama"
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else default
    try:
        print(f"{folder.name}: {check(folder)}")
    except (Fault, OSError, KeyError, ValueError, struct.error) as fault:
        sys.exit(f"{folder}: {type(fault).__name__}: {fault}")


if __name__ == "__main__":
    main()
