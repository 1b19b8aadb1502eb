#!/usr/bin/env python3
"""`ptq quantize` interrupted and resumed: killed anywhere, it goes on to the same bytes."""
import json
import os
import random
import shutil
import signal
import subprocess
import time
import unittest

from support import FAST, METHODS, MODEL, PTQ, CliTestCase, load_json, run


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
