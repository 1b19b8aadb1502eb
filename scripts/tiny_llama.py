"""A Llama small enough to train on a CPU, in plain torch, with Hugging Face parameter names."""
import dataclasses
import json
import math
import struct

import torch
from torch import nn
from torch.nn import functional


@dataclasses.dataclass(frozen=True)
class Shape:
    """The sizes of the model, under the names of config.json."""

    vocab_size: int = 768
    hidden_size: int = 128
    intermediate_size: int = 384
    num_hidden_layers: int = 4
    num_attention_heads: int = 4
    num_key_value_heads: int = 2
    max_position_embeddings: int = 256
    rms_norm_eps: float = 1e-5
    rope_theta: float = 10000.0

    def config(self):
        """The contents of config.json, in the spelling of transformers 4."""
        fixed = {"architectures": ["LlamaForCausalLM"], "model_type": "llama",
                 "attention_bias": False, "attention_dropout": 0.0, "bos_token_id": 0,
                 "eos_token_id": 0, "hidden_act": "silu", "initializer_range": 0.04,
                 "mlp_bias": False, "pretraining_tp": 1, "rope_scaling": None,
                 "tie_word_embeddings": True, "torch_dtype": "bfloat16", "use_cache": True}
        return dict(sorted({**fixed, **dataclasses.asdict(self)}.items()))


class RmsNorm(nn.Module):
    def __init__(self, size, eps):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(size)), eps

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps) * self.weight


class Attention(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.heads, self.kv_heads = shape.num_attention_heads, shape.num_key_value_heads
        self.head_dim = shape.hidden_size // self.heads
        self.q_proj = nn.Linear(shape.hidden_size, shape.hidden_size, bias=False)
        self.k_proj = nn.Linear(shape.hidden_size, self.kv_heads * self.head_dim, bias=False)
        self.v_proj = nn.Linear(shape.hidden_size, self.kv_heads * self.head_dim, bias=False)
        self.o_proj = nn.Linear(shape.hidden_size, shape.hidden_size, bias=False)

    def forward(self, x, cos, sin):
        def split(y, heads):
            return y.view(*x.shape[:2], heads, self.head_dim).transpose(1, 2)

        def rotate(y):
            half = self.head_dim // 2
            return y * cos + torch.cat((-y[..., half:], y[..., :half]), -1) * sin

        q = rotate(split(self.q_proj(x), self.heads))
        k = rotate(split(self.k_proj(x), self.kv_heads))
        v = split(self.v_proj(x), self.kv_heads)
        k, v = (y.repeat_interleave(self.heads // self.kv_heads, 1) for y in (k, v))
        y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.o_proj(y.transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.gate_proj = nn.Linear(shape.hidden_size, shape.intermediate_size, bias=False)
        self.up_proj = nn.Linear(shape.hidden_size, shape.intermediate_size, bias=False)
        self.down_proj = nn.Linear(shape.intermediate_size, shape.hidden_size, bias=False)

    def forward(self, x):
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))


class Block(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.input_layernorm = RmsNorm(shape.hidden_size, shape.rms_norm_eps)
        self.self_attn = Attention(shape)
        self.post_attention_layernorm = RmsNorm(shape.hidden_size, shape.rms_norm_eps)
        self.mlp = Mlp(shape)

    def forward(self, x, cos, sin):
        x = x + self.self_attn(self.input_layernorm(x), cos, sin)
        return x + self.mlp(self.post_attention_layernorm(x))


class Decoder(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.embed_tokens = nn.Embedding(shape.vocab_size, shape.hidden_size)
        self.layers = nn.ModuleList(Block(shape) for _ in range(shape.num_hidden_layers))
        self.norm = RmsNorm(shape.hidden_size, shape.rms_norm_eps)


class TinyLlama(nn.Module):
    """Token ids [batch, seq] to logits [batch, seq, vocab]; the head is the embedding.

    `gain_spread` is the standard deviation of the logarithm of the RMSNorm gains at the start. The
    weights that read them start divided by the gain, so the function does not change, but the
    channels differ in size as those of large trained models do, and rounding meets outliers.
    """

    def __init__(self, shape, gain_spread):
        super().__init__()
        self.shape, self.model = shape, Decoder(shape)
        head_dim = shape.hidden_size // shape.num_attention_heads
        frequency = shape.rope_theta ** (-torch.arange(0, head_dim, 2) / head_dim)
        angle = torch.outer(torch.arange(shape.max_position_embeddings), frequency).repeat(1, 2)
        self.cos, self.sin = angle.cos(), angle.sin()
        for name, weight in self.named_parameters():
            if weight.dim() == 2:
                narrow = name.endswith(("o_proj.weight", "down_proj.weight"))
                depth = math.sqrt(2 * shape.num_hidden_layers) if narrow else 1.0
                nn.init.normal_(weight, std=0.04 / depth)
        for layer in self.model.layers:
            attention, mlp = layer.self_attn, layer.mlp
            spread_gains(layer.input_layernorm, gain_spread,
                         [attention.q_proj, attention.k_proj, attention.v_proj])
            spread_gains(layer.post_attention_layernorm, gain_spread, [mlp.gate_proj, mlp.up_proj])

    def forward(self, ids):
        x, seq = self.model.embed_tokens(ids), ids.shape[1]
        for layer in self.model.layers:
            x = layer(x, self.cos[:seq], self.sin[:seq])
        return functional.linear(self.model.norm(x), self.model.embed_tokens.weight)

    def linears(self):
        """The decoder's linear layers by name: what a quantizer works on."""
        return {name: module for name, module in self.named_modules()
                if isinstance(module, nn.Linear)}


def spread_gains(norm, spread, readers):
    """Multiplies the gains by log-normal factors and divides the columns of the readers by them."""
    with torch.no_grad():
        factor = (spread * torch.randn(norm.weight.shape)).exp()
        norm.weight *= factor
        for reader in readers:
            reader.weight /= factor


def write_safetensors(path, tensors):
    """Writes tensors as bfloat16 (round to nearest even), sorted by name."""
    header, blobs, offset = {"__metadata__": {"format": "pt"}}, [], 0
    for name, tensor in sorted(tensors.items()):
        bits = tensor.detach().to(torch.bfloat16).contiguous().view(torch.int16)
        blobs.append(bits.numpy().astype("<i2").tobytes())
        header[name] = {"dtype": "BF16", "shape": list(tensor.shape),
                        "data_offsets": [offset, offset + len(blobs[-1])]}
        offset += len(blobs[-1])
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(blobs))
