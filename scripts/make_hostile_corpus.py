#!/usr/bin/env python3
"""Writes inputs that are each broken in one respect, and what the program must answer to them.

    scripts/make_hostile_corpus.py OUT_DIR [--seed N]

OUT_DIR/manifest.json lists the cases: name, kind, args (a command line; {corpus} is OUT_DIR, {out} a path to write
to), expected_exit and must_mention (strings of the message).  Kind "control" is valid and must be accepted: a program
that refuses everything must not pass.  scripts/run_hostile_corpus.py runs them.  Standard library only; the same seed
gives the same bytes.
"""
import argparse
import json
import pathlib
import random

import hostile_cases
import hostile_files
import hostile_model
import hostile_sparse


class Corpus:
    """Collects the cases and writes their files."""

    def __init__(self, root, seed):
        self.root, self.base, self.cases = root, hostile_model.Model(seed), []
        self.base.write(root / "base")
        rng = random.Random(seed + 1)
        self.text = "".join(hostile_model.sample_text(rng, 40) for _ in range(30))
        (root / "text.txt").write_text(self.text)

    def add(self, kind, name, args, expected_exit, *must_mention):
        """One case whose files are written by the caller."""
        full = f"{kind}-{name}"
        if any(case["name"] == full for case in self.cases):
            raise ValueError(f"two cases are named {full}")
        self.cases.append({"name": full, "kind": kind, "args": args, "expected_exit": expected_exit,
                           "must_mention": list(must_mention)})

    def add_model(self, kind, name, model, command, expected_exit, *must_mention):
        """A case that is a model directory; {model} in the command stands for it."""
        where = f"cases/{kind}-{name}"
        model.write(self.root / where)
        args = [part.replace("{model}", "{corpus}/" + where) for part in COMMANDS[command]]
        self.add(kind, name, args, expected_exit, *must_mention)

    def add_file(self, kind, name, file_name, content, command, expected_exit, *must_mention):
        """A case that is a file given to a valid model; {file} in the command stands for it."""
        where = pathlib.Path("cases") / f"{kind}-{name}" / file_name
        (self.root / where).parent.mkdir(parents=True)
        (self.root / where).write_bytes(content)
        args = [part.replace("{file}", "{corpus}/" + str(where)).replace("{model}", "{corpus}/base")
                for part in COMMANDS[command]]
        self.add(kind, name, args, expected_exit, *must_mention)


SCHEME = ["--bits", "4", "--group-size", "16", "--out", "{out}"]
WINDOWS = ["--samples", "4", "--seqlen", "32"]
COMMANDS = {
    "inspect": ["inspect", "{model}"],
    "rtn": ["quantize", "{model}", "--method", "rtn", *SCHEME],
    "gptq": ["quantize", "{model}", "--method", "gptq", *SCHEME, "--calibration", "{corpus}/text.txt", *WINDOWS],
    "calibrate": ["quantize", "{model}", "--method", "gptq", *SCHEME, "--calibration", "{file}", *WINDOWS],
    "eval": ["eval", "{model}", "--text", "{corpus}/text.txt", "--seqlen", "32", "--windows", "4"],
    "eval-text": ["eval", "{model}", "--text", "{file}", "--seqlen", "32"],
    "eval-tokens": ["eval", "{model}", "--tokens", "{file}"],
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    args.out.mkdir(parents=True)
    corpus = Corpus(args.out, args.seed)
    hostile_files.add_all(corpus)
    hostile_cases.add_all(corpus)
    hostile_sparse.add_all(corpus)
    (args.out / "manifest.json").write_text(json.dumps(corpus.cases, indent=1) + "\n")
    broken = sum(case["kind"] != "control" for case in corpus.cases)
    print(f"{broken} broken inputs and {len(corpus.cases) - broken} valid ones in {args.out}")


if __name__ == "__main__":
    main()
