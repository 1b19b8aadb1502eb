#!/usr/bin/env python3
"""Trains tale-llama, the small checkpoint this repository carries, on stories of our own grammar.

usage: train_default_model.py OUT_DIR [--steps N] [--threads N] [--seed N]     needs: torch, numpy

Writes a complete Hugging Face directory with calibration.txt and heldout.txt, then prints how far
the model is below a unigram on held-out text and what rounding to 4 and 3 bits costs. Same seed,
threads, torch build and processor: same bytes. About 6 minutes on one idle core.
"""
import argparse
import copy
import json
import math
import pathlib
import time

import torch
from torch.nn import functional

import story_grammar
from byte_bpe import ByteBpe
from tiny_llama import Shape, TinyLlama, write_safetensors

BOS = "<|story|>"
WINDOW = 256
BATCH = 8
LICENSE = """\
tale-llama: a small language model and the story texts beside it, both made by scripts of the
ptq project.

Licensed under the Apache License, Version 2.0 (the "License"); you may not use these files except
in compliance with the License. You may obtain a copy of the License at

    https://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software distributed under the License is
distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or
implied. See the License for the specific language governing permissions and limitations under the
License.
"""


def training_windows(tokenizer, stories, steps, rng):
    """int64 [steps * BATCH, WINDOW + 1]: windows of the token stream, half of them opened by BOS.

    Stories are separated by an empty line, and a third of them begin with BOS as well.
    """
    newline = tokenizer.encode("\n")[0]
    stream, needed = [], steps * BATCH * (WINDOW + 1)
    for story in stories:
        if torch.rand((), generator=rng) < 1 / 3:
            stream.append(0)
        stream += tokenizer.encode(story) + [newline, newline]
        if len(stream) >= needed:
            break
    windows = torch.tensor(stream[:needed]).view(-1, WINDOW + 1)
    windows[torch.rand(len(windows), generator=rng) < 0.5, 0] = 0
    return windows[torch.randperm(len(windows), generator=rng)]


def train(model, windows, options):
    """Adam without weight decay, which would shrink the outliers that make rounding visible."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1.0, betas=(0.9, 0.99), weight_decay=0.0)
    start, steps = time.time(), len(windows) // BATCH
    for step in range(steps):
        warmup, left = min(1.0, (step + 1) / 100), 1 - step / steps
        optimizer.param_groups[0]["lr"] = options.rate * warmup * (0.02 + 0.98 * left)
        batch = windows[step * BATCH:(step + 1) * BATCH]
        loss = functional.cross_entropy(model(batch[:, :-1]).flatten(0, 1), batch[:, 1:].flatten())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 100 == 0 or step + 1 == steps:
            seconds = time.time() - start
            print(f"step {step:5d} loss {loss.item():.4f} seconds {seconds:.0f}", flush=True)
        if step % 300 == 299:
            save_model(model, options.out)


def save_model(model, out):
    write_safetensors(out / "model.safetensors", dict(model.named_parameters()))


def save_side_files(tokenizer, shape, out):
    def write(name, value):
        text = json.dumps(value, indent=1, ensure_ascii=False)
        (out / name).write_text(text + "\n", encoding="utf-8")

    write("config.json", shape.config())
    write("tokenizer.json", tokenizer.to_json())
    write("tokenizer_config.json",
          {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": BOS, "eos_token": BOS,
           "clean_up_tokenization_spaces": False,
           "model_max_length": shape.max_position_embeddings})
    write("generation_config.json", {"bos_token_id": 0, "eos_token_id": 0})
    (out / "LICENSE").write_text(LICENSE, encoding="utf-8")


def mean_loss(model, ids):
    """Mean negative log-likelihood (nats) over whole windows, each predicting WINDOW - 1 tokens."""
    windows = torch.tensor(ids[:len(ids) // WINDOW * WINDOW]).view(-1, WINDOW)
    total = 0.0
    with torch.no_grad():
        for batch in windows.split(16):
            logits = model(batch)[:, :-1].flatten(0, 1)
            loss = functional.cross_entropy(logits, batch[:, 1:].flatten(), reduction="sum")
            total += loss.double().item()
    return total / (len(windows) * (WINDOW - 1))


def unigram_loss(train_ids, held_ids, vocab_size):
    """Mean negative log-likelihood (nats) under the add-one frequencies of the training tokens."""
    counts = torch.bincount(train_ids, minlength=vocab_size).double() + 1
    return -(counts / counts.sum()).log()[torch.tensor(held_ids)].mean().item()


def rounded(model, bits, group=64):
    """A copy with every decoder linear rounded to nearest, scale = absmax / ((2^bits - 1) / 2)."""
    model = copy.deepcopy(model)
    low = -(2 ** (bits - 1))
    for linear in model.linears().values():
        groups = linear.weight.detach().reshape(-1, group)
        scale = groups.abs().amax(1, keepdim=True).clamp(min=1e-12) / ((2 ** bits - 1) / 2)
        codes = (groups / scale).round().clamp(low, -low - 1)
        linear.weight.data = (codes * scale).view_as(linear.weight)
    return model


def report(model, tokenizer, windows, held_text):
    held = [0] + tokenizer.encode(held_text)
    bytes_per_token = len(held_text) / (len(held) - 1)
    model = copy.deepcopy(model)
    for weight in model.parameters():
        weight.data = weight.data.bfloat16().float()
    rows = [("unigram", unigram_loss(windows.flatten(), held, model.shape.vocab_size)),
            ("bfloat16", mean_loss(model, held))]
    rows += [(f"{bits} bits, round to nearest, group 64", mean_loss(rounded(model, bits), held))
             for bits in (8, 4, 3, 2)]
    print(f"held-out: {len(held)} tokens of {bytes_per_token:.3f} bytes, windows of {WINDOW}")
    for name, loss in rows:
        bits_per_byte = loss / math.log(2) / bytes_per_token
        print(f"{name:36s} perplexity {math.exp(loss):9.4f}   bits per byte {bits_per_byte:.4f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--gain-spread", type=float, default=1.0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    options.out.mkdir(parents=True, exist_ok=True)

    # Three seeds far apart; a held-out story is refused wherever else it would turn up.
    held = story_grammar.corpus(options.seed + 2000, 60_000)
    forbidden = frozenset(held)
    calibration = story_grammar.corpus(options.seed + 1000, 200_000, forbidden)
    shape = Shape()
    sample = "\n\n".join(story_grammar.corpus(options.seed, 1_000_000, forbidden))
    tokenizer = ByteBpe.train(sample, shape.vocab_size, BOS)
    for name, stories in (("calibration.txt", calibration), ("heldout.txt", held)):
        (options.out / name).write_text("\n\n".join(stories) + "\n", encoding="ascii")
    save_side_files(tokenizer, shape, options.out)

    stories = (story for story in story_grammar.stories(options.seed) if story not in forbidden)
    rng = torch.Generator().manual_seed(options.seed)
    windows = training_windows(tokenizer, stories, options.steps, rng)
    model = TinyLlama(shape, options.gain_spread)
    parameters = sum(weight.numel() for weight in model.parameters())
    print(f"{parameters} parameters, {windows.numel()} training tokens", flush=True)
    train(model, windows, options)
    save_model(model, options.out)
    report(model, tokenizer, windows, (options.out / "heldout.txt").read_text(encoding="ascii"))


if __name__ == "__main__":
    main()
