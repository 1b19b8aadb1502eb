#!/usr/bin/env python3
"""Perplexity of one model under the settings that docs/quantizers.md weighs against the defaults, as a Markdown table.

usage: scripts/defaults_table.py MODEL CALIBRATION EVALUATION --samples N --seqlen N --eval-seqlen N [--windows N]
                                 [--only SUBSTRING]
CALIBRATION and EVALUATION are texts or, as .json, rows of token ids.  PTQ names the program.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

ROWS = [
    ("defaults", "gptq", []),
    ("`grid=mse`", "gptq", ["grid=mse"]),
    ("`grid=minmax`", "gptq", ["grid=minmax"]),
    ("`order=none`", "gptq", ["order=none"]),
    ("`damping_scale=median`", "gptq", ["damping_scale=median"]),
    ("`damping=0.003`", "gptq", ["damping=0.003"]),
    ("`damping=0.03`", "gptq", ["damping=0.03"]),
    ("`damping=0.1`", "gptq", ["damping=0.1"]),
    ("`rtn`", "rtn", []),
    ("`rtn`, `grid=mse`", "rtn", ["grid=mse"]),
]


def ptq(*args):
    program = os.environ.get("PTQ", os.path.join(os.path.dirname(__file__), "../build/release/bin/ptq"))
    result = subprocess.run([program, *args, "--json", "--log-level", "warn"], stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(result.stdout)


def evaluate(model, args):
    kind = "--tokens" if args.evaluation.endswith(".json") else "--text"
    result = ptq("eval", model, kind, args.evaluation, "--seqlen", str(args.eval_seqlen), "--windows", str(args.windows))
    return result["model"]["perplexity"]


def quantized(args, method, settings, bits):
    """The perplexity of the model after `method` with `settings`."""
    with tempfile.TemporaryDirectory(prefix="ptq-defaults-") as directory:
        out = os.path.join(directory, "out")
        data = [] if method == "rtn" else ["--calibration", args.calibration, "--windows", "first", "--samples", str(args.samples),
                                           "--seqlen", str(args.seqlen)]
        options = [word for setting in settings for word in ("--set", f"{method}.{setting}")]
        ptq("quantize", args.model, "--method", method, "--bits", str(bits), "--group-size", "64", "--out", out, *data, *options)
        return evaluate(out, args)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("model", "calibration", "evaluation"):
        parser.add_argument(name)
    for name in ("--samples", "--seqlen", "--eval-seqlen"):
        parser.add_argument(name, type=int, required=True)
    parser.add_argument("--windows", type=int, default=-1, help="of the evaluation; default: all")
    parser.add_argument("--only", default="", help="rows whose name holds this")
    args = parser.parse_args()
    print(f"unquantized {evaluate(args.model, args):.3f}\n\n| settings | W4 | W3 |\n| --- | --- | --- |")
    for name, method, settings in ROWS:
        if args.only in name:
            figures = [quantized(args, method, settings, bits) for bits in (4, 3)]
            print(f"| {name} | " + " | ".join(f"{figure:.2f}" for figure in figures) + " |")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
