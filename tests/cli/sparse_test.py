#!/usr/bin/env python3
"""Single weights beside a quantized checkpoint, and `ptq export`."""
import json
import os
import struct
import unittest

from support import (CALIBRATION, HELDOUT, MODEL, SPARSE, CliTestCase, file_hashes, load_json, poison_safetensors,
                     sparse_tensors, write_sparse)

DOWN, KEY = "model.layers.1.mlp.down_proj", "model.layers.0.self_attn.k_proj"
SHAPES = {DOWN: (128, 384), KEY: (64, 128)}
# Row pointers, then one column of 2 or 1 bytes and one value of 2 a row.
BYTES = {DOWN: 4 * 129 + 128 * 4, KEY: 4 * 65 + 64 * 3}


class SparseCase(CliTestCase):
    def quantized(self, layout="compressed-tensors", name="packed"):
        out = self.path(name)
        self.succeed("quantize", MODEL, "--method", "rtn", "--group-size", "64", "--format", layout, "--out", out)
        return out

    def perplexity(self, directory, *options):
        evaluated = self.succeed("eval", directory, "--text", HELDOUT, "--seqlen", "64", "--windows", "4", "--json", *options)
        return json.loads(evaluated.stdout)["model"]["perplexity"]

    def shards(self, directory):
        """Path, header and data of every shard."""
        for name in sorted(os.listdir(directory)):
            if not name.endswith(".safetensors"):
                continue
            with open(os.path.join(directory, name), "rb") as file:
                header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
                yield os.path.join(directory, name), header, file.read()


class Sparse(SparseCase):
    def test_single_weights_count_and_are_told_of(self):
        out = self.quantized()
        dense = self.perplexity(out)
        before = json.loads(self.succeed("inspect", out, "--json").stdout)
        write_sparse(out, sparse_tensors(SHAPES, value=4.0))
        on = {name: self.perplexity(out, "--backend", name) for name in ("cpu", "reference")}
        self.assertGreater(on["cpu"], 1.5 * dense)  # weights of 4 where others are 0.04 apart do harm
        # float32 sums of at most 384 terms in two orders: some 1e-5 of a logit, hence of a loss.
        self.assertLess(abs(on["cpu"] / on["reference"] - 1), 1e-4)
        text = self.succeed("eval", out, "--text", HELDOUT, "--seqlen", "64", "--windows", "4").stdout
        self.assertIn("with 192 single weights", text)

        after = json.loads(self.succeed("inspect", out, "--json").stdout)
        for key, value in before.items():
            if key not in ("linears", "sparse_values", "sparse_bytes", "sparse_bits_per_weight", "total_bits_per_weight"):
                self.assertEqual(after[key], value, key)
        self.assertEqual((after["sparse_values"], after["sparse_bytes"]), (192, sum(BYTES.values())))
        for linear in after["linears"]:
            count = linear["shape"][0] * linear["shape"][1]
            self.assertEqual(linear["sparse_bytes"], BYTES.get(linear["name"], 0))
            self.assertAlmostEqual(linear["sparse_bits_per_weight"], 8 * BYTES.get(linear["name"], 0) / count)
            self.assertAlmostEqual(linear["total_bits_per_weight"],
                                   linear["bits_per_weight"] + linear["sparse_bits_per_weight"])
        self.assertIn("4.253 + 0.167 = 4.420", self.succeed("inspect", out).stdout)  # 8 * 1028 / (128 * 384) of DOWN

    def test_verify_decodes_every_single_weight(self):
        out = self.quantized()
        write_sparse(out, sparse_tensors(SHAPES))
        os.remove(os.path.join(out, "ptq-manifest.json"))  # its hash of config.json
        self.assertIn("ok      single weights: 192 in 2 linears", self.succeed("verify", out).stdout)
        poison_safetensors(os.path.join(out, SPARSE), KEY + ".sparse_val", 0x7f80)
        self.fail_with(3, ["single weights", SPARSE, KEY + ".sparse_val", "not finite"], "verify", out)
        self.fail_with(3, [KEY + ".sparse_val"], "eval", out, "--text", HELDOUT, "--seqlen", "64", "--windows", "4")

    def test_a_store_of_statistics_belongs_to_the_single_weights_too(self):
        out, store = self.quantized(), self.path("store")
        write_sparse(out, sparse_tensors(SHAPES))
        self.succeed("calibrate", out, "--calibration", CALIBRATION, "--samples", "2", "--seqlen", "32", "--collect", "gram",
                     "--out", store)
        self.assertIn(SPARSE, json.dumps(load_json(os.path.join(store, "manifest.json"))))

    def test_a_quantized_directory_is_not_quantized_again(self):
        out = self.quantized()
        write_sparse(out, sparse_tensors(SHAPES))
        self.fail_with(4, ["already quantized"], "quantize", out, "--method", "rtn", "--out", self.path("again"))


class Export(SparseCase):
    def test_the_exported_model_is_the_packed_one_in_every_format(self):
        for layout in ("compressed-tensors", "gptq", "gptq_v2", "awq"):
            packed, plain = self.quantized(layout, layout), self.path(layout + "-plain")
            write_sparse(packed, sparse_tensors(SHAPES, value=1.0))
            self.succeed("export", packed, "--dense", "--out", plain)
            config = load_json(os.path.join(plain, "config.json"))
            self.assertEqual(config, load_json(os.path.join(MODEL, "config.json")))
            for name in (SPARSE, "quantize_config.json", "ptq-manifest.json"):
                self.assertNotIn(name, os.listdir(plain))
            kept = file_hashes(plain)
            for name in ("tokenizer.json", "generation_config.json"):
                self.assertEqual(kept[name], file_hashes(MODEL)[name])
            inspected = json.loads(self.succeed("inspect", plain, "--json").stdout)
            self.assertEqual({linear["scheme"] for linear in inspected["linears"]}, {"BFloat16"})
            self.assertEqual(inspected["other_bytes"], json.loads(self.succeed("inspect", MODEL, "--json").stdout)["other_bytes"])
            # Rounding to bfloat16 moves a weight by up to 2^-9 of it, on 4-bit grids of bfloat16 scales mostly by
            # less; seen: 1e-4 of the perplexity.
            self.assertLess(abs(self.perplexity(plain) / self.perplexity(packed) - 1), 2e-3)

    def test_the_single_weights_are_in_their_places(self):
        packed, plain = self.quantized(), self.path("plain")
        write_sparse(packed, sparse_tensors(SHAPES, value=-3.0))
        self.succeed("export", packed, "--dense", "--out", plain)
        found = 0
        for _, header, data in self.shards(plain):
            for name, (rows, columns) in SHAPES.items():
                if name + ".weight" not in header:
                    continue
                found += 1
                begin, end = header[name + ".weight"]["data_offsets"]
                bits = struct.unpack(f"<{rows * columns}H", data[begin:end])
                places = {(i // columns, i % columns) for i, value in enumerate(bits) if value == 0xc040}  # -3
                self.assertEqual(places, {(row, row * 7 % columns) for row in range(rows)})
        self.assertEqual(found, 2)

    def test_what_cannot_be_exported_says_why(self):
        packed, plain = self.quantized(), self.path("plain")
        self.fail_with(2, ["--dense"], "export", packed, "--out", plain)
        self.fail_with(4, ["not quantized"], "export", MODEL, "--dense", "--out", plain)
        self.fail_with(2, [], "export", packed, "--dense", "--out", packed, "--overwrite")
        self.succeed("export", packed, "--dense", "--out", plain)
        self.fail_with(2, ["--overwrite"], "export", packed, "--dense", "--out", plain)
        self.succeed("export", packed, "--dense", "--out", plain, "--overwrite")

    def test_a_weight_beyond_the_range_leaves_no_output(self):
        packed, plain = self.quantized(), self.path("plain")
        for shard, header, _ in self.shards(packed):
            if DOWN + ".weight_scale" in header:
                poison_safetensors(shard, DOWN + ".weight_scale", 0x7f7f)  # bfloat16's largest: 2 of it are too much
        self.fail_with(5, [DOWN, "BFloat16"], "export", packed, "--dense", "--out", plain)
        self.assertFalse([name for name in os.listdir(self.work) if name.startswith("plain")])


if __name__ == "__main__":
    unittest.main(verbosity=2)
