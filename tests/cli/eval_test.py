#!/usr/bin/env python3
"""`ptq eval`, `inspect`, `verify`, `list` and the program itself as a user meets them."""
import json
import math
import os
import unittest
import unittest.mock

from support import HELDOUT, MODEL, ROOT, CliTestCase, load_json, run

SHORT = ["--text", HELDOUT, "--seqlen", "64", "--windows", "4"]


class Evaluation(CliTestCase):
    def test_a_model_has_no_divergence_from_itself(self):
        result = json.loads(self.succeed("eval", MODEL, *SHORT, "--reference", MODEL, "--json").stdout)
        self.assertEqual(result["kl"]["mean_nats"], 0)
        self.assertEqual(result["kl"]["top1_agreement"], 1)
        self.assertEqual(result["model"]["perplexity"], result["reference"]["perplexity"])
        self.assertAlmostEqual(result["model"]["perplexity"], math.exp(result["model"]["mean_nll_nats"]), places=9)

    def test_every_protocol_says_its_name(self):
        for protocol in ("gptq", "llama.cpp", "sliding"):
            args = ["eval", MODEL, *SHORT, "--protocol", protocol, "--stride", "32"]
            self.assertEqual(json.loads(self.succeed(*args, "--json").stdout)["model"]["protocol"], protocol)
            self.assertIn(protocol, self.succeed(*args).stdout)

    def test_token_rows_are_evaluated_as_they_are(self):
        rows = self.path("rows.json")
        with open(rows, "w", encoding="utf-8") as file:
            json.dump([list(range(1, 33)), list(range(33, 65))], file)
        result = json.loads(self.succeed("eval", MODEL, "--tokens", rows, "--json").stdout)
        self.assertEqual(result["model"]["windows"], 2)
        self.assertEqual(result["model"]["scored_tokens"], 62)

    def test_gates_end_with_exit_6_and_still_print_the_result(self):
        perplexity = json.loads(self.succeed("eval", MODEL, *SHORT, "--json").stdout)["model"]["perplexity"]
        self.succeed("eval", MODEL, *SHORT, "--max-perplexity", str(perplexity + 0.01))
        result = self.fail_with(6, ["perplexity"], "eval", MODEL, *SHORT, "--max-perplexity", str(perplexity - 0.01), "--json")
        self.assertEqual(json.loads(result.stdout)["model"]["perplexity"], perplexity)

    def test_a_baseline_holds_for_its_own_text_only(self):
        baseline = self.path("baseline.json")
        self.succeed("eval", MODEL, *SHORT, "--write-baseline", baseline)
        self.succeed("eval", MODEL, *SHORT, "--baseline", baseline, "--tolerance", "0.001")
        self.fail_with(2, ["seqlen"], "eval", MODEL, "--text", HELDOUT, "--seqlen", "32", "--windows", "4", "--baseline", baseline)
        changed = load_json(baseline)
        changed["perplexity"] *= 0.9
        with open(baseline, "w", encoding="utf-8") as file:
            json.dump(changed, file)
        self.fail_with(6, ["baseline"], "eval", MODEL, *SHORT, "--baseline", baseline)

    def test_backends_agree_and_are_reported(self):
        out = self.path("four")
        self.succeed("quantize", MODEL, "--method", "rtn", "--bits", "4", "--group-size", "32", "--out", out)
        results = {name: json.loads(self.succeed("eval", out, *SHORT, "--backend", name, "--json").stdout)
                   for name in ("auto", "cpu", "reference")}
        for name, result in results.items():
            self.assertEqual(result["model"]["perplexity"], results["reference"]["model"]["perplexity"])
            self.assertEqual(list(result["backends"]), ["cpu" if name == "auto" else name])
            self.assertEqual(result["backends_left_out"] if name != "auto" else [], [])
        self.assertIn("on cpu", self.succeed("eval", out, *SHORT).stdout)
        self.assertEqual(json.loads(self.succeed("eval", MODEL, *SHORT, "--json").stdout)["backends"], {})

    def test_backends_left_out_are_told_with_the_reason(self):
        with unittest.mock.patch.dict(os.environ, PTQ_CUDA_MODULE=self.path("absent.so")):
            result = self.succeed("eval", MODEL, *SHORT, "--json", "--log-level", "debug")
            left_out = json.loads(result.stdout)["backends_left_out"]
            self.assertEqual([text.split(":")[0] for text in left_out], ["cuda"])
            self.assertIn("absent.so", left_out[0])
            self.assertIn("not used: backend " + left_out[0], result.stderr)
            # What a machine has never had is nothing to tell in every run.
            self.assertNotIn("not used", self.succeed("eval", MODEL, *SHORT).stderr)

    def test_options_of_backends_are_checked(self):
        for setting, text in (("cuda.path=slow", "auto|fused|dequantize"), ("cuda.speed=1", "unknown option"), ("fast.a=1", "known: "),
                              ("cuda", "NAME.key=value")):
            self.fail_with(2, [text], "eval", MODEL, *SHORT, "--set", setting)
        self.fail_with(2, ["not asked for"], "eval", MODEL, *SHORT, "--backend", "cpu", "--set", "cuda.path=fused")

    def test_a_backend_that_cannot_run_ends_with_exit_4(self):
        self.fail_with(4, ["no quantized linear"], "eval", MODEL, *SHORT, "--backend", "cpu")
        out = self.path("three")
        self.succeed("quantize", MODEL, "--method", "rtn", "--bits", "3", "--group-size", "32", "--out", out)
        self.fail_with(4, ["4-bit codes, not 3-bit", "q_proj"], "eval", out, *SHORT, "--backend", "cpu")
        self.assertIn("on reference", self.succeed("eval", out, *SHORT).stdout)
        self.fail_with(2, ["known: "], "eval", out, *SHORT, "--backend", "fast")

    def test_misuse_ends_with_its_exit_code(self):
        self.fail_with(2, ["--text"], "eval", MODEL)
        self.fail_with(2, ["--reference"], "eval", MODEL, *SHORT, "--max-kl", "1")
        self.fail_with(2, ["absent.txt"], "eval", MODEL, "--text", self.path("absent.txt"))
        self.fail_with(2, ["absent"], "eval", self.path("absent"), *SHORT)


class Inspection(CliTestCase):
    def test_verify_finds_a_changed_byte(self):
        out = self.path("out")
        self.succeed("quantize", MODEL, "--method", "rtn", "--group-size", "64", "--out", out)
        self.assertIn("ok      hashes", self.succeed("verify", out).stdout)
        shard = os.path.join(out, sorted(n for n in os.listdir(out) if n.endswith(".safetensors"))[0])
        with open(shard, "r+b") as file:
            file.seek(-5, os.SEEK_END)
            byte = file.read(1)
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte[0] ^ 1]))
        self.fail_with(3, ["hashes", os.path.basename(shard)], "verify", out)
        self.fail_with(4, ["not quantized"], "verify", MODEL)

    def test_inspect_counts_what_is_there(self):
        inspected = json.loads(self.succeed("inspect", MODEL, "--json").stdout)
        self.assertIsNone(inspected["format"])
        sizes = sum(os.path.getsize(os.path.join(MODEL, n)) for n in os.listdir(MODEL) if n.endswith(".safetensors"))
        total = inspected["linear_bytes"] + inspected["other_bytes"]
        self.assertLess(total, sizes)
        self.assertGreater(total, 0.9 * sizes)  # all but the header

    def test_list_names_every_plugin_with_its_options(self):
        listed = json.loads(self.succeed("list", "--json").stdout)
        self.assertLessEqual({"rtn", "gptq"}, set(listed["quantizer"]))
        self.assertLessEqual({"awq", "compressed-tensors", "gptq", "gptq_v2"}, set(listed["format"]))
        self.assertLessEqual({"llama", "mistral", "qwen2", "qwen3", "opt"}, set(listed["family"]))
        self.assertIn("damping", [option["key"] for option in listed["quantizer"]["gptq"]["options"]])


class Program(CliTestCase):
    def test_usage_errors_end_with_exit_2(self):
        for args in ([], ["quantise"], ["eval"], ["eval", MODEL, "--no-such-flag"]):
            self.assertEqual(run(*args).returncode, 2, args)
        self.assertEqual(run("--help").returncode, 0)
        self.assertEqual(run("--version").returncode, 0)

    def test_every_config_in_the_repository_is_accepted(self):
        folder = os.path.join(ROOT, "configs")
        for name in sorted(os.listdir(folder)):
            with self.subTest(name):
                args = ["--dry-run", "--group-size", "64", "--samples", "2", "--seqlen", "32", "--calibration", HELDOUT]
                self.succeed("quantize", MODEL, "--config", os.path.join(folder, name), *args)


if __name__ == "__main__":
    unittest.main(verbosity=2)
