#!/usr/bin/env python3
"""Lookup tables as a user meets them: `ptq quantize --method kmeans`, what reads its output, and `--method requant --base kmeans`."""
import json
import os
import unittest

from support import CALIBRATION, HELDOUT, MODEL, CliTestCase, file_hashes, load_json, poison_safetensors, run

DATA = ["--calibration", CALIBRATION, "--samples", "6", "--seqlen", "48", "--threads", "2"]
TABLES = ["--lookup-table", "--format", "squeezellm", "--bits", "3"]


class LookupTestCase(CliTestCase):
    def kl(self, name, *options):
        result = self.succeed("eval", self.path(name), "--text", HELDOUT, "--seqlen", "64", "--windows", "24", "--reference", MODEL,
                              "--json", *options)
        return json.loads(result.stdout)["kl"]["mean_nats"]

    def manifest(self, name):
        return load_json(os.path.join(self.path(name), "ptq-manifest.json"))


class Lookup(LookupTestCase):
    def quantize(self, name, *options):
        self.succeed("quantize", MODEL, "--method", "kmeans", *TABLES, "--out", self.path(name), *options)
        self.succeed("verify", self.path(name))

    def collect(self, *names):
        self.succeed("calibrate", MODEL, "--collect", ",".join(names), *DATA, "--out", self.path("store"))
        return ["--stats", self.path("store")]

    def test_tables_by_fisher_information_are_nearer_than_without_and_than_grids(self):
        store = self.collect("fisher-sequence", "fisher-token")
        self.quantize("sequence", *store)
        self.quantize("token", *store, "--set", "kmeans.per=token")
        self.quantize("none", "--set", "kmeans.weights=none")
        self.succeed("quantize", MODEL, "--method", "rtn", "--bits", "3", "--group-size", "-1", "--out", self.path("grid"))
        found = {name: self.kl(name) for name in ("sequence", "token", "none", "grid")}
        self.assertLess(found["sequence"], found["none"])
        self.assertLess(found["token"], found["none"])
        self.assertLess(found["none"], found["grid"])

    def test_every_backend_runs_them_and_the_bits_are_told(self):
        self.quantize("out", "--set", "kmeans.weights=none")
        found = [self.kl("out", "--backend", backend) for backend in ("reference", "cpu", "auto")]
        self.assertLess(max(found) / min(found), 1.001)
        result = self.succeed("eval", self.path("out"), "--text", HELDOUT, "--seqlen", "64", "--windows", "4", "--json")
        self.assertEqual(json.loads(result.stdout)["backends"], {"cpu": 28})
        manifest = self.manifest("out")
        for linear in manifest["linears"]:
            self.assertEqual(linear["scheme"], {"bits": 3, "group_size": -1, "symmetric": True, "lookup": True})
            self.assertAlmostEqual(linear["bits_per_weight"], 3 + 8 * 16 / linear["shape"][1])
        inspected = json.loads(self.succeed("inspect", self.path("out"), "--json").stdout)
        self.assertEqual(inspected["format"], "squeezellm")
        self.assertIn("w3-lookup", self.succeed("inspect", self.path("out")).stdout)
        self.assertFalse(any(engine["loads"] for engine in manifest["engines"]))
        self.assertIn("lookup tables", self.succeed("verify", self.path("out")).stdout)

    def test_the_bytes_do_not_depend_on_threads(self):
        hashes = []
        for threads in ("1", "3"):
            self.quantize(threads, "--set", "kmeans.weights=none", "--threads", threads)
            hashes.append(file_hashes(self.path(threads)))
            hashes[-1].pop("ptq-manifest.json")
        self.assertEqual(*hashes)

    def test_a_table_that_is_not_finite_is_found(self):
        self.quantize("out", "--set", "kmeans.weights=none")
        shard = next(name for name in sorted(os.listdir(self.path("out"))) if name.endswith(".safetensors"))
        poison_safetensors(os.path.join(self.path("out"), shard), "model.layers.0.mlp.down_proj.lookup_table", 0x7E00)
        result = run("verify", self.path("out"))
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("not finite", result.stdout + result.stderr)

    def test_a_plan_tries_tables_by_a_method_alone(self):
        budget = ["plan", MODEL, "--estimator", "fisher", *DATA, "--target-bpw", "5", "--candidates", "w3-lookup", "--format",
                  "squeezellm", "--out", self.path("plan.json")]
        self.fail_with(2, ["w3-lookup", "--trial"], *budget)
        self.fail_with(2, ["--trial gptq cannot make w3-lookup"], *budget, "--trial", "gptq")
        self.succeed(*budget, "--trial", "kmeans")
        self.assertEqual({row["scheme"] for row in load_json(self.path("plan.json"))["linears"]}, {"w3-lookup"})
        self.quantize_by_plan()

    def quantize_by_plan(self):
        self.succeed("quantize", MODEL, "--method", "kmeans", "--set", "kmeans.weights=none", "--plan", self.path("plan.json"), "--format",
                     "squeezellm", "--out", self.path("planned"))
        self.assertEqual({linear["scheme"]["lookup"] for linear in self.manifest("planned")["linears"]}, {True})

    def test_a_config_file_may_ask_for_them(self):
        with open(self.path("job.json"), "w", encoding="utf-8") as file:
            json.dump({"method": "kmeans", "lookup-table": True, "bits": 3, "format": "squeezellm", "set": ["kmeans.weights=none"]}, file)
        self.succeed("quantize", MODEL, "--config", self.path("job.json"), "--out", self.path("out"))
        self.assertTrue(self.manifest("out")["settings"]["lookup"])


class LookupBase(LookupTestCase):
    def requant(self, name, *options):
        self.succeed("quantize", MODEL, "--method", "requant", "--base", "kmeans", *TABLES, *DATA, "--out", self.path(name), *options)
        self.succeed("verify", self.path(name))
        return self.manifest(name)

    def test_single_weights_beside_tables_bring_the_model_nearer(self):
        self.requant("dense", "--set", "requant.outliers=0", "--set", "requant.significant=0")
        manifest = self.requant("both")
        self.assertLess(self.kl("both"), self.kl("dense"))
        found = [self.kl("both", "--backend", backend) for backend in ("reference", "cpu")]
        self.assertLess(max(found) / min(found), 1.001)
        weights = sum(linear["shape"][0] * linear["shape"][1] for linear in manifest["linears"])
        tables = sum(linear["shape"][0] * 8 * 16 for linear in manifest["linears"])
        self.assertAlmostEqual(manifest["bits_per_weight"], 3 + tables / weights)
        self.assertAlmostEqual(manifest["total_bits_per_weight"], manifest["bits_per_weight"] + manifest["sparse_bits_per_weight"])
        # Of the text, not of a store in a directory that is gone.
        self.assertNotIn("ptq-partial", json.dumps(manifest["calibration"]))
        judged = self.requant("judged", "--set", "requant.exponents=0,1", "--set", "requant.held_back=2", "--set", "requant.gradient_windows=3")
        self.assertEqual([judged["calibration"][key] for key in ("windows_used", "windows_held_back")], [3, 2])

    def test_a_store_made_beforehand_gives_the_same_weights(self):
        self.requant("own")
        self.succeed("calibrate", MODEL, "--collect", "fisher-sequence", *DATA, "--out", self.path("store"))
        self.requant("given", "--stats", self.path("store"))
        self.succeed("calibrate", MODEL, "--collect", "fisher-sequence", *DATA[:2], "--samples", "2", "--seqlen", "48", "--out", self.path("few"))
        self.requant("other", "--stats", self.path("few"))
        hashes = [file_hashes(self.path(name)) for name in ("own", "given", "other")]
        for one in hashes:
            one.pop("ptq-manifest.json")
        self.assertEqual(hashes[0], hashes[1])
        self.assertNotEqual(hashes[0], hashes[2])

    def test_a_base_that_reads_gradients_beside_a_text_gets_them_too(self):
        awq = ["quantize", MODEL, "--method", "requant", "--base", "awq", "--bits", "3", "--group-size", "64", *DATA,
               "--set", "awq.saliency=fisher", "--set", "requant.significant=0"]
        self.succeed(*awq, "--out", self.path("own"))
        self.succeed("verify", self.path("own"))
        self.succeed("calibrate", MODEL, "--collect", "fisher-sequence", *DATA, "--out", self.path("store"))
        self.succeed(*awq, "--stats", self.path("store"), "--out", self.path("given"))
        hashes = [file_hashes(self.path(name)) for name in ("own", "given")]
        for one in hashes:
            one.pop("ptq-manifest.json")
        self.assertEqual(*hashes)

    def test_what_cannot_be_done_is_refused(self):
        start = ["quantize", MODEL, "--method", "requant", *TABLES, *DATA]
        self.fail_with(2, ["gptq cannot make w3-lookup"], *start, "--base", "gptq", "--out", self.path("out"))
        self.assertEqual(os.listdir(self.work), [])


if __name__ == "__main__":
    unittest.main()
