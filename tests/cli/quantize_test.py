#!/usr/bin/env python3
"""`ptq quantize` as a user meets it: outputs, determinism, settings, refusals."""
import json
import os
import shutil
import unittest

from support import CALIBRATION, FAST, HELDOUT, METHODS, MODEL, CliTestCase, file_hashes, load_json, run

DATA = FAST[:6]  # the calibration data alone


class Output(CliTestCase):
    def evaluated(self, layout, *options):
        """The perplexity of what is written as `layout`, after ptq verify, and the quantization_config."""
        out = self.path(layout)
        self.succeed("quantize", MODEL, "--format", layout, "--out", out, "--overwrite", *DATA, *options)
        self.succeed("verify", out)
        result = self.succeed("eval", out, "--text", HELDOUT, "--seqlen", "64", "--windows", "4", "--json")
        config = load_json(os.path.join(out, "config.json"))["quantization_config"]
        return json.loads(result.stdout)["model"]["perplexity"], config

    def test_every_method_and_format_makes_a_directory_that_verifies_and_evaluates(self):
        # The layouts hold the same integers and scales, so the same model.
        def same_in(layouts, *options):
            perplexities = {layout: self.evaluated(layout, "--group-size", "64", *options)[0] for layout in layouts}
            self.assertEqual(len(set(perplexities.values())), 1, perplexities)

        for method, options in METHODS.items():
            same_in(("compressed-tensors", "gptq", "gptq_v2"), "--method", method, "--bits", "3", *options)
        same_in(("compressed-tensors", "gptq", "gptq_v2", "awq"), "--method", "awq")
        same_in(("compressed-tensors", "gptq_v2", "awq"), "--asymmetric", "--skip", "layers.1.*up_proj")

    def test_several_schemes_are_one_model_in_every_layout_that_holds_them(self):
        mixed = ("--method", "rtn", "--group-size", "64", "--override", "down_proj:bits=8,group_size=32",
                 "--override", "self_attn:bits=2", "--skip", r"layers\.1\.mlp")
        tensors, config = self.evaluated("compressed-tensors", *mixed)
        self.assertEqual(sorted(group["weights"]["num_bits"] for group in config["config_groups"].values()), [2, 4, 8])
        for layout in ("gptq", "gptq_v2"):
            perplexity, config = self.evaluated(layout, *mixed)
            self.assertEqual(perplexity, tensors, layout)
            self.assertEqual({rule[:2] for rule in config["dynamic"]}, {"+:", "-:"})
        self.fail_with(4, ["one group size"], "quantize", MODEL, "--format", "awq", "--method", "rtn", "--group-size", "64",
                       "--override", "down_proj:group_size=32", "--out", self.path("refused"))

    def test_an_awq_directory_runs_packed_and_is_told_of(self):
        out = self.path("out")
        self.succeed("quantize", MODEL, "--format", "awq", "--method", "rtn", "--group-size", "64", "--out", out)
        result = self.succeed("eval", out, "--text", HELDOUT, "--seqlen", "64", "--windows", "4", "--backend", "cpu", "--json")
        self.assertEqual(json.loads(result.stdout)["backends"], {"cpu": 28})
        self.assertEqual(json.loads(self.succeed("inspect", out, "--json").stdout)["format"], "awq")

    def test_a_method_has_its_options_also_beside_a_format_of_its_name(self):
        for name, option in (("gptq", "grid=minmax"), ("awq", "rows=64")):
            self.succeed("quantize", MODEL, "--method", name, "--format", name, "--group-size", "64", *DATA,
                         "--set", f"{name}.{option}", "--out", self.path(name))
        self.fail_with(2, ["quantizer gptq", "rows"], "quantize", MODEL, "--format", "gptq", "--group-size", "64", *DATA,
                       "--set", "gptq.rows=64", "--out", self.path("refused"))

    def test_side_files_are_copied_and_the_rest_is_inventoried(self):
        out = self.path("out")
        self.succeed("quantize", MODEL, "--method", "rtn", "--out", out, "--group-size", "64")
        for name in ("tokenizer.json", "tokenizer_config.json", "generation_config.json"):
            with open(os.path.join(MODEL, name), "rb") as first, open(os.path.join(out, name), "rb") as second:
                self.assertEqual(first.read(), second.read())
        manifest = load_json(os.path.join(out, "ptq-manifest.json"))
        self.assertEqual(manifest["tool"]["name"], "ptq")
        self.assertIn("model.safetensors", manifest["inputs"]["files"])
        self.assertTrue(all(linear["fallbacks"] == [] for linear in manifest["linears"]))

    def test_the_same_command_writes_the_same_bytes(self):
        for name in ("first", "second"):
            self.succeed("quantize", MODEL, "--method", "gptq", "--out", self.path(name), *FAST)
        self.assert_same_output(self.path("first"), self.path("second"))

    def test_the_weights_do_not_depend_on_the_number_of_threads(self):
        for method, options in METHODS.items():
            hashes = []
            for threads in ("1", "2", "3"):
                out = self.path(method + threads)
                self.succeed("quantize", MODEL, "--method", method, "--out", out, *FAST[:-2], "--threads", threads, *options)
                hashes.append(file_hashes(out))
                hashes[-1].pop("ptq-manifest.json")  # the last digit of an error is LibTorch's sum
            self.assertEqual(hashes[0], hashes[1], method)
            self.assertEqual(hashes[0], hashes[2], method)

    def test_a_low_memory_limit_recomputes_and_gives_the_same_bytes(self):
        self.limited(*FAST)

    def test_the_full_precision_model_beside_costs_memory_and_bears_a_limit(self):
        options = ["--set", "gptq.target=full-precision", *FAST]
        plans = [json.loads(self.succeed("quantize", MODEL, "--dry-run", "--json", *which).stdout) for which in (options, FAST)]
        self.assertGreater(plans[0]["memory_bytes"], plans[1]["memory_bytes"])
        self.limited(*options)

    def limited(self, *arguments):
        plan = json.loads(self.succeed("quantize", MODEL, "--dry-run", "--json", *arguments).stdout)
        self.assertFalse(plan["replays_activations"])
        limit = str(plan["memory_bytes"] - 1)
        low = json.loads(self.succeed("quantize", MODEL, "--dry-run", "--json", "--memory-limit", limit, *arguments).stdout)
        self.assertTrue(low["replays_activations"])
        self.succeed("quantize", MODEL, "--out", self.path("kept"), *arguments)
        self.succeed("quantize", MODEL, "--out", self.path("replayed"), "--memory-limit", limit, *arguments)
        for name in ("kept", "replayed"):
            os.remove(os.path.join(self.path(name), "ptq-manifest.json"))  # it tells the limit
        shards = [n for n in os.listdir(self.path("kept")) if n.endswith(".safetensors")]
        for name in shards:
            with open(os.path.join(self.path("kept"), name), "rb") as a, open(os.path.join(self.path("replayed"), name), "rb") as b:
                self.assertEqual(a.read(), b.read(), name)


class Settings(CliTestCase):
    def test_a_dry_run_tells_the_plan_and_writes_nothing(self):
        out = self.path("out")
        plan = json.loads(self.succeed("quantize", MODEL, "--out", out, "--dry-run", "--json", *FAST).stdout)
        self.assertEqual(os.listdir(self.work), [])
        self.succeed("quantize", MODEL, "--out", out, *FAST)
        inspected = json.loads(self.succeed("inspect", out, "--json").stdout)
        self.assertEqual({row["name"]: row["bytes"] for row in plan["linears"]},
                         {row["name"]: row["bytes"] for row in inspected["linears"]})

    def test_a_dry_run_gives_a_method_as_many_windows_as_it_needs(self):
        # Of windows this long, one goes through a block at a time; learning from them takes two.
        model = self.path("model")
        shutil.copytree(MODEL, model)
        config = load_json(os.path.join(model, "config.json"))
        config["max_position_embeddings"] = 2048
        with open(os.path.join(model, "config.json"), "w", encoding="utf-8") as file:
            json.dump(config, file)
        autoround = ("--method", "autoround", "--set", "autoround.iterations=1", "--set", "autoround.batch=1")
        self.succeed("quantize", model, "--dry-run", *autoround, *FAST[:2], "--samples", "3", "--seqlen", "1100", *FAST[6:],
                     "--out", self.path("out"))

    def test_the_memory_estimate_counts_what_the_quantizer_takes(self):
        def plan(*more):
            return json.loads(self.succeed("quantize", MODEL, "--dry-run", "--json", *more).stdout)

        def workspace(linears):  # the factorization in float64, or the factor and what solving takes for each row
            shapes = [row["shape"] for row in linears]
            return max(max(20 * n * n, 4 * n * n + out * max(4 * n, 12 * min(n, 256))) for out, n in shapes)

        store = self.path("store")
        self.succeed("calibrate", MODEL, "--collect", "gram", "--calibration", CALIBRATION, "--samples", "8", "--seqlen", "64",
                     "--out", store)
        stored, rounded = plan(*FAST[6:], "--stats", store), plan(*FAST[6:], "--method", "rtn")
        gram = max(4 * row["shape"][1] ** 2 for row in stored["linears"])
        self.assertEqual(stored["memory_bytes"] - rounded["memory_bytes"], gram + workspace(stored["linears"]))
        # With calibration data, too: without the widest linears only the workspace shrinks.
        whole, part = plan(*FAST), plan(*FAST, "--skip", "down_proj")
        self.assertEqual(whole["memory_bytes"] - part["memory_bytes"], workspace(whole["linears"]) - workspace(part["linears"]))

    def test_a_method_may_read_a_store_beside_its_calibration_data(self):
        data = ("--calibration", CALIBRATION, "--samples", "8", "--seqlen", "64")
        self.succeed("calibrate", MODEL, "--collect", "token-energy", *data, "--out", self.path("stats"))
        awq = ("quantize", MODEL, "--method", "awq", *FAST)
        self.succeed(*awq, "--out", self.path("plain"))
        self.succeed(*awq, "--set", "awq.saliency=token-energy", "--stats", self.path("stats"), "--out", self.path("out"))
        manifest = load_json(os.path.join(self.path("out"), "ptq-manifest.json"))
        self.assertIn("store", manifest["calibration"])
        self.assertIn("files", json.dumps(manifest["calibration"]))
        self.assertNotEqual(*(load_json(os.path.join(self.path(name), "ptq-manifest.json"))["linears"][0]["details"] for name in ("plain", "out")))

    def test_an_estimator_of_sensitivity_may_tell_which_channels_awq_scales(self):
        data = ("--calibration", CALIBRATION, "--samples", "8", "--seqlen", "64")
        self.succeed("calibrate", MODEL, "--collect", "fisher-token", *data, "--out", self.path("stats"))
        awq = ("quantize", MODEL, "--method", "awq", *FAST)
        scales = {}
        for name, options in (("covariance", ()), ("obs", ("--set", 'awq.saliency_options={"damping":0.1}')),
                              ("fisher", ("--set", 'awq.saliency_options={"per":"token"}', "--stats", self.path("stats")))):
            self.succeed(*awq, "--saliency", name, *options, "--out", self.path(name))
            manifest = load_json(os.path.join(self.path(name), "ptq-manifest.json"))
            self.assertEqual(manifest["settings"]["options"]["awq"]["saliency"], name)
            scales[name] = [linear["details"]["scale"]["error_scaled"] for linear in manifest["linears"]]
        self.assertEqual(len({tuple(errors) for errors in scales.values()}), len(scales))

    def test_scales_may_be_found_on_the_unquantized_models_inputs(self):
        details = {}
        for propagate in ("quantized", "fp"):
            self.succeed("quantize", MODEL, "--method", "awq", *FAST, "--set", f"awq.propagate={propagate}", "--out", self.path(propagate))
            linears = load_json(os.path.join(self.path(propagate), "ptq-manifest.json"))["linears"]
            details[propagate] = {block: [one["details"]["scale"] for one in linears if one["block"] == block] for block in (0, 1)}
        # In front of the first block nothing is quantized yet.
        self.assertEqual(details["fp"][0], details["quantized"][0])
        self.assertNotEqual(details["fp"][1], details["quantized"][1])

    def test_a_config_file_sets_options_and_flags_override_it(self):
        config = self.path("config.json")
        with open(config, "w", encoding="utf-8") as file:
            json.dump({"method": "rtn", "bits": 3, "group-size": 64, "skip": ["down_proj", "o_proj"]}, file)
        self.succeed("quantize", MODEL, "--config", config, "--bits", "8", "--out", self.path("out"))
        settings = load_json(os.path.join(self.path("out"), "ptq-manifest.json"))["settings"]
        self.assertEqual((settings["method"], settings["bits"], settings["group_size"]), ("rtn", 8, 64))
        self.assertEqual(settings["skip"], ["down_proj", "o_proj"])
        with open(config, "w", encoding="utf-8") as file:
            json.dump({"bitz": 3}, file)
        self.fail_with(2, ["config.json", "bitz"], "quantize", MODEL, "--config", config, "--out", self.path("other"))

    def test_a_preset_is_recorded_and_yields_to_settings(self):
        self.succeed("quantize", MODEL, "--out", self.path("out"), "--preset", "best", "--set", "gptq.descent=1", *FAST)
        manifest = load_json(os.path.join(self.path("out"), "ptq-manifest.json"))
        self.assertEqual(manifest["settings"]["options"], {"gptq": {"preset": "best", "descent": 1}})
        self.assertGreater(manifest["linears"][-1]["details"]["drift"], 0)
        self.assertIn("codes_changed", manifest["linears"][-1]["details"])


class Refusal(CliTestCase):
    def test_an_existing_output_is_left_alone(self):
        out = self.path("out")
        self.succeed("quantize", MODEL, "--method", "rtn", "--group-size", "64", "--out", out)
        before = sorted(os.listdir(out))
        self.fail_with(2, ["exists", "--overwrite"], "quantize", MODEL, "--method", "rtn", "--group-size", "64", "--out", out)
        self.assertEqual(sorted(os.listdir(out)), before)
        self.succeed("quantize", MODEL, "--method", "rtn", "--group-size", "32", "--out", out, "--overwrite")
        self.assertEqual(load_json(os.path.join(out, "ptq-manifest.json"))["settings"]["group_size"], 32)

    def test_misuse_ends_with_its_exit_code_and_leaves_nothing(self):
        out = ["--out", self.path("out")]
        rtn = ["quantize", MODEL, "--method", "rtn", *out]
        cases = [
            (2, ["--calibration"], ["quantize", MODEL, *out, "--group-size", "64"]),
            (2, ["unknown method \"gtpq\"", "gptq", "requant"], ["quantize", MODEL, "--method", "gtpq", *out]),
            (2, ["unknown option \"dampng\"", "damping"], ["quantize", MODEL, *out, "--set", "gptq.dampng=1", *FAST]),
            (2, ["preset", "fast|default|best"], ["quantize", MODEL, *out, "--preset", "quick", *FAST]),
            (2, ["unknown option \"preset\""], [*rtn, "--preset", "fast", "--group-size", "64"]),
            (2, ["weighted-gram", "ptq calibrate MODEL", "--stats"],
             ["quantize", MODEL, *out, "--set", "gptq.hessian=weighted", *FAST]),
            (2, ["awq"], [*rtn, "--set", "awq.x=1", "--group-size", "64"]),
            (2, ["awq", "--calibration"], ["quantize", MODEL, "--method", "awq", *out, "--stats", self.work, "--group-size", "64"]),
            (2, ["autoround", "--calibration"], ["quantize", MODEL, "--method", "autoround", *out, "--stats", self.work, "--group-size", "64"]),
            (2, ["two calibration windows", "--samples"],
             ["quantize", MODEL, "--method", "autoround", *out, *FAST[:2], "--samples", "1", *FAST[4:]]),
            (2, ["gradient-energy", "--stats"], ["quantize", MODEL, "--method", "autoround", *out, "--set", "autoround.loss=fisher", *FAST]),
            (2, ["token-energy", "--stats"], ["quantize", MODEL, "--method", "awq", *out, "--set", "awq.saliency=token-energy", *FAST]),
            (2, ["pqi", "gradients at other weights", "obs"], ["quantize", MODEL, "--method", "awq", *out, "--saliency", "pqi", *FAST]),
            (2, ["unknown option \"saliency\""], ["quantize", MODEL, *out, "--saliency", "obs", *FAST]),
            (2, ["fisher-sequence", "--stats"], ["quantize", MODEL, "--method", "awq", *out, "--saliency", "fisher", *FAST]),
            (2, ["--bits"], [*rtn, "--bits", "four"]),
            (2, ["--lookup-table", "--group-size"], [*rtn, "--lookup-table", "--group-size", "64"]),
            (2, ["--lookup-table", "--asymmetric"], [*rtn, "--lookup-table", "--asymmetric"]),
            (4, ["lookup", "--format squeezellm"], [*rtn, "--lookup-table"]),
            (2, ["rtn cannot make w4-lookup of model.layers.0", "ptq list"], [*rtn, "--lookup-table", "--format", "squeezellm"]),
            (2, ["kmeans cannot make w4g64", "--lookup-table"], ["quantize", MODEL, "--method", "kmeans", *out, "--group-size", "64"]),
            (2, ["fisher-sequence", "ptq calibrate MODEL", "--stats"],
             ["quantize", MODEL, "--method", "kmeans", *out, "--lookup-table", "--format", "squeezellm", *DATA]),
            (4, ["a grid", "--lookup-table"], [*rtn, "--format", "squeezellm", "--group-size", "64"]),
            (4, ["wbits"], ["quantize", MODEL, "--method", "kmeans", "--set", "kmeans.weights=none", *out, "--lookup-table",
                            "--format", "squeezellm", "--override", "down_proj:bits=3"]),
            (2, ["bits"], [*rtn, "--bits", "9", "--group-size", "64"]),
            (4, ["48", "q_proj"], [*rtn, "--group-size", "48"]),
            (4, ["5 bits", "compressed-tensors"], [*rtn, "--format", "gptq", "--bits", "5", "--group-size", "64"]),
            (2, ["seqlen"], ["quantize", MODEL, *out, "--calibration", CALIBRATION, "--seqlen", "100000", "--group-size", "64"]),
            (4, ["cuda"], [*rtn, "--group-size", "64", "--device", "cuda"]),
            (7, ["limit"], [*rtn, "--group-size", "64", "--memory-limit", "1M"]),
        ]
        for code, mention, args in cases:
            with self.subTest(" ".join(args[2:])):
                self.fail_with(code, mention, *args)
                self.assertEqual(os.listdir(self.work), [])

    def test_a_quantized_checkpoint_is_not_quantized_again(self):
        out = self.path("out")
        self.succeed("quantize", MODEL, "--method", "rtn", "--group-size", "64", "--out", out)
        self.fail_with(4, ["already quantized"], "quantize", out, "--method", "rtn", "--out", self.path("again"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
