#!/usr/bin/env python3
"""Prints what scripts/bench.sh measured.  usage: bench_table.py RESULTS_DIR RTN_PROCESS_SECONDS"""
import json
import sys

# What is collected, and floor and goal of its ratio to a forward pass: forward once, forward again and backward for the
# gradients of the inputs, and for the Fisher diagonal a product of the size of the weight's gradient.
GRADIENT_RUNS = (("token-energy", 3, 3.5), ("token-energy,fisher-sequence", 4, 4.6))


def load(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def main():
    results, rtn_seconds = sys.argv[1], float(sys.argv[2])
    floors = [load(f"{results}/floor-{i}.json") for i in (1, 2, 3)]
    gptq, evaluation, rtn = (load(f"{results}/{name}.json") for name in ("gptq", "eval", "rtn"))
    print(f"threads {floors[0]['threads']}, matrix products (sgemm) in GFLOP/s: "
          + ", ".join(f"{floor['sgemm_gflops']:.1f}" for floor in floors))

    rate = (floors[0]["sgemm_gflops"] + floors[1]["sgemm_gflops"]) / 2 * 1e9
    forward = floors[0]["forward_flops"] / rate
    floor_seconds = forward + floors[0]["gram_flops"] / rate
    timing = gptq["timing"]
    call = timing["quantize_call_seconds"]
    print(f"\nquantize (gptq, call alone): {call:.2f} s = {call / floor_seconds:.2f} x the floor of {floor_seconds:.2f} s "
          f"(forward {forward:.2f} s + half Gram products {floor_seconds - forward:.2f} s)")
    for name, seconds in timing["phase_seconds"].items():
        print(f"  {name:<12}{seconds:8.2f} s {seconds / forward:6.2f} x forward")
    work = floors[0]["forward_flops"] + floors[0]["gram_flops"]
    print(f"  {work / call / 1e9:.1f} GFLOP/s, {100 * work / call / rate:.1f} % of sgemm; whole process {timing['wall_seconds']:.2f} s, "
          f"peak RSS {timing['peak_rss_bytes'] / 2**20:.0f} MiB")

    rate = (floors[1]["sgemm_gflops"] + floors[2]["sgemm_gflops"]) / 2 * 1e9
    flops = floors[0]["eval_flops_per_token"] * evaluation["tokens"]
    seconds = evaluation["seconds"]
    print(f"\neval: {evaluation['tokens'] / seconds:.0f} tokens/s, {flops / seconds / 1e9:.1f} GFLOP/s, "
          f"{100 * flops / seconds / rate:.1f} % of sgemm; perplexity {evaluation['model']['perplexity']:.4f}; "
          f"peak RSS {evaluation['peak_rss_bytes'] / 2**20:.0f} MiB")
    forwards = [load(f"{results}/forward-{i}.json") for i in (1, 2)]
    forward = sum(run["seconds"] for run in forwards) / 2
    print(f"\ncalibrate, {forwards[0]['tokens']} tokens; a forward pass with loss takes {forward:.2f} s "
          f"({', '.join(format(run['seconds'], '.2f') for run in forwards)}):")
    for name, least, goal in GRADIENT_RUNS:
        run = load(f"{results}/calibrate-{name}.json")
        print(f"  {name:<30}{run['seconds']:8.2f} s {run['seconds'] / forward:6.2f} x forward (floor {least}, goal {goal}); "
              f"{run['tokens']} tokens, peak RSS {run['peak_rss_bytes'] / 2**20:.0f} MiB")
    print(f"\nquantize (rtn, whole process): {rtn_seconds:.2f} s, peak RSS {rtn['timing']['peak_rss_bytes'] / 2**20:.0f} MiB")


if __name__ == "__main__":
    main()
