"""A tiny valid Llama directory as plain data that a test can break in one respect; standard library."""
import copy
import json
import pathlib
import random
import struct

import byte_bpe

VOCAB, HIDDEN, INTERMEDIATE, BLOCKS, HEADS, KV_HEADS = 288, 32, 64, 2, 4, 2
SPECIAL = "<|start|>"
WORDS = "the a cat dog saw ran old red house tree and then it was very good to see how they went home again".split()


def sample_text(rng, words):
    """Some words with a full stop now and then."""
    return " ".join(rng.choice(WORDS) + rng.choice(["", "", "", "."]) for _ in range(words)) + "\n"


def bf16(values):
    """The bytes of floats cut to bfloat16."""
    return b"".join(struct.pack("<f", value)[2:] for value in values)


def shapes():
    """The tensors of the model: name to shape."""
    head = HIDDEN // HEADS
    out = {"model.embed_tokens.weight": [VOCAB, HIDDEN], "model.norm.weight": [HIDDEN]}
    for block in range(BLOCKS):
        prefix = f"model.layers.{block}."
        out |= {prefix + "self_attn.q_proj.weight": [HIDDEN, HIDDEN],
                prefix + "self_attn.k_proj.weight": [KV_HEADS * head, HIDDEN],
                prefix + "self_attn.v_proj.weight": [KV_HEADS * head, HIDDEN],
                prefix + "self_attn.o_proj.weight": [HIDDEN, HIDDEN],
                prefix + "mlp.gate_proj.weight": [INTERMEDIATE, HIDDEN],
                prefix + "mlp.up_proj.weight": [INTERMEDIATE, HIDDEN],
                prefix + "mlp.down_proj.weight": [HIDDEN, INTERMEDIATE],
                prefix + "input_layernorm.weight": [HIDDEN],
                prefix + "post_attention_layernorm.weight": [HIDDEN]}
    return out


CONFIG = {
    "architectures": ["LlamaForCausalLM"], "attention_bias": False, "bos_token_id": 0, "eos_token_id": 0,
    "hidden_act": "silu", "hidden_size": HIDDEN, "intermediate_size": INTERMEDIATE, "max_position_embeddings": 128,
    "mlp_bias": False, "model_type": "llama", "num_attention_heads": HEADS, "num_hidden_layers": BLOCKS,
    "num_key_value_heads": KV_HEADS, "rms_norm_eps": 1e-5, "rope_scaling": None, "rope_theta": 10000.0,
    "tie_word_embeddings": True, "torch_dtype": "bfloat16", "vocab_size": VOCAB}


class Safetensors:
    """A safetensors file as header entries and data, each of which may be made wrong before `encode`."""

    def __init__(self, tensors, dtype="BF16"):
        self.header, self.data = {"__metadata__": {"format": "pt"}}, b""
        for name, (shape, content) in sorted(tensors.items()):
            end = len(self.data) + len(content)
            self.header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(self.data), end]}
            self.data += content

    def encode(self):
        """The file's bytes."""
        return frame(json.dumps(self.header).encode(), self.data)


def frame(header, data=b"", length=None):
    """A safetensors file of any header bytes, and any stated length of it."""
    return struct.pack("<Q", len(header) if length is None else length) + header + data


class Model:
    """The directory: config, tokenizer, tensors; `files` holds what else is written, bytes by name."""

    def __init__(self, seed):
        rng = random.Random(seed)
        self.config = copy.deepcopy(CONFIG)
        self.tensors = {}
        for name, shape in shapes().items():
            count = shape[0] * (shape[1] if len(shape) == 2 else 1)
            values = [1.0] * count if "norm" in name else [rng.gauss(0, 0.1) for _ in range(count)]
            self.tensors[name] = (shape, bf16(values))
        text = "".join(sample_text(rng, 40) for _ in range(40))
        self.tokenizer = byte_bpe.ByteBpe.train(text, VOCAB, SPECIAL).to_json()
        self.files = {}

    def copy(self):
        """A model to break; the tensors' bytes are shared."""
        other = copy.copy(self)
        other.config, other.tokenizer = copy.deepcopy(self.config), copy.deepcopy(self.tokenizer)
        other.tensors, other.files = dict(self.tensors), dict(self.files)
        return other

    def weights(self):
        """The tensors as one file."""
        return Safetensors(self.tensors)

    def shards(self):
        """Two files and their index: (bytes of model.safetensors.index.json as an object, {name: Safetensors})."""
        names = sorted(self.tensors)
        half = len(names) // 2
        files = {"one.safetensors": names[:half], "two.safetensors": names[half:]}
        index = {"metadata": {}, "weight_map": {name: file for file, held in files.items() for name in held}}
        return index, {file: Safetensors({name: self.tensors[name] for name in held}) for file, held in files.items()}

    def write(self, directory):
        """Writes what `files` does not replace; a None there leaves the file out."""
        files = {"config.json": json.dumps(self.config, indent=1).encode(),
                 "tokenizer.json": json.dumps(self.tokenizer).encode(),
                 "model.safetensors": self.weights().encode(), **self.files}
        directory = pathlib.Path(directory)
        directory.mkdir(parents=True)
        for name, content in files.items():
            if content is not None:
                (directory / name).write_bytes(content)
