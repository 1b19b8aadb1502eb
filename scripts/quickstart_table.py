#!/usr/bin/env python3
"""Prints the quickstart's results as one table.  usage: quickstart_table.py RESULTS_DIR MODEL"""
import json
import os
import sys


def load(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def directory_bytes(path):
    return sum(os.path.getsize(os.path.join(path, name)) for name in os.listdir(path) if name.endswith(".safetensors"))


def main():
    results, model = sys.argv[1:3]
    rows = [("", "bits/weight", "MB", "perplexity", "+/-", "KL, nats/token", "same top token", "quantize s")]
    for name, directory in (("full", model), ("rtn", f"{results}/rtn"), ("gptq", f"{results}/gptq")):
        evaluation = load(f"{results}/{name}.eval.json")
        perplexity = evaluation["model"]
        row = [name, "", f"{directory_bytes(directory) / 1e6:.2f}", f"{perplexity['perplexity']:.3f}",
               f"{perplexity['perplexity_standard_error']:.3f}", "", "", ""]
        if name != "full":
            report = load(f"{results}/{name}.quantize.json")
            row[1] = f"{report['bits_per_weight']:.3f}"
            row[5] = f"{evaluation['kl']['mean_nats']:.4f}"
            row[6] = f"{100 * evaluation['kl']['top1_agreement']:.1f} %"
            row[7] = f"{report['timing']['wall_seconds']:.1f}"
        rows.append(row)
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) if i == 0 else cell.rjust(width) for i, (cell, width) in enumerate(zip(row, widths))))
    first = load(f"{results}/full.eval.json")["model"]
    print(f"\nperplexity: {first['protocol']} protocol, {first['windows']} windows of {first['seqlen']} tokens, "
          f"{first['scored_tokens']} tokens scored; the checkpoints are in {results}")


if __name__ == "__main__":
    main()
