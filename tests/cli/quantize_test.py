#!/usr/bin/env python3
"""`ptq quantize` as a user meets it: outputs, determinism, interruption and resumption, refusals."""
import json
import os
import random
import shutil
import signal
import subprocess
import time
import unittest

from support import CALIBRATION, FAST, HELDOUT, MODEL, PTQ, CliTestCase, file_hashes, load_json, run

DATA = FAST[:6]  # the calibration data alone
# Every quantizer, with what keeps it short where the outcome does not matter.
METHODS = {"rtn": [], "gptq": [], "awq": [], "autoround": ["--set", "autoround.iterations=2", "--set", "autoround.batch=2"]}


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
            (2, ["unknown quantizer \"gtpq\"", "gptq"], ["quantize", MODEL, "--method", "gtpq", *out]),
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


class Interruption(CliTestCase):
    def start(self, out, *more, model=MODEL):
        return subprocess.Popen([PTQ, "quantize", model, "--out", out, *FAST, *more], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def uninterrupted(self, *more):
        self.succeed("quantize", MODEL, "--out", self.path("whole"), *FAST, *more)

    def shards_of(self, directory):
        """How many shards there are; none while the directory is absent, which a rename may make it at any time."""
        try:
            return sum(name.endswith(".safetensors") for name in os.listdir(directory))
        except FileNotFoundError:
            return 0

    def kill_at(self, process, out, shards, delay):
        """Kills `process` so many seconds after so many shards are there; tells whether it was still running."""
        deadline = time.monotonic() + 60
        while process.poll() is None and self.shards_of(out + ".ptq-partial") < shards:
            self.assertLess(time.monotonic(), deadline, "the shards never came")
            time.sleep(0.001)
        time.sleep(delay)
        process.kill()
        process.communicate()
        return process.returncode == -signal.SIGKILL

    def test_a_killed_run_resumes_to_the_same_bytes(self):
        self.uninterrupted()
        shards = self.shards_of(self.path("whole"))
        rng = random.Random(1)
        killed = 0
        for attempt in range(8):
            out = self.path(f"killed-{attempt}")
            # Killed, then killed again while it resumes, when it has written a shard of its own.
            killed += self.kill_at(self.start(out), out, rng.randrange(shards - 1), rng.uniform(0, 0.03))
            if not os.path.exists(out):
                at = self.shards_of(out + ".ptq-partial") + 1
                killed += self.kill_at(self.start(out, "--resume"), out, at, rng.uniform(0, 0.03))
            if not os.path.exists(out):
                self.succeed("quantize", MODEL, "--out", out, *FAST, "--resume")
            self.assert_same_output(self.path("whole"), out)
            self.assertFalse(os.path.exists(out + ".ptq-partial"))
            shutil.rmtree(out)
        self.assertGreater(killed, 8, "hardly any run was killed: the test shows nothing")

    def resumes_after_each_shard(self, *options):
        """A run with `options`, killed after one, two and three shards, goes on to the bytes of a whole one."""
        self.uninterrupted(*options)
        killed = 0
        for at in range(1, 4):
            out = self.path(f"killed-{at}")
            killed += self.kill_at(self.start(out, *options), out, at, 0)
            if not os.path.exists(out):
                self.succeed("quantize", MODEL, "--out", out, *FAST, *options, "--resume")
            self.assert_same_output(self.path("whole"), out)
        self.assertGreater(killed, 0, "no run was killed: the test shows nothing")

    def test_a_run_beside_the_full_precision_model_resumes_to_the_same_bytes(self):
        self.resumes_after_each_shard("--preset", "best")

    def test_a_killed_run_without_calibration_resumes_to_the_same_bytes(self):
        # The shard of the rest, written beside the blocks, may be among those that are there.
        self.resumes_after_each_shard("--method", "rtn")

    def test_a_killed_run_that_scales_its_blocks_resumes_to_the_same_bytes(self):
        self.resumes_after_each_shard("--method", "awq")

    def test_a_run_that_scales_by_the_unquantized_model_resumes_to_the_same_bytes(self):
        self.resumes_after_each_shard("--method", "awq", "--set", "awq.propagate=fp")

    def test_a_killed_run_that_refines_its_blocks_resumes_to_the_same_bytes(self):
        self.resumes_after_each_shard("--method", "autoround", *METHODS["autoround"])

    def test_shards_without_a_record_are_told_and_written_again(self):
        self.uninterrupted()
        out = self.path("out")
        shard = sorted(name for name in os.listdir(self.path("whole")) if name.endswith(".safetensors"))[0]
        os.mkdir(out + ".ptq-partial")
        with open(os.path.join(out + ".ptq-partial", shard), "wb") as file:
            file.write(b"of who knows which run")
        result = self.succeed("quantize", MODEL, "--out", out, *FAST, "--resume")
        self.assertIn("nothing to go on with", result.stderr)
        self.assert_same_output(self.path("whole"), out)

    def test_a_run_killed_before_its_input_is_hashed_starts_anew(self):
        model, unread = self.path("model"), self.path("model/tokenizer.model")
        shutil.copytree(MODEL, model)
        self.succeed("quantize", model, "--out", self.path("whole"), *FAST)
        blocks = load_json(os.path.join(model, "config.json"))["num_hidden_layers"]
        for at in (None, 1, blocks):  # None: as soon as the directory is there; blocks: the run waits for the hash alone
            out = self.path(f"killed-{at}")
            partial = out + ".ptq-partial"
            # A hole takes no disk, but minutes to hash; a tokenizer.model beside tokenizer.json is only hashed.
            with open(unread, "wb") as file:
                file.truncate(1 << 39)
            process = self.start(out, model=model)
            deadline = time.monotonic() + 60
            while not os.path.isdir(partial) if at is None else self.shards_of(partial) < at:
                self.assertIsNone(process.poll(), "the run ended before it could be killed")
                self.assertLess(time.monotonic(), deadline, "the shards never came")
                time.sleep(0.001)
            process.kill()
            process.communicate()
            os.remove(unread)
            self.assertFalse(os.path.exists(os.path.join(partial, "progress.json")))
            shards = self.shards_of(partial)
            result = self.succeed("quantize", model, "--out", out, *FAST, "--resume", "--json")
            self.assertEqual("nothing to go on with" in result.stderr, shards > 0, result.stderr)
            self.assertEqual(json.loads(result.stdout)["timing"]["resumed_blocks"], 0)
            self.assert_same_output(self.path("whole"), out)

    def test_resuming_at_every_block_gives_the_same_bytes(self):
        self.uninterrupted()
        out = self.path("out")
        process = self.start(out)
        partial = out + ".ptq-partial"
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:  # until the first block is on record
            progress = os.path.join(partial, "progress.json")
            if os.path.exists(progress) and load_json(progress)["blocks"]:
                break
            time.sleep(0.005)
        process.kill()
        process.communicate()
        self.assertTrue(os.path.isdir(partial), "the run ended before it could be killed")
        result = self.succeed("quantize", MODEL, "--out", out, *FAST, "--resume", "--json")
        self.assertGreater(json.loads(result.stdout)["timing"]["resumed_blocks"], 0)
        self.assert_same_output(self.path("whole"), out)

    def test_sigint_leaves_a_state_that_resumes_and_other_settings_are_refused(self):
        out = self.path("out")
        process = self.start(out)
        while not os.path.exists(os.path.join(out + ".ptq-partial", "progress.json")):
            time.sleep(0.005)
            self.assertIsNone(process.poll())
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130, stderr)
        self.assertFalse(os.path.exists(out))
        self.fail_with(2, ["bits (was 3, is 4)"], "quantize", MODEL, "--out", out, *FAST[:-4], "--bits", "4", "--threads", "2", "--resume")
        self.fail_with(2, ["unfinished", "--resume"], "quantize", MODEL, "--out", out, *FAST)
        self.succeed("quantize", MODEL, "--out", out, *FAST, "--resume")
        self.succeed("verify", out)


if __name__ == "__main__":
    unittest.main(verbosity=2)
