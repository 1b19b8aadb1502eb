#!/usr/bin/env python3
"""`ptq calibrate`, `ptq stats merge` and `ptq sensitivity` as a user meets them."""
import collections
import csv
import json
import math
import os
import shutil
import signal
import subprocess
import unittest

from support import CALIBRATION, HELDOUT, MODEL, PTQ, ROOT, CliTestCase, file_hashes, load_json, poison_safetensors, read_safetensors

DATA = ["--calibration", CALIBRATION, "--samples", "6", "--seqlen", "48", "--threads", "2"]
SHARED = os.path.join(ROOT, "../shared/data/models/TinyStories-656K")


class Calibration(CliTestCase):
    def collect(self, name, *more):
        self.succeed("calibrate", MODEL, "--out", self.path(name), *DATA, *more)
        return self.path(name)

    def test_shards_merge_to_what_one_run_gives(self):
        statistics = ["--collect", "gram,token-energy,fisher-sequence,gradient-energy"]
        whole = self.collect("whole", *statistics)
        parts = [self.collect(f"part{i}", *statistics, "--shard", f"{i}/3") for i in (3, 1, 2)]
        self.succeed("stats", "merge", *parts, "--out", self.path("merged"))
        self.assert_same_sums(whole, self.path("merged"))

    def assert_same_sums(self, first, second):
        """Equal counts, and sums equal up to the rounding of float32 sums over the same numbers in another order."""
        manifests = [load_json(os.path.join(path, "manifest.json")) for path in (first, second)]
        for count in ("sequences", "tokens", "targets", "windows"):
            self.assertEqual(manifests[0][count], manifests[1][count])
        for name in sorted(os.listdir(first)):
            if not name.endswith(".safetensors"):
                continue
            one, other = (read_safetensors(os.path.join(path, name)) for path in (first, second))
            self.assertEqual(one.keys(), other.keys())
            for key in one:
                largest = max(abs(v) for v in one[key])
                for a, b in zip(one[key], other[key]):
                    self.assertLessEqual(abs(a - b), 1e-5 * largest, key)

    def test_sets_of_windows_give_what_all_windows_at_once_give(self):
        for statistics in ("gram,mean-magnitude", "gram,token-energy,fisher-sequence,gradient-energy"):
            name = statistics.rpartition(",")[2]
            more = ["--collect", statistics, "--labels", "sampled"]  # a draw must not depend on the set
            whole = self.collect(name, *more)
            for size in (1, 4):
                self.assert_same_sums(whole, self.collect(f"{name}{size}", *more, "--sequences-per-set", str(size)))
        self.fail_with(2, ["--sequences-per-set"], "calibrate", MODEL, "--collect", "gram", *DATA, "--sequences-per-set", "-1", "--out",
                       self.path("x"))

    def test_the_memory_of_each_statistic_is_told_before_the_work(self):
        result = self.succeed("calibrate", MODEL, "--collect", "token-energy,fisher-token", *DATA, "--sequences-per-set", "4", "--out",
                              self.path("a"), "--json")
        lines = result.stderr.splitlines()
        plan = json.loads(result.stdout)["plan"]
        # Four blocks with six linears of 128 inputs and one of 384.
        tensors = read_safetensors(os.path.join(self.path("a"), "block-00000.safetensors"))
        for statistic, width in (("fisher-token", 4), ("token-energy", 8)):
            row, = (row for row in plan["statistics"] if row["statistic"] == statistic)
            resident = sum(len(values) * width for key, values in tensors.items() if f".{statistic}." in key)
            self.assertEqual(row, {"statistic": statistic, "resident_bytes": resident, "stored_bytes": 4 * resident})
            self.assertTrue(any(f"{statistic}: " in line and "stored" in line for line in lines[:3]), lines)
        self.assertEqual(plan["state_bytes"], (4 + 3) * 4 * 48 * 128 * 4)
        self.assertEqual(plan["disk_bytes"], plan["state_bytes"] + sum(row["resident_bytes"] + row["stored_bytes"] for row in
                                                                      plan["statistics"]))
        summary = self.path("b/summary.json")
        self.succeed("sensitivity", MODEL, "--estimator", "gradient-weighted,pqi", "--set", "pqi.nodes=2", *DATA, "--out", self.path("b"))
        rows = [row["statistic"] for row in load_json(summary)["plan"]["statistics"]]
        self.assertEqual(rows[:2], ["gradient-energy", "token-energy"])
        self.assertIn("gradients of pqi", rows[2])

    def test_how_many_tokens_count_is_told(self):
        report = json.loads(self.succeed("calibrate", MODEL, "--collect", "gradient-energy,token-energy", *DATA, "--out",
                                         self.path("a"), "--json").stdout)
        tensors = read_safetensors(os.path.join(self.path("a"), "block-00002.safetensors"))
        name = "model.layers.2.self_attn.k_proj"
        energy, squared = (tensors[f"{name}.gradient-energy.{sum}"][0] for sum in ("energy", "energy_squared"))
        self.assertAlmostEqual(report["effective_tokens"][name], energy ** 2 / squared, places=9)
        self.assertEqual(len(report["effective_tokens"]), 28)
        for count in report["effective_tokens"].values():
            self.assertTrue(1 < count < 6 * 48)
        wanted = ["sensitivity", MODEL, "--estimator", "gradient-weighted"]
        self.succeed(*wanted, "--stats", self.path("a"), "--out", self.path("b"))
        self.assertIn("effective tokens", self.succeed(*wanted, *DATA, "--out", self.path("c")).stdout)
        for name in "bc":
            summary = load_json(self.path(f"{name}/summary.json"))
            self.assertEqual(summary["effective_tokens"], report["effective_tokens"])

    def test_a_killed_calibration_resumes_in_any_set_to_the_same_bytes(self):
        command = ["calibrate", MODEL, "--collect", "gram,fisher-sequence,token-energy", *DATA, "--sequences-per-set", "2"]
        self.succeed(*command, "--out", self.path("whole"))
        resumed = collections.Counter()
        for lines in (5, 9, 12, 13, 14, 17, 20, 21, 25, 28):  # four tell the plan, eight each of three sets
            out = self.path(f"killed{lines}")
            self.kill_after(lines, *command, "--out", out)
            if not os.path.exists(out):
                finished = os.path.join(out + ".ptq-partial", "finished.json")
                resumed[len(load_json(finished)["nll"]) if os.path.exists(finished) else 0] += 1
                self.succeed(*command, "--out", out, "--resume")
            self.assertEqual(file_hashes(self.path("whole")), file_hashes(out), f"killed after {lines} lines")
        # Which set a kill meets is up to the machine; one behind the first must be among ten.
        self.assertGreater(resumed[1] + resumed[2], 0, f"sets done where runs were killed: {resumed}")

    def test_two_runs_do_not_write_one_output(self):
        # Long enough that the first run is not done before it is halted.
        data = ["--calibration", CALIBRATION, "--samples", "48", "--seqlen", "64", "--threads", "1"]
        command = ["calibrate", MODEL, "--collect", "fisher-sequence", *data, "--out", self.path("out")]
        with subprocess.Popen([PTQ, *command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
            for _ in range(4):
                process.stderr.readline()
            process.send_signal(signal.SIGSTOP)
            try:
                for option in ("--resume", "--overwrite"):
                    self.fail_with(2, ["another run is writing to"], *command, option)
            finally:
                process.send_signal(signal.SIGCONT)
            process.stderr.read()
            self.assertEqual(process.wait(), 0)
        self.succeed(*command[:-1], self.path("alone"))
        self.assertEqual(file_hashes(self.path("alone")), file_hashes(self.path("out")))

    def test_a_store_answers_like_the_data_it_came_from(self):
        store = self.collect("store", "--collect", "mean-magnitude,mean-square,token-energy")
        wanted = ["--estimator", "activation-magnitude,covariance,gradient-weighted"]
        self.succeed("sensitivity", MODEL, *wanted, "--stats", store, "--out", self.path("a"))
        self.succeed("sensitivity", MODEL, *wanted, *DATA, "--out", self.path("b"))
        for name in ("scores.csv", "scores.safetensors"):
            self.assertEqual(file_hashes(self.path("a"))[name], file_hashes(self.path("b"))[name])

    def test_a_store_of_something_else_is_refused(self):
        store = self.collect("store", "--collect", "mean-square")
        other = self.path("other")
        shutil.copytree(MODEL, other)
        with open(os.path.join(other, "config.json"), "a", encoding="utf-8") as file:
            file.write(" ")
        self.fail_with(2, ["store", "config.json"], "sensitivity", other, "--estimator", "covariance", "--stats", store,
                       "--out", self.path("x"))
        self.fail_with(2, ["fisher-sequence", "ptq calibrate"], "sensitivity", MODEL, "--estimator", "fisher", "--stats",
                       store, "--out", self.path("x"))
        self.assertEqual(sorted(os.listdir(self.work)), ["other", "store"])

    def test_quantize_reads_a_store_in_place_of_data(self):
        store = self.collect("store", "--collect", "gram,mean-square")
        command = ["quantize", MODEL, "--bits", "3", "--group-size", "64", "--max-fallbacks", "99"]
        for name in ("a", "b"):
            self.succeed(*command, "--stats", store, "--out", self.path(name))
        self.assert_same_output(self.path("a"), self.path("b"))
        self.succeed("verify", self.path("a"))
        lacking = self.collect("lacking", "--collect", "mean-square")
        self.fail_with(2, ["gram", "--collect"], *command, "--stats", lacking, "--out", self.path("c"))
        self.fail_with(2, ["--stats"], *command, "--stats", store, "--calibration", CALIBRATION, "--out", self.path("c"))
        self.fail_with(2, ["rtn"], *command, "--method", "rtn", "--stats", store, "--out", self.path("c"))
        self.fail_with(2, ["--stats", "--calibration"], *command, "--set", "gptq.target=full-precision", "--stats", store,
                       "--out", self.path("c"))
        self.fail_with(2, ["cross-gram", "only one"], "calibrate", MODEL, "--collect", "cross-gram", "--out", self.path("c"),
                       *DATA)

    def test_quantize_weighs_errors_by_the_gradients_of_a_store(self):
        store = self.collect("store", "--collect", "weighted-gram,gradient-energy", "--set", "weighted-gram.groups=2")
        command = ["quantize", MODEL, "--group-size", "64", "--max-fallbacks", "99", "--set", "gptq.hessian=weighted"]
        self.succeed(*command, "--stats", store, "--out", self.path("a"))
        self.succeed(*command, "--stats", store, "--set", "gptq.token_damping=true", "--out", self.path("b"))
        self.succeed("verify", self.path("a"))
        damping = [load_json(os.path.join(self.path(name), "ptq-manifest.json"))["linears"][0]["details"]["damping"]
                   for name in ("a", "b")]
        self.assertGreater(damping[1], damping[0])

    def test_only_gradients_cost_a_sweep_back(self):
        self.assertIsNone(json.loads(self.succeed("calibrate", MODEL, "--collect", "gram", "--out", self.path("a"), *DATA,
                                                  "--json").stdout)["mean_nll"])
        report = json.loads(self.succeed("calibrate", MODEL, "--collect", "token-energy", "--out", self.path("b"), *DATA,
                                         "--json").stdout)
        self.assertGreater(report["mean_nll"], 0)


class Sensitivity(CliTestCase):
    def test_scores_come_as_tensors_as_a_table_and_summed_up(self):
        out = self.path("out")
        result = self.succeed("sensitivity", MODEL, "--estimator", "gradient-weighted,weight-error,random", *DATA, "--top", "2",
                              "--out", out)
        self.assertIn("gradient-weighted", result.stdout)
        tensors = read_safetensors(os.path.join(out, "scores.safetensors"))
        with open(os.path.join(out, "scores.csv"), encoding="utf-8") as file:
            lines = file.read().splitlines()
        self.assertEqual(lines[0], "linear,channel,gradient-weighted,weight-error,random")
        summary = load_json(os.path.join(out, "summary.json"))
        for label in ("gradient-weighted", "weight-error", "random"):
            for linear, figures in summary["estimators"][label]["linears"].items():
                scores = tensors[f"{linear}.{label}"]
                self.assertTrue(math.isclose(sum(scores), figures["sum"], rel_tol=1e-5))
                self.assertTrue(math.isclose(max(scores), figures["max"], rel_tol=1e-6))
        channels = sum(f["channels"] for f in summary["estimators"]["random"]["linears"].values())
        self.assertEqual(len(lines) - 1, channels)

    def test_an_estimator_can_be_there_twice(self):
        out = self.path("out")
        self.succeed("sensitivity", MODEL, "--estimator", "seq=gradient-weighted,fisher", "--set", "seq.reading=sequence", *DATA,
                     "--out", out)
        tensors = read_safetensors(os.path.join(out, "scores.safetensors"))
        for key in tensors:
            if not key.endswith(".seq"):
                continue
            # Column sums of the per-sequence Fisher are alpha by sequences.
            for a, b in zip(tensors[key], tensors[key[:-4] + ".fisher"]):
                self.assertTrue(math.isclose(a, b, rel_tol=1e-5, abs_tol=1e-12), key)

    def test_the_integral_adds_up_to_the_measured_change(self):
        out = self.path("out")
        self.succeed("sensitivity", MODEL, "--estimator", "pqi", "--set", "pqi.score=signed", "--set", "pqi.nodes=16", *DATA,
                     "--out", out)
        figures = load_json(os.path.join(out, "summary.json"))["estimators"]["pqi"]
        losses = figures["node_mean_nll"]
        change = losses[-1] - losses[0]  # the ends of the way are measured too
        self.assertGreater(change, 0)
        # Sixteen nodes integrate a polynomial of degree 31 exactly; what is left is float32: 2^-24 of losses
        # of about 1, in each of some hundred products.
        self.assertLess(abs(figures["sum"] - change), 1e-5)

    def test_a_killed_run_resumes_to_the_same_bytes(self):
        command = ["sensitivity", MODEL, "--estimator", "fisher,pqi", "--set", "pqi.nodes=2", *DATA, "--sequences-per-set", "4"]
        self.succeed(*command, "--out", self.path("whole"))
        resumed = 0
        for steps in (2, 7, 12, 20, 29, 38, 45, 53, 61):  # 4 tell the plan; two sets of 8 steps, and at two nodes as many
            out = self.path(f"killed{steps}")
            self.kill_after(steps, *command, "--out", out)
            if not os.path.exists(out):
                resumed += os.path.exists(os.path.join(out + ".ptq-partial", "collected"))
                self.succeed(*command, "--out", out, "--resume")
            for name in ("scores.csv", "scores.safetensors"):
                self.assertEqual(file_hashes(self.path("whole"))[name], file_hashes(out)[name], f"killed after {steps} lines")
        self.assertGreater(resumed, 0, "no run was killed while it collected")

    def test_a_resumed_run_must_be_the_same_run(self):
        out = self.path("out")
        os.makedirs(out + ".ptq-partial")
        with open(os.path.join(out + ".ptq-partial", "identity.json"), "w", encoding="utf-8") as file:
            json.dump({"version": "0.0"}, file)
        command = ["sensitivity", MODEL, "--estimator", "covariance", *DATA, "--out", out]
        self.fail_with(2, ["unfinished run", "--resume", "--overwrite"], *command)
        self.fail_with(2, ["version"], *command, "--resume")
        self.succeed(*command, "--overwrite")

    def test_bad_input_is_refused_by_name(self):
        out = ["--out", self.path("out")]
        self.fail_with(2, ["unknown estimator", "magic", "known:"], "sensitivity", MODEL, "--estimator", "magic", *DATA, *out)
        self.fail_with(2, ["covariance", "speed"], "sensitivity", MODEL, "--estimator", "covariance", "--set",
                       "covariance.speed=1", *DATA, *out)
        self.fail_with(2, ["--calibration"], "sensitivity", MODEL, "--estimator", "covariance", *out)
        self.fail_with(2, ["at least 2"], "sensitivity", MODEL, "--estimator", "fisher", "--calibration", CALIBRATION, "--samples",
                       "4", "--seqlen", "1", *out)
        empty = self.path("empty.txt")
        with open(empty, "w", encoding="utf-8"):
            pass
        self.fail_with(3, ["empty.txt"], "sensitivity", MODEL, "--estimator", "covariance", "--calibration", empty, *out)
        self.assertEqual(os.listdir(self.work), ["empty.txt"])

    def test_a_value_that_is_not_finite_is_placed(self):
        broken = self.path("broken")
        shutil.copytree(MODEL, broken)
        weights = os.path.join(broken, "model.safetensors")
        name = "model.layers.1.mlp.up_proj.weight"
        poison_safetensors(weights, name, 0x7FC0)  # a bfloat16 NaN
        self.fail_with(5, ["model.layers.1.mlp.down_proj", "block 1", "window 0"], "sensitivity", broken, "--estimator",
                       "covariance", *DATA, "--out", self.path("out"))


class Validation(CliTestCase):
    COMMAND = ["sensitivity", MODEL, "--estimator", "gradient-weighted,covariance,signed=pqi,random", "--set", "signed.nodes=2",
               "--set", "signed.score=signed", *DATA, "--validate", "--heldout", HELDOUT, "--validate-windows", "3",
               "--validate-seqlen", "48", "--validate-sample", "4", "--validate-subsets", "1"]

    def test_every_unit_is_measured_and_compared(self):
        out = self.path("out")
        result = self.succeed(*self.COMMAND, "--validate-scale", "1,0.5", "--out", out)
        for text in ("Spearman", "gradient-weighted", "random subsets of linears", "KL of rounding alone"):
            self.assertIn(text, result.stdout)
        self.assertEqual(sorted(os.listdir(out)), ["scores.csv", "scores.safetensors", "summary.json", "validation.csv",
                                                   "validation.json"])
        with open(os.path.join(out, "validation.csv"), encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        kinds = collections.Counter(row["kind"] for row in rows)
        # 4 blocks of 7 linears, each at two scales; 6 of the linears are 128 wide, two groups of 64, and one 384, six.
        self.assertEqual(kinds, {"channel": 2 * 28 * 4, "group": 2 * 4 * (6 * 2 + 4), "linear": 2 * 28, "block": 2 * 4})
        report = load_json(os.path.join(out, "validation.json"))
        self.assertEqual(report["targets"], 3 * 47)
        self.assertEqual(report["perturbations"], len(rows) + 4 + len(report["additivity"]))
        linears = {(row["unit"], row["scale"]): float(row["kl"]) for row in rows if row["kind"] == "linear"}
        self.assertTrue(all(kl > report["noise_kl"] for kl in linears.values()))
        for subset in report["additivity"]:
            single = sum(linears[name, "1"] for name in subset["linears"])
            self.assertTrue(math.isclose(subset["sum_of_single"]["kl"], single, rel_tol=1e-7))
        by_unit = {(one["units"], one["scale"]): one for one in report["agreement"]}
        self.assertEqual(len(by_unit), 8)
        rows = {(row["estimator"], row["basis"]): row for row in by_unit["channel", 1]["estimators"]}
        self.assertEqual({row[0] for row in rows if row[1] == "predicted"}, {"gradient-weighted", "signed"})
        self.assertTrue(rows["covariance", "score"]["ranks_only"])
        self.assertNotIn("log_slope", rows["covariance", "score"]["pooled"])
        predicted = rows["gradient-weighted", "predicted"]["pooled"]["spearman"]
        self.assertGreater(predicted["value"], rows["random", "score"]["pooled"]["spearman"]["high"])
        # A change half as large has about a quarter of the effect.
        self.assertTrue(0.8 < by_unit["linear", 0.5]["kl_over_first_scale_5_50_95"][1] < 1.25)

    def test_a_killed_validation_resumes_to_the_same_figures(self):
        self.succeed(*self.COMMAND, "--out", self.path("whole"))
        resumed = 0
        for lines in (50, 80, 110):  # 36 come before the first measurement, 100 after
            out = self.path(f"killed{lines}")
            self.kill_after(lines, *self.COMMAND, "--out", out)
            if not os.path.exists(out):
                resumed += os.path.exists(os.path.join(out + ".ptq-partial", "validation", "measured.jsonl"))
                self.succeed(*self.COMMAND, "--out", out, "--resume")
            self.assertEqual(*(file_hashes(self.path(name))["validation.csv"] for name in ("whole", f"killed{lines}")))
            reports = [load_json(os.path.join(self.path(name), "validation.json")) for name in ("whole", f"killed{lines}")]
            for report in reports:
                report.pop("seconds")
            self.assertEqual(*reports)
        self.assertGreater(resumed, 0, "no run was killed while it measured")

    def test_held_out_text_must_be_held_out(self):
        base = ["sensitivity", MODEL, "--estimator", "random", *DATA, "--out", self.path("out")]
        self.fail_with(2, ["--heldout"], *base, "--validate")
        self.fail_with(2, ["--validate"], *base, "--heldout", HELDOUT)
        same = self.path("copy.txt")
        shutil.copy(CALIBRATION, same)
        self.fail_with(2, ["copy.txt", "calibration text"], *base, "--validate", "--heldout", same)
        self.fail_with(2, ["absent.txt"], *base, "--validate", "--heldout", self.path("absent.txt"))
        self.fail_with(2, ["--validate-seqlen", "positions"], *base, "--validate", "--heldout", HELDOUT, "--validate-seqlen",
                       "100000")
        self.fail_with(2, ["--validate-scale"], *base, "--validate", "--heldout", HELDOUT, "--validate-scale", "0")
        with open(same, "a", encoding="utf-8") as file:
            file.write("One more line.\n")
        result = self.succeed(*base, "--validate", "--heldout", same, "--validate-windows", "2", "--validate-seqlen", "32",
                              "--validate-units", "block")
        self.assertIn("% of the held-out text is in", result.stderr)


@unittest.skipUnless(os.path.exists(SHARED), "shared data are absent")
class Shared(CliTestCase):
    """Against float64 scores of an independent implementation."""

    def test_every_estimator_agrees_with_the_reference(self):
        reference = load_json(os.path.join(SHARED, "sensitivity_reference.json"))
        ids = self.path("ids.json")
        with open(ids, "w", encoding="utf-8") as file:
            json.dump(reference["input_ids"], file)
        names = {"activation_magnitude": "activation-magnitude", "covariance": "covariance", "alpha_token": "token=gradient-weighted",
                 "alpha_sequence": "sequence=gradient-weighted", "alpha_pooled": "pooled=gradient-weighted"}
        labels = {key: name.split("=")[0] for key, name in names.items()}
        scheme = [f"{pqi}.{option}" for pqi in ("pqi", "signed") for option in
                  ("nodes=16", "bits=4", "group_size=32", "symmetric=false")]
        settings = [f"{label}.reading={label}" for label in ("token", "sequence", "pooled")] + scheme + [
            "signed.score=signed", "weight-error.bits=4", "weight-error.group_size=32", "weight-error.symmetric=false"]
        out = self.path("out")
        self.succeed("sensitivity", SHARED, "--tokens", ids, "--seqlen", "128", "--samples", "16", "--windows", "first",
                     "--estimator", ",".join([*names.values(), "fisher", "pqi", "signed=pqi", "weight-error"]),
                     *[word for setting in settings for word in ("--set", setting)], "--out", out, timeout=900)
        tensors = read_safetensors(os.path.join(out, "scores.safetensors"))
        summary = load_json(os.path.join(out, "summary.json"))
        for linear, expected in reference["linears"].items():
            for key, label in labels.items():
                largest = max(expected[key])
                for mine, theirs in zip(tensors[f"{linear}.{label}"], expected[key]):
                    bound = 1e-4 if theirs > 1e-6 * largest else 1e-3
                    self.assertLessEqual(abs(mine - theirs), bound * theirs, f"{linear} {key}")
            figures = {name: summary["estimators"][name]["linears"][linear]["sum"] for name in
                       ("fisher", "pqi", "signed", "weight-error")}
            self.assertTrue(math.isclose(figures["fisher"], expected["fisher_sum"], rel_tol=1e-4), linear)
            self.assertTrue(math.isclose(figures["pqi"], expected["pqi_abs_sum"], rel_tol=1e-4), linear)
            self.assertTrue(math.isclose(figures["weight-error"], expected["rtn_sq_error"], rel_tol=1e-4), linear)
            self.assertLessEqual(abs(figures["signed"] - expected["pqi_signed_sum"]), 1e-6, linear)
        signed = summary["estimators"]["signed"]
        change = signed["node_mean_nll"][-1] - signed["node_mean_nll"][0]
        self.assertLessEqual(abs(signed["sum"] - change), 1e-6)
        self.assertLessEqual(abs(change - (reference["loss_after"] - reference["loss_before"])), 1e-6)


if __name__ == "__main__":
    unittest.main()
