#!/usr/bin/env python3
"""`ptq quantize --method requant` as a user meets it: both parts, budgets, interruption and resumption, refusals."""
import json
import os
import resource
import shutil
import signal
import subprocess
import time
import unittest

from support import CALIBRATION, HELDOUT, MODEL, PTQ, CliTestCase, file_hashes, load_json

DATA = ["--calibration", CALIBRATION, "--samples", "6", "--seqlen", "48", "--threads", "2"]
SCHEME = ["--group-size", "64"]
TABLES = ["--base", "kmeans", "--lookup-table", "--format", "squeezellm"]
RANKINGS = ("pqi", "pqi-signed", "endpoint", "endpoint-signed", "fisher", "fisher-error", "magnitude", "random")


def settings(**values):
    return [word for key, value in values.items() for word in ("--set", f"requant.{key}={value}")]


class Requant(CliTestCase):
    def requant(self, name, *options, bits="3"):
        """Writes `name` and returns its manifest."""
        self.succeed("quantize", MODEL, "--method", "requant", "--out", self.path(name), *SCHEME, *DATA, "--bits", bits, *options)
        return load_json(os.path.join(self.path(name), "ptq-manifest.json"))

    def kl(self, name, *options):
        result = self.succeed("eval", self.path(name), "--text", HELDOUT, "--seqlen", "64", "--windows", "24", "--reference", MODEL,
                              "--json", *options)
        return json.loads(result.stdout)["kl"]["mean_nats"]

    def test_both_parts_verify_and_evaluate_alike_on_every_backend(self):
        for base, bits in (("rtn", "3"), ("gptq", "4"), ("awq", "4")):
            manifest = self.requant(base, "--base", base, *settings(outliers=0.4, significant=0), bits=bits)
            self.succeed("verify", self.path(base))
            values = sum(linear["sparse_values"] for linear in manifest["linears"])
            weights = sum(linear["shape"][0] * linear["shape"][1] for linear in manifest["linears"])
            self.assertAlmostEqual(values / weights, 0.004, delta=28 / weights)  # every linear rounds down
            self.assertGreater(manifest["sparse_bits_per_weight"], 0)
            self.assertAlmostEqual(manifest["total_bits_per_weight"], manifest["bits_per_weight"] + manifest["sparse_bits_per_weight"])
            config = load_json(os.path.join(self.path(base), "config.json"))
            self.assertEqual(config["ptq_sparse"]["values"], values)
            self.assertTrue(all("dense part alone" in engine["note"] for engine in manifest["engines"] if engine["loads"]))
            found = [self.kl(base, "--backend", backend) for backend in (("reference", "cpu") if bits == "4" else ("reference",))]
            self.assertLess(max(found) / min(found), 1.001)

    def test_single_weights_bring_the_model_nearer(self):
        self.requant("dense", *settings(outliers=0, significant=0))
        self.requant("outliers", *settings(outliers=0.5, significant=0))
        manifest = self.requant("significant", *settings(outliers=0, significant=0.5, ranking="pqi"))
        self.assertLess(self.kl("outliers"), self.kl("dense"))
        self.assertLess(self.kl("significant"), self.kl("dense"))
        steps = manifest["method"]["steps"]
        self.assertEqual(len(steps), 2)
        for step in steps:  # of a path so long four nodes miss at most a fiftieth: the bound
            measured = step["nll_before"] - step["nll_unquantized"]
            self.assertAlmostEqual(step["predicted_change"] / measured, 1, delta=0.02)
        self.assertNotIn("ptq_sparse", load_json(os.path.join(self.path("dense"), "config.json")))

    def test_a_base_that_changes_the_model_is_integrated_from_what_it_makes_of_it(self):
        manifest = self.requant("out", "--base", "awq", *settings(exponents="0,1", held_back=2, significant=0.2, ranking="pqi", requantize="false"))
        self.succeed("verify", self.path("out"))
        for step in manifest["method"]["steps"]:
            measured = step["nll_before"] - step["nll_unquantized"]
            self.assertAlmostEqual(step["predicted_change"] / measured, 1, delta=0.02)
        self.requant("dense", "--base", "awq", *settings(outliers=0, significant=0))
        self.assertLess(self.kl("out"), self.kl("dense"))

    def test_every_ranking_takes_its_number_of_other_weights(self):
        hashes = set()
        for ranking in RANKINGS:
            manifest = self.requant(ranking, *settings(outliers=0, significant=0.1, ranking=ranking, nodes=1, requantize="false"))
            weights = sum(linear["shape"][0] * linear["shape"][1] for linear in manifest["linears"])
            self.assertEqual(sum(linear["sparse_values"] for linear in manifest["linears"]), weights // 1000, ranking)
            hashes.add(file_hashes(self.path(ranking))["ptq-sparse.csr"])
        self.assertEqual(len(hashes), len(RANKINGS))

    def test_within_a_tensor_every_linear_has_the_same_share(self):
        manifest = self.requant("out", *settings(outliers=0, significant=0.5, ranking="magnitude", scope="tensor", steps=1))
        for linear in manifest["linears"]:
            weights = linear["shape"][0] * linear["shape"][1]
            self.assertAlmostEqual(linear["sparse_values"], weights * 0.005, delta=1, msg=linear["name"])

    def test_of_several_exponents_the_best_on_windows_held_back_is_taken(self):
        candidates = self.requant("out", *settings(significant=0, exponents="0,1", held_back=2))["method"]["candidates"]
        self.assertEqual([one["exponent"] for one in candidates], [0, 1])
        self.assertEqual([one["chosen"] for one in candidates],
                         [one["nll_held_back"] == min(other["nll_held_back"] for other in candidates) for one in candidates])

    def test_a_target_is_held_and_divided_between_groups_and_single_weights(self):
        for target in (3.3, 3.9):
            manifest = self.requant(f"at-{target}", *settings(target_bpw=target, group_sizes="32,64,128", significant=0, held_back=2))
            self.assertLessEqual(manifest["total_bits_per_weight"], target)
            tried = [one["group_size"] for one in manifest["method"]["candidates"]]
            self.assertEqual(tried, [64, 128] if target == 3.3 else [32, 64, 128])

    def test_what_cannot_be_done_is_refused(self):
        start = ["quantize", MODEL, "--method", "requant", "--out", self.path("out"), "--bits", "3"]
        cases = [
            (2, ["calibration"], []),
            (2, ["base", "gptq"], [*DATA, "--base", "none"]),
            (4, ["autoround", "single weights"], [*DATA, "--base", "autoround"]),
            (2, ["3.2500", "target"], [*DATA, "--target-bpw", "3.1"]),
            (2, ["3.2500", "target"], [*DATA, *settings(target_bpw=3.1, group_sizes="32,64")]),
            (2, ["group_sizes", "budget"], [*DATA, *settings(group_sizes="32,64")]),
            (2, ["exponents", "number"], [*DATA, *settings(exponents="0,x")]),
            (2, ["exponents", "number"], [*DATA, *settings(exponents="true")]),
            (2, ["exponents", "[0, 8]"], [*DATA, *settings(exponents="0,9")]),
            (2, ["exponents", "once"], [*DATA, *settings(exponents="1,1")]),
            (2, ["exponents", "empty"], [*DATA, *settings(exponents="")]),
            (2, ["held back", "6"], [*DATA, *settings(exponents="0,1", held_back=6)]),
            (2, ["rtn"], [*DATA, "--set", "rtn.grid=mse"]),
            (4, ["48", "q_proj"], [*DATA, "--group-size", "48"]),
            (4, ["3 bits"], [*DATA, "--format", "awq"]),
        ]
        for code, mention, options in cases:
            with self.subTest(options):
                self.fail_with(code, mention, *start, *([] if "--group-size" in options else SCHEME), *options)
                self.assertEqual(os.listdir(self.work), [])

    def test_a_dry_run_is_of_a_group_size_that_is_tried(self):
        start = ["quantize", MODEL, "--method", "requant", "--dry-run", "--json", *DATA, "--bits", "3", "--group-size", "32"]
        plan = json.loads(self.succeed(*start, "--target-bpw", "3.3", *settings(group_sizes="64,128")).stdout)
        self.assertEqual({row["scheme"] for row in plan["linears"]}, {"w3g64"})
        self.fail_with(4, ["autoround"], *start, "--base", "autoround")

    def dry_run(self, *options):
        result = self.succeed("quantize", MODEL, "--method", "requant", "--dry-run", "--json", *SCHEME, *DATA, "--bits", "3", *options)
        return json.loads(result.stdout)

    def test_a_dry_run_tells_of_the_whole_run_and_writes_nothing(self):
        plan = self.dry_run()
        weights = sum(row["shape"][0] * row["shape"][1] for row in plan["linears"])
        notes = " ".join(plan["notes"])
        self.assertIn(f"{weights * 25 // 10000} outliers and {weights * 25 // 10000} significant weights", notes)
        self.assertIn("runs of gptq: 3; sweeps with gradients: 5, without: 2", notes)
        self.assertEqual(plan["runs"], 3)
        self.assertGreater(plan["disk_bytes"], 3 * plan["bytes"]["output"])
        self.assertGreater(plan["bytes"]["output"], self.dry_run(*settings(outliers=0, significant=0))["bytes"]["output"])
        text = self.succeed("quantize", MODEL, "--method", "requant", "--dry-run", *SCHEME, *DATA, "--bits", "3").stdout
        self.assertIn("times 3 runs", text)
        self.assertIn("before the run ends", text)
        self.assertEqual(os.listdir(self.work), [])

    def test_a_dry_run_does_without_the_statistics_that_the_run_collects(self):
        grids = ["--base", "gptq", *SCHEME, "--set", "gptq.hessian=weighted"]
        for base in ([*TABLES], grids):
            start = ["quantize", MODEL, "--method", "requant", "--dry-run", *DATA, "--bits", "3", *base]
            plan = json.loads(self.succeed(*start, "--json").stdout)
            self.assertIsNone(plan["estimated_seconds"])
            self.assertEqual(plan["runs"], 3)
            self.assertIn("time not known", self.succeed(*start).stdout)
        self.assertEqual(os.listdir(self.work), [])

    def test_a_limit_of_memory_holds_for_the_sweeps_too(self):
        start = ["quantize", MODEL, *SCHEME, "--bits", "3", "--calibration", CALIBRATION, "--samples", "40", "--seqlen", "48"]
        requant = ["--method", "requant", "--base", "rtn", *settings(outliers=0, significant=0.5, ranking="endpoint", steps=1)]
        need = json.loads(self.succeed(*start, *requant, "--dry-run", "--json").stdout)["memory_bytes"]
        low = ["--memory-limit", str(need - 1)]
        self.fail_with(7, ["gradients", "--memory-limit"], *start, *requant, *low, "--dry-run")
        self.fail_with(7, ["gradients", "--memory-limit"], *start, *requant, *low, "--out", self.path("out"))
        self.assertEqual(os.listdir(self.work), [])
        self.succeed(*start, "--method", "rtn", *low, "--out", self.path("base"))
        self.succeed(*start, *requant, "--memory-limit", str(need), "--out", self.path("out"))

    @staticmethod
    def write_little():
        """A program that is not refused shall not fill the disk."""
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 28, 1 << 28))

    def test_a_disk_that_is_too_small_is_refused_before_any_work(self):
        model = self.path("model")
        shutil.copytree(MODEL, model)
        with open(os.path.join(model, "NOTICE"), "wb") as file:  # copied by every run; nothing is written in it
            file.truncate(1 << 43)
        result = self.fail_with(7, ["bytes", "free"], "quantize", model, "--method", "requant", "--out", self.path("out"), *SCHEME, *DATA,
                                "--bits", "3", preexec_fn=self.write_little)
        self.assertIn("runs of gptq: 3", result.stderr)
        self.assertNotIn("block 0", result.stderr)
        self.assertEqual(os.listdir(self.work), ["model"])


class Interruption(CliTestCase):
    def test_a_killed_run_resumes_to_the_same_bytes(self):
        self.resumes(exponents="0,1", held_back=2, significant=0.2, ranking="pqi", steps=3)

    def test_a_killed_run_whose_codes_stay_resumes_to_the_same_bytes(self):
        self.resumes(exponents="0,1", held_back=2, significant=0.2, ranking="endpoint", requantize="false")

    def test_a_killed_run_whose_base_reads_gradients_resumes_to_the_same_bytes(self):
        self.resumes(*TABLES, exponents="0,1", held_back=2, significant=0.2, scheme=())

    def resumes(self, *more, scheme=SCHEME, **values):
        """A run killed behind every part goes on to the bytes of a whole one."""
        options = ["--method", "requant", *scheme, "--bits", "3", *DATA, *more, *settings(**values)]
        self.succeed("quantize", MODEL, "--out", self.path("whole"), *options)
        out, killed = self.path("killed"), 0
        for _ in range(40):
            command = [PTQ, "quantize", MODEL, "--out", out, *options, *(["--resume"] if os.path.exists(out + ".ptq-partial") else [])]
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            if self.ends_before_more_work(process, out + ".ptq-partial"):
                break
            process.send_signal(signal.SIGKILL)
            process.wait()
            killed += 1
        else:
            self.succeed("quantize", MODEL, "--out", out, *options, "--resume")
        self.assertGreater(killed, 5, "hardly any run was killed: the test shows nothing")
        self.assert_same_output(self.path("whole"), out)
        self.assertFalse(os.path.exists(out + ".ptq-partial"))

    def ends_before_more_work(self, process, partial):
        """Waits until the run has finished one more part, or itself."""
        def parts():
            runs = os.path.join(partial, "runs")
            try:
                return sum(not name.endswith(".ptq-partial") for name in os.listdir(runs))
            except FileNotFoundError:
                return 0

        before = parts()
        while process.poll() is None:
            if parts() > before:
                return False
            time.sleep(0.002)
        self.assertEqual(process.returncode, 0)
        return True


if __name__ == "__main__":
    unittest.main()
