#!/usr/bin/env python3
"""`ptq plan` and `ptq quantize --plan` as a user meets them."""
import json
import os
import shutil
import struct
import unittest

from support import CALIBRATION, HELDOUT, MODEL, CliTestCase, load_json

DATA = ["--calibration", CALIBRATION, "--samples", "4", "--seqlen", "48", "--threads", "2"]
THREE_BITS = ["--target-bpw", "3.25"]


def tensor_bytes(directory):
    """The bytes of every tensor of a checkpoint, by name."""
    sizes = {}
    for name in os.listdir(directory):
        if name.endswith(".safetensors"):
            with open(os.path.join(directory, name), "rb") as file:
                header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
            header.pop("__metadata__", None)
            for tensor, entry in header.items():
                sizes[tensor] = entry["data_offsets"][1] - entry["data_offsets"][0]
    return sizes


class PlanTestCase(CliTestCase):
    def plan(self, name, *arguments, estimator="gradient-weighted", data=DATA):
        """Makes the plan `name` and returns its content."""
        self.succeed("plan", MODEL, "--out", self.path(name), "--estimator", estimator, *data, *arguments)
        return load_json(self.path(name))

    def schemes(self, plan):
        return {linear["name"]: linear["scheme"] for linear in plan["linears"]}


class Planning(PlanTestCase):
    def test_what_is_written_has_the_bytes_of_the_plan_and_evaluates(self):
        for layout in ("compressed-tensors", "gptq", "gptq_v2"):
            for number, budget in enumerate((THREE_BITS, ["--target-size", "560KiB"])):
                plan = self.plan(f"{layout}{number}.json", *budget, "--format", layout)
                out = self.path(f"{layout}{number}")
                self.succeed("quantize", MODEL, "--method", "rtn", "--format", layout, "--plan", self.path(f"{layout}{number}.json"),
                             "--out", out)
                sizes = tensor_bytes(out)
                self.assertEqual(sum(sizes.values()), plan["total"]["output_bytes"])
                for linear in plan["linears"]:
                    self.assertEqual(sum(size for name, size in sizes.items() if name.startswith(linear["name"] + ".")), linear["bytes"])
                manifest = load_json(os.path.join(out, "ptq-manifest.json"))
                self.assertEqual(manifest["bits_per_weight"], plan["total"]["bits_per_weight"])
                self.assertEqual(manifest["settings"]["plan"], self.schemes(plan))
                self.assertEqual(manifest["bytes"]["output"], plan["total"]["output_bytes"])
                if number == 0:
                    self.assertLessEqual(plan["total"]["bits_per_weight"], 3.25)
                else:
                    self.assertLessEqual(plan["total"]["output_bytes"], 560 << 10)
                self.assertGreater(len(set(self.schemes(plan).values())), 1, "the test needs several schemes")
                quantization = load_json(os.path.join(out, "config.json"))["quantization_config"]
                self.assertGreater(len(quantization["config_groups" if layout == "compressed-tensors" else "dynamic"]), 1)
                self.succeed("verify", out)
                result = json.loads(self.succeed("eval", out, "--text", HELDOUT, "--seqlen", "48", "--windows", "4", "--json").stdout)
                self.assertLess(result["model"]["perplexity"], 100)

    def test_a_plan_predicts_less_than_uniform_schemes_and_less_with_more_bits(self):
        before = None
        for bits in ("2.25", "2.5", "3.25", "4.25", "8.125", "12"):
            plan = self.plan(f"{bits}.json", "--target-bpw", bits, "--candidates", "w2g64,w3g32,w3g64,w3g128,w4g64,w4g128,w8g128")
            total = plan["total"]
            self.assertLessEqual(total["bits_per_weight"], float(bits))
            self.assertTrue(plan["allocation"]["exact"])
            self.assertEqual(plan["cost_unit"], "nats per target token")
            self.assertAlmostEqual(total["predicted_nll_change"], sum(linear["cost"] for linear in plan["linears"]), places=12)
            for uniform in plan["uniform"]:
                self.assertLessEqual(uniform["bits_per_weight"], float(bits))
                self.assertLessEqual(total["cost"], uniform["cost"])
            if before is not None:
                self.assertLessEqual(total["cost"], before)
            before = total["cost"]
        self.assertEqual({row["scheme"] for row in plan["uniform"]}, {"w2g64", "w3g32", "w3g64", "w3g128", "w4g64", "w4g128", "w8g128"})
        self.assertEqual(set(self.schemes(plan).values()), {"w8g128"})

    def test_linears_of_one_input_get_one_scheme_unless_untied(self):
        tied, untied = self.plan("tied.json", *THREE_BITS), self.plan("untied.json", *THREE_BITS, "--untie")
        for block in range(4):
            prefix = f"model.layers.{block}."
            for names in (("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"), ("mlp.gate_proj", "mlp.up_proj")):
                self.assertEqual(len({self.schemes(tied)[prefix + name] for name in names}), 1)
        self.assertEqual(len({linear["group"] for linear in tied["linears"]}), 4 * 4)
        self.assertEqual(len({linear["group"] for linear in untied["linears"]}), 4 * 7)
        self.assertLess(untied["total"]["cost"], tied["total"]["cost"])

    def test_what_the_format_or_the_engine_cannot_hold_is_no_candidate(self):
        plan = self.plan("gptq.json", *THREE_BITS, "--format", "gptq", "--candidates", "w2g64,w5g64,w4g64,w4g96,w4g64-asym")
        excluded = {row["scheme"]: (row["reason"], len(row["linears"])) for row in plan["excluded"]}
        self.assertEqual(set(excluded), {"w5g64", "w4g96", "w4g64-asym"})
        self.assertIn("5 bits", excluded["w5g64"][0])
        self.assertIn("zero", excluded["w4g64-asym"][0])
        self.assertEqual(excluded["w4g96"][1], 4 * 6)  # the down projections have 384 inputs
        result = self.succeed("plan", MODEL, "--out", self.path("vllm.json"), "--target-bpw", "5", "--engine", "vllm", "--estimator",
                              "random", "--skip", "k_proj|v_proj|q_proj")
        plan = load_json(self.path("vllm.json"))
        self.assertEqual(set(self.schemes(plan).values()) - {"w4g64", "w4g128", "w8g128"}, set())
        self.assertIn("w3g64 is no candidate for 16 linears: vLLM: 3-bit", result.stdout)
        self.assertTrue(next(engine for engine in plan["engines"] if engine["engine"] == "vLLM")["loads"])
        self.assertEqual(len(plan["left"]), 12)
        refused = ["plan", MODEL, "--out", self.path("x.json"), "--target-bpw", "5", "--estimator", "random"]
        self.fail_with(4, ["SGLang", "several schemes"], *refused, "--engine", "SGLang")
        self.fail_with(4, ["vLLM", "qkv_proj"], *refused, "--engine", "vLLM", "--untie", "--skip", "k_proj|v_proj", "--skip", "nothing")
        self.fail_with(4, ["no candidate is left", "w3g64", "q_proj"], *refused, "--engine", "vLLM", "--candidates", "w3g64")
        self.fail_with(2, ["unknown engine", "transformers"], *refused, "--engine", "TGI")

    def test_the_same_run_and_a_store_give_the_same_plan(self):
        first, second = self.plan("a.json", *THREE_BITS), self.plan("b.json", *THREE_BITS)
        for plan in (first, second):
            plan.pop("command")
        self.assertEqual(first, second)
        self.succeed("calibrate", MODEL, "--collect", "token-energy", *DATA, "--out", self.path("stats"))
        stored = self.plan("c.json", *THREE_BITS, data=["--stats", self.path("stats")])
        self.assertEqual(stored["linears"], first["linears"])
        self.assertIn("store", stored["calibration"])

    def test_scores_without_a_theory_rank_and_chance_differs_by_seed(self):
        rank = self.plan("rank.json", *THREE_BITS, estimator="covariance")
        self.assertIsNone(rank["total"]["predicted_nll_change"])
        self.assertIn("score times squared error", rank["cost_unit"])
        self.assertTrue(any("predicts no change" in warning for warning in rank["warnings"]))
        drawn = []
        for seed in ("0", "1"):
            plan = self.plan(f"random{seed}.json", *THREE_BITS, "--set", "random.per=linear", "--set", f"random.seed={seed}",
                             estimator="random", data=[])
            self.assertLessEqual(plan["total"]["bits_per_weight"], 3.25)
            self.assertGreater(plan["total"]["bits_per_weight"], 3.2)
            drawn.append(self.schemes(plan))
        self.assertNotEqual(*drawn)

    def test_a_trial_weighs_the_errors_of_a_method(self):
        joint = ["--set", "gradient-weighted.columns=joint", *THREE_BITS]
        rounded = self.plan("rounded.json", *joint)
        tried = self.plan("tried.json", *joint, "--trial", "gptq", "--set", "gptq.damping=0.05")
        self.assertEqual((tried["settings"]["trial"], tried["settings"]["trial_options"]), ("gptq", {"damping": 0.05}))
        self.assertIsNone(rounded["settings"]["trial"])
        # GPTQ makes the error of what the linears put out smaller than rounding to nearest does.
        self.assertLess(tried["total"]["cost"], 0.8 * rounded["total"]["cost"])
        base = ["plan", MODEL, "--out", self.path("x.json"), "--estimator", "random", *THREE_BITS]
        self.fail_with(4, ["--trial awq"], *base, *DATA, "--trial", "awq")
        self.fail_with(2, ["gptq"], *base, *DATA, "--set", "gptq.damping=0.05")

    def test_negative_predictions_count_by_magnitude_and_are_told(self):
        plan = self.plan("plan.json", *THREE_BITS, "--set", "gradient-weighted.reading=pooled")
        costs = [cost["cost"] for linear in plan["linears"] for cost in linear["candidates"].values()]
        self.assertEqual(plan["negative_predictions"], sum(cost < 0 for cost in costs))
        self.assertGreater(plan["negative_predictions"], 0)
        self.assertTrue(any("negative" in warning for warning in plan["warnings"]))
        # A plan that believed them would be below the sum of the least costs.
        self.assertGreaterEqual(plan["allocation"]["bound"], 0)

    def test_misuse_ends_with_its_exit_code_and_leaves_nothing(self):
        base = ["plan", MODEL, "--out", self.path("plan.json")]
        random = [*base, "--estimator", "random"]
        cases = [
            (2, ["one budget", "--target-bpw"], random),
            (2, ["--target-size"], [*random, *THREE_BITS, "--target-size", "1M"]),
            (2, ["120XB"], [*random, "--target-size", "120XB"]),
            (2, ["fits into 2.1 bits", "3.125 bits", "8.125 bits"], [*random, "--target-bpw", "2.1"]),
            (2, ["fits into 100000 bytes", "506560 bytes"], [*random, "--target-size", "100KB"]),
            (2, ["w3g64", "twice"], [*random, *THREE_BITS, "--candidates", "w3g64,w3g64"]),
            (2, ["3bits"], [*random, *THREE_BITS, "--candidates", "3bits"]),
            (2, ["unknown estimator"], [*base, "--estimator", "rando", *THREE_BITS]),
            (2, ["need data"], [*base, "--estimator", "fisher", *THREE_BITS]),
            (2, ["every linear is skipped"], [*random, *THREE_BITS, "--skip", "."]),
            (2, ["--stats and --calibration"], [*base, "--estimator", "fisher", *DATA, *THREE_BITS, "--stats", self.work]),
            (2, ["folder", "absent"], ["plan", MODEL, "--out", self.path("absent/plan.json"), *random[4:], *THREE_BITS]),
            (4, ["awq", "--candidates"],
             [*random, "--target-bpw", "4.4", "--format", "awq", "--candidates", "w4g64-asym,w4g32-asym"]),
            (4, ["pqi", "one scheme"], [*base, "--estimator", "pqi", *DATA, *THREE_BITS]),
        ]
        for code, mention, args in cases:
            with self.subTest(" ".join(args[2:])):
                self.fail_with(code, mention, *args)
                self.assertEqual(os.listdir(self.work), [])

    def test_only_an_older_plan_is_replaced(self):
        command = ["plan", MODEL, "--estimator", "random", *THREE_BITS, "--out", self.path("plan.json")]
        self.succeed(*command)
        self.fail_with(2, ["exists", "--overwrite"], *command)
        self.succeed(*command, "--overwrite")
        for content in ("precious", "{}", "[]"):
            with open(self.path("plan.json"), "w", encoding="utf-8") as file:
                file.write(content)
            self.fail_with(2, ["is no plan"], *command, "--overwrite")
        self.fail_with(2, ["is no plan"], *command[:-1], self.work, "--overwrite")

    def test_a_killed_run_resumes_to_the_same_plan(self):
        command = ["plan", MODEL, "--estimator", "fisher", *DATA, *THREE_BITS, "--sequences-per-set", "1", "--out"]
        self.succeed(*command, self.path("whole.json"))
        resumed = 0
        for lines in (6, 14, 22, 30):
            out = self.path(f"killed{lines}.json")
            self.kill_after(lines, *command, out)
            if not os.path.exists(out):
                resumed += 1
                self.fail_with(2, ["unfinished", "--resume"], *command, out)
                self.fail_with(2, ["other"], *command, out, "--resume", "--seed", "5")
                self.succeed(*command, out, "--resume")
            self.assertEqual(*(load_json(self.path(name))["linears"] for name in ("whole.json", f"killed{lines}.json")))
            self.assertFalse(os.path.exists(out + ".statistics.ptq-partial"))
        self.assertGreater(resumed, 0, "no run was killed: the test shows nothing")


class PlannedQuantization(PlanTestCase):
    def setUp(self):
        super().setUp()
        self.content = self.plan("plan.json", *THREE_BITS, "--set", "random.per=linear", estimator="random", data=[])
        self.command = ["quantize", MODEL, "--method", "rtn", "--plan", self.path("plan.json"), "--out", self.path("out")]

    def changed(self, change):
        """The plan after `change` in a file of its own, in place of the plan on the command line."""
        content = json.loads(json.dumps(self.content))
        change(content)
        with open(self.path("changed.json"), "w", encoding="utf-8") as file:
            json.dump(content, file)
        return [self.path("changed.json") if part == self.path("plan.json") else part for part in self.command]

    def test_a_plan_of_another_model_is_refused(self):
        other = self.path("other")
        shutil.copytree(MODEL, other)
        with open(os.path.join(other, "config.json"), "a", encoding="utf-8") as file:
            file.write("\n")
        command = [other if part == MODEL else part for part in self.command]
        self.fail_with(2, ["another model", "config.json", "ptq plan"], *command)
        self.assertFalse(os.path.exists(self.path("out")))

    def test_a_plan_must_have_exactly_the_linears_of_the_model(self):
        self.fail_with(2, ["lacks 1 of 28 linears", "down_proj"], *self.changed(lambda plan: plan["linears"].pop()))
        extra = {"name": "model.layers.9.x", "scheme": "w4g64"}
        self.fail_with(2, ["1 linears that this model has not"], *self.changed(lambda plan: plan["linears"].append(extra)))

    def test_what_is_no_plan_is_refused(self):
        self.fail_with(3, ["no plan", "ptq-plan-2"], *self.changed(lambda plan: plan.update(format="ptq-plan-2")))
        self.fail_with(3, ["no plan", "linears"], *self.changed(lambda plan: plan.pop("linears")))
        self.fail_with(3, ["twice"], *self.changed(lambda plan: plan["linears"].append(plan["linears"][0])))
        self.fail_with(3, ["twice"], *self.changed(lambda plan: plan["left"].append(plan["linears"][0]["name"])))
        self.fail_with(3, ["layers.0.self_attn.q_proj", "bits is 9"], *self.changed(lambda plan: plan["linears"][0].update(scheme="w9g64")))
        self.fail_with(2, ["absent.json"], *self.command[:4], "--plan", self.path("absent.json"), "--out", self.path("out"))

    def test_schemes_of_the_command_line_exclude_a_plan_and_rules_go_on_from_it(self):
        for option in (["--bits", "4"], ["--group-size", "64"], ["--asymmetric"], ["--symmetric"]):
            self.fail_with(2, ["--plan", option[0]], *self.command, *option)
        self.succeed(*self.command, "--override", "layers.0.*down_proj:bits=8", "--skip", "layers.3")
        linears = {row["name"]: row["scheme"] for row in load_json(self.path("out/ptq-manifest.json"))["linears"]}
        self.assertEqual(len(linears), 21)
        for name, scheme in self.schemes(self.content).items():
            if "layers.3" in name:
                continue
            expected = 8 if name == "model.layers.0.mlp.down_proj" else int(scheme[1])
            self.assertEqual(linears[name]["bits"], expected)

    def test_what_a_plan_leaves_stays(self):
        self.plan("plan.json", *THREE_BITS, "--skip", "layers.1", "--overwrite", estimator="random", data=[])
        self.succeed(*self.command, "--override", "layers.1:bits=8")
        manifest = load_json(self.path("out/ptq-manifest.json"))
        self.assertEqual(len(manifest["skipped"]), 7)
        self.assertTrue(all("layers.1." in name for name in manifest["skipped"]))

    def test_another_format_is_told(self):
        result = self.succeed(*self.command, "--format", "gptq")
        self.assertIn("counts the bytes of compressed-tensors, not of gptq", result.stderr)

    def test_a_run_resumes_only_with_the_same_plan(self):
        gptq = [*self.command[:2], *DATA, *self.command[4:]]
        self.succeed(*gptq[:-1], self.path("whole"))
        killed = False
        for lines in (1, 2, 3):
            self.kill_after(lines, *gptq)
            if killed := os.path.exists(self.path("out.ptq-partial/progress.json")):
                break
            shutil.rmtree(self.path("out"), ignore_errors=True)
            shutil.rmtree(self.path("out.ptq-partial"), ignore_errors=True)
        self.assertTrue(killed, "no run was killed: the test shows nothing")
        name = self.content["linears"][0]["name"]
        self.changed(lambda plan: plan["linears"][0].update(scheme="w8g64"))
        other = [self.path("changed.json") if part == self.path("plan.json") else part for part in gptq]
        self.fail_with(2, [name, "w8g64"], *other, "--resume")
        self.succeed(*gptq, "--resume")
        self.assert_same_output(self.path("whole"), self.path("out"))


if __name__ == "__main__":
    unittest.main()
