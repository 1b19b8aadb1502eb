#!/usr/bin/env python3
"""`--config FILE`: what an entry means, what a flag overrides, what is refused."""
import json
import os
import unittest

from support import MODEL, CliTestCase, load_json


class Config(CliTestCase):
    def write(self, **entries):
        """A config file of RTN at groups of 64 and `entries`, in which _ stands for -."""
        path = self.path("config.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"method": "rtn", "group-size": 64, **{key.replace("_", "-"): value for key, value in entries.items()}}, file)
        return path

    def settings(self, *flags, **entries):
        """What a run with `entries` in the config file and `flags` typed says that it does."""
        self.succeed("quantize", MODEL, "--config", self.write(**entries), "--out", self.path("out"), "--overwrite", *flags)
        return load_json(os.path.join(self.path("out"), "ptq-manifest.json"))["settings"]

    def refuse(self, mention, *flags, **entries):
        self.fail_with(2, mention, "quantize", MODEL, "--config", self.write(**entries), "--out", self.path("out"), *flags)
        self.assertEqual(os.listdir(self.work), ["config.json"])

    def test_a_flag_overrides_an_entry_in_every_spelling(self):
        for number, spelling in enumerate((["-o", "{}"], ["-o{}"], ["--out={}"])):
            out = self.path(f"typed-{number}")
            config = self.write(out=self.path("configured"), bits=3)
            typed = [part.format(out) for part in spelling]
            self.succeed("quantize", MODEL, *typed, "--bits=8", f"--config={config}")
            self.assertEqual(load_json(os.path.join(out, "ptq-manifest.json"))["settings"]["bits"], 8)
        self.assertFalse(os.path.exists(self.path("configured")))

    def test_the_value_of_an_option_is_no_flag(self):
        settings = self.settings("--skip", "--bits", bits=3, skip=["q_proj"])
        self.assertEqual((settings["bits"], settings["skip"]), (3, ["--bits"]))

    def test_a_boolean_means_what_it_says(self):
        cases = [("symmetric", True, True), ("symmetric", False, False), ("asymmetric", True, False), ("asymmetric", False, True)]
        for name, value, symmetric in cases:
            with self.subTest(f"{name}: {value}"):
                self.assertEqual(self.settings(**{name: value})["symmetric"], symmetric)
        self.assertFalse(self.settings("--symmetric=false")["symmetric"])

    def test_a_flag_overrides_the_entry_that_it_excludes(self):
        for flag, name, value in (("asymmetric", "symmetric", True), ("symmetric", "symmetric", False), ("symmetric", "asymmetric", True)):
            with self.subTest(f"--{flag} over {name}: {value}"):
                self.assertEqual(self.settings(f"--{flag}", **{name: value})["symmetric"], flag == "symmetric")

    def test_false_is_the_default_of_every_flag(self):
        off = {"no_verify": False, "resume": False, "overwrite": False, "dry_run": False, "json": False}
        self.succeed("quantize", MODEL, "--config", self.write(**off), "--out", self.path("out"))
        self.fail_with(2, ["exists"], "quantize", MODEL, "--config", self.write(overwrite=True), "--overwrite=false", "--out", self.path("out"))

    def test_what_cannot_be_an_entry_is_refused(self):
        self.refuse(['no option "bit"'], bit=3)
        self.refuse(['no option "verify"', '"no-verify"'], verify=False)
        self.refuse(['no option "config"'], config="other.json")
        self.refuse(['no option "help"'], help=True)
        self.refuse(['no option "model"'], model=MODEL)
        self.refuse(['"symmetric"', '"asymmetric"', "exclude each other"], symmetric=True, asymmetric=True)
        self.refuse(['"bits" is a list'], bits=[3, 4])
        self.refuse(['"skip" holds null'], skip=[None])
        self.refuse(['"skip" holds ""'], skip="")
        self.refuse(['"bits" holds {}'], bits={})
        self.refuse(['"bits" has the wrong type'], bits=True)
        self.refuse(['"overwrite" has the wrong type'], overwrite="yes")
        underscored = self.path("config.json")
        with open(underscored, "w", encoding="utf-8") as file:
            json.dump({"group_size": 64}, file)
        self.fail_with(2, ['"group_size"', 'there is "group-size"'], "quantize", MODEL, "--config", underscored)


if __name__ == "__main__":
    unittest.main(verbosity=2)
