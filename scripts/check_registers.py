#!/usr/bin/env python3
"""Compiles the CUDA kernels and compares ptxas's registers and spills with the budget.

    scripts/check_registers.py [--update] [--architectures 80,90] [--nvcc PROGRAM] [--self-test]

The budget is src/backends/cuda/register_budget.json: registers by architecture and kernel, found
with the nvcc version that it names.  A kernel fails that spills, that needs more registers than its
budget plus SLACK, or that has none.  With another nvcc, whose registers are others, only spills
fail.  Ends with 77, ctest's "skipped", where there is no nvcc.
"""
import argparse
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
CUDA = ROOT / "src" / "backends" / "cuda"
BUDGET = CUDA / "register_budget.json"
ARCHITECTURES = ["80", "86", "89", "90"]
SLACK = 8  # releases of one version allocate a little differently
ENTRY = re.compile(r"Compiling entry function '(\w+)'")
SPILL = re.compile(r"(\d+) bytes spill stores, (\d+) bytes spill loads")
USED = re.compile(r"Used (\d+) registers")


def demangle(names):
    """Names as written in the sources, without arguments: small_matmul<Bf16, SmallMatmulShape<8, 2, 8>>."""
    out = subprocess.run(["c++filt"], input="\n".join(names), capture_output=True, text=True, check=True).stdout
    short = []
    for line in out.splitlines():
        line = re.sub(r"\((?:int|bool)\)", "", line.replace("ptq::cuda::", "").replace("void ", ""))
        short.append(line[:line.index("(")].replace(" >", ">"))
    return short


def parse(text):
    """{mangled kernel: (registers, spilled bytes)} of a log of ptxas -v."""
    found, name, spilled = {}, None, 0
    for line in text.splitlines():
        if match := ENTRY.search(line):
            name, spilled = match.group(1), 0
        elif match := SPILL.search(line):
            spilled = int(match.group(1)) + int(match.group(2))
        elif (match := USED.search(line)) and name:
            found[name] = (int(match.group(1)), spilled)
            name = None
    return found


def compile_all(nvcc, architecture):
    """The same by demangled name, of every kernel."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for source in sorted((CUDA / "module").glob("*.cu")):
            command = [nvcc, "-std=c++17", "-O3", f"-I{CUDA}", f"-I{ROOT / 'include'}",
                       f"-arch=sm_{architecture}", "-cubin", "-Xptxas=-v",
                       "-o", str(pathlib.Path(folder) / "out.cubin"), str(source)]
            run = subprocess.run(command, capture_output=True, text=True)
            if run.returncode != 0:
                sys.exit(f"{source.name} for sm_{architecture}: {run.stderr}")
            found.update(parse(run.stderr + run.stdout))
    return dict(zip(demangle(list(found)), found.values()))


def faults_of(architecture, found, budget):
    """One line per kernel that misses its budget; None: only spills are looked for."""
    for kernel, (registers, spilled) in sorted(found.items()):
        if spilled:
            yield f"sm_{architecture} {kernel}: {spilled} bytes spilled"
        if budget is None:
            continue
        limit = budget.get(kernel)
        if limit is None:
            yield f"sm_{architecture} {kernel}: has no budget; --update gives it one"
        elif registers > limit + SLACK:
            yield f"sm_{architecture} {kernel}: {registers} registers, its budget is {limit} + {SLACK}"
    for kernel in sorted(set(budget or {}) - set(found)):
        yield f"sm_{architecture} {kernel}: has a budget but does not exist; --update removes it"


def self_test():
    """Each broken budget must be found, and a good one pass."""
    log = ("ptxas info : Compiling entry function '_Z1kv' for 'sm_80'\n"
           "    0 bytes stack frame, {0} bytes spill stores, 0 bytes spill loads\nptxas info : Used 40 registers, x\n")
    cases = [(0, {"_Z1kv": 40}, 0), (0, {"_Z1kv": 40 - SLACK}, 0), (0, {"_Z1kv": 39 - SLACK}, 1), (0, {}, 1),
             (4, {"_Z1kv": 40}, 1), (0, {"_Z1kv": 40, "gone": 1}, 1),
             (0, None, 0), (4, None, 1)]
    wrong = [f"{case}: {faults}" for case in cases
             if len(faults := list(faults_of("80", parse(log.format(case[0])), case[1]))) != case[2]]
    print("\n".join(wrong) + f"check_registers: self-test, {len(wrong)} faults")
    return 1 if wrong else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--update", action="store_true", help="write what was found as the budget")
    parser.add_argument("--architectures", default=",".join(ARCHITECTURES))
    parser.add_argument("--nvcc", help="the compiler; default: the one in the path")
    parser.add_argument("--self-test", action="store_true")
    arguments = parser.parse_args()
    if arguments.self_test:
        return self_test()
    nvcc = arguments.nvcc or shutil.which("nvcc") or shutil.which("/usr/local/cuda/bin/nvcc")
    if not nvcc:
        print("check_registers: skipped, there is no nvcc")
        return 77
    version = re.search(r"release ([\d.]+)", subprocess.run([nvcc, "--version"], capture_output=True, text=True).stdout)
    chosen = arguments.architectures.split(",")
    found = {each: compile_all(nvcc, each) for each in chosen}
    if arguments.update:
        rows = {f"sm_{each}": {name: value[0] for name, value in sorted(found[each].items())} for each in chosen}
        BUDGET.write_text(json.dumps({"nvcc": version.group(1), **rows}, indent=1) + "\n", encoding="utf-8")
    budget = json.loads(BUDGET.read_text(encoding="utf-8"))
    same = version.group(1) == budget["nvcc"]
    if not same:
        print(f"check_registers: nvcc {version.group(1)}, the budget is of {budget['nvcc']}: spills only")
    faults = [fault for each in chosen
              for fault in faults_of(each, found[each], budget.get(f"sm_{each}", {}) if same else None)]
    print("\n".join(faults))
    print(f"check_registers: {sum(map(len, found.values()))} kernels, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
