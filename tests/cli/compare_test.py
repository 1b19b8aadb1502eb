#!/usr/bin/env python3
"""`ptq compare` as a user meets it: the table, the JSON, what fails and what stays behind."""
import json
import os
import signal
import subprocess
import time
import unittest

from support import CALIBRATION, HELDOUT, MODEL, PTQ, CliTestCase, load_json

DATA = ("--calibration", CALIBRATION, "--samples", "4", "--seqlen", "64", "--text", HELDOUT, "--eval-seqlen", "64", "--eval-windows", "2")


class Compare(CliTestCase):
    def setUp(self):
        super().setUp()
        os.mkdir(self.path("tmp"))
        self.environment = {**os.environ, "TMPDIR": self.path("tmp")}

    def tearDown(self):
        self.assertEqual(os.listdir(self.path("tmp")), [])

    def test_every_method_and_scheme_is_a_row(self):
        result = self.succeed("compare", "--set", "fast.preset=fast", "--schemes", "w4g64,w3g64-asym", "--linears", *DATA,
                              "--methods", "rtn,fast=gptq", MODEL, env=self.environment)
        lines = result.stdout.splitlines()
        for label in ("rtn", "fast"):
            for scheme in ("w4g64", "w3g64-asym"):
                self.assertEqual(sum(line.split()[:2] == [label, scheme] for line in lines), 1, result.stdout)
        self.assertEqual(sum(line.startswith("model.layers.") for line in lines), 28)
        self.assertIn("(4 of 4)", result.stderr)

    def test_the_json_has_the_figures_of_quantize_and_eval(self):
        report = json.loads(self.succeed("compare", MODEL, "--methods", "gptq", "--schemes", "w3g64", "--json", *DATA,
                                         env=self.environment).stdout)
        row = report["rows"][0]
        out = self.path("alone")
        self.succeed("quantize", MODEL, "--method", "gptq", "--bits", "3", "--group-size", "64", *DATA[:6], "--out", out)
        alone = json.loads(self.succeed("eval", out, "--text", HELDOUT, "--seqlen", "64", "--windows", "2", "--reference", MODEL, "--json").stdout)
        self.assertEqual(row["evaluation"]["perplexity"], alone["model"]["perplexity"])
        self.assertEqual(row["kl"]["mean_nats"], alone["kl"]["mean_nats"])
        self.assertEqual(report["windows_sha256"], alone["windows_sha256"])
        self.assertEqual(report["reference"]["perplexity"], alone["reference"]["perplexity"])
        self.assertEqual(len(row["relative_output_errors"]), 28)
        self.assertEqual(report["calibration"]["windows_used"], 4)

    def test_a_failed_run_costs_its_row_and_the_exit_code(self):
        result = self.fail_with(4, ["1 of 2 runs"], "compare", MODEL, "--methods", "rtn", "--schemes", "w3g64,w4g64", "--format", "awq",
                                "--json", *DATA, env=self.environment)
        rows = json.loads(result.stdout)["rows"]
        self.assertIn("3 bits", rows[0]["failure"])
        self.assertGreater(rows[1]["evaluation"]["perplexity"], 1)

    def test_a_method_may_read_a_store_beside_the_text(self):
        store, awq = self.path("stats"), ("--methods", "rtn,plain=awq,fisher=awq", "--set", "fisher.saliency=fisher", "--override", "v_proj:bits=8")
        self.succeed("calibrate", MODEL, "--collect", "fisher-sequence", *DATA[:6], "--out", store)
        report = json.loads(self.succeed("compare", MODEL, *awq, "--schemes", "w3g64", "--stats", store, "--json", *DATA,
                                         env=self.environment).stdout)
        self.assertEqual(report["settings"]["stats"], store)
        self.assertEqual(len({row["kl"]["mean_nats"] for row in report["rows"]}), 3)
        self.assertGreater(report["rows"][0]["bits_per_weight"], 3.25)
        self.fail_with(2, ["fisher", "--stats"], "compare", MODEL, *awq, *DATA, env=self.environment)

    def test_methods_for_whole_models_are_rows_by_both_their_parts(self):
        options = {"base": "gptq", "outliers": "0.4", "ranking": "magnitude", "exponents": "0"}
        both = ["--methods", "gptq,rq=requant", *(word for key, value in options.items() for word in ("--set", f"rq.{key}={value}"))]
        report = json.loads(self.succeed("compare", MODEL, *both, "--schemes", "w3g64", "--json", *DATA, env=self.environment).stdout)
        dense, row = report["rows"]
        out = self.path("alone")
        self.succeed("quantize", MODEL, "--method", "requant", *(word.replace("rq.", "requant.") for word in both[2:]), "--bits", "3",
                     "--group-size", "64", *DATA[:6], "--out", out)
        manifest = load_json(os.path.join(out, "ptq-manifest.json"))
        for key in ("bits_per_weight", "sparse_bits_per_weight", "total_bits_per_weight"):
            self.assertEqual(row[key], manifest[key])
        alone = json.loads(self.succeed("eval", out, "--text", HELDOUT, "--seqlen", "64", "--windows", "2", "--reference", MODEL, "--json").stdout)
        self.assertEqual(row["kl"]["mean_nats"], alone["kl"]["mean_nats"])
        self.assertEqual(dense["total_bits_per_weight"], 3.25)
        self.assertGreater(row["total_bits_per_weight"], row["bits_per_weight"])
        self.assertIsNone(row["quantize_seconds"])

    def test_tables_are_compared_with_a_store_in_place_of_the_text(self):
        tables = ("--schemes", "w3-lookup", "--format", "squeezellm", *DATA)
        methods = ("--methods", "kmeans,none=kmeans,rq=requant", "--set", "none.weights=none", "--set", "rq.base=kmeans",
                   "--set", "rq.ranking=magnitude", "--set", "rq.exponents=0")
        store, out = self.path("stats"), self.path("alone")
        self.succeed("calibrate", MODEL, "--collect", "fisher-sequence", *DATA[:6], "--out", store)
        rows = json.loads(self.succeed("compare", MODEL, *methods, *tables, "--stats", store, "--json", env=self.environment).stdout)["rows"]
        self.assertEqual(len({row["kl"]["mean_nats"] for row in rows}), 3)
        self.assertEqual([row["mean_relative_output_error"] is None for row in rows], [True, False, True])
        self.succeed("quantize", MODEL, "--method", "kmeans", "--lookup-table", "--bits", "3", "--format", "squeezellm", "--stats", store,
                     "--out", out)
        alone = json.loads(self.succeed("eval", out, "--text", HELDOUT, "--seqlen", "64", "--windows", "2", "--reference", MODEL, "--json").stdout)
        self.assertEqual(rows[0]["kl"]["mean_nats"], alone["kl"]["mean_nats"])
        result = self.fail_with(2, ["kmeans", "fisher-sequence", "--stats"], "compare", MODEL, *methods, *tables, env=self.environment)
        self.assertNotIn("comparing", result.stderr)
        result = self.fail_with(2, ["2 of 2 runs"], "compare", MODEL, "--methods", "gptq,requant", *tables, "--json", env=self.environment)
        for row in json.loads(result.stdout)["rows"]:
            self.assertIn("gptq cannot make w3-lookup", row["failure"])

    def test_a_signal_leaves_no_temporary_directory(self):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            with subprocess.Popen([PTQ, "compare", MODEL, "--methods", "learned=autoround", "--set", "learned.iterations=100000", *DATA],
                                  env=self.environment, stderr=subprocess.PIPE, text=True) as process:
                for line in process.stderr:
                    if "comparing" in line:
                        break
                while not os.listdir(self.path("tmp")):
                    self.assertIsNone(process.poll())
                    time.sleep(0.01)
                process.send_signal(number)
                process.stderr.read()
                self.assertEqual(process.wait(), 130)
            self.assertEqual(os.listdir(self.path("tmp")), [], number)

    def test_misuse_ends_with_its_exit_code_before_any_work(self):
        for mention, args in ((["gptp", "requant, rtn"], ("--methods", "rtn,gptp")), (["w4"], ("--methods", "rtn", "--schemes", "w4")),
                              (["--set awq"], ("--methods", "rtn", "--set", "awq.rows=4")), (["rtn is given twice"], ("--methods", "rtn,rtn")),
                              (["outliers", "[0.0, 5.0]"], ("--methods", "rq=requant", "--set", "rq.outliers=9")),
                              (["unknown option \"outlier\""], ("--methods", "rq=requant", "--set", "rq.outlier=1")),
                              (["no method here reads a store"], ("--methods", "rtn,requant", "--stats", self.work))):
            result = self.fail_with(2, mention, "compare", MODEL, *args, *DATA, env=self.environment)
            self.assertNotIn("comparing", result.stderr)
        self.fail_with(2, ["--text"], "compare", MODEL, "--methods", "rtn", *DATA[:6], env=self.environment)
        self.fail_with(2, ["--calibration"], "compare", MODEL, "--methods", "rtn", *DATA[6:], env=self.environment)


if __name__ == "__main__":
    unittest.main(verbosity=2)
