#!/usr/bin/env python3
"""Runs a program over a corpus of make_hostile_corpus.py and checks every answer.

    scripts/run_hostile_corpus.py PTQ CORPUS_DIR [--jobs N] [--only NAME] [--time-limit S] [--verbose] [--self-test]

Each case must end within the time limit with its exit code (never by a signal or a sanitizer), say on stderr what the
manifest asks for, and leave nothing at its output path unless it succeeds.  Exit code 1 if any case does not.
--self-test instead proves that programs that crash, hang, accept or refuse everything do not pass.
"""
import argparse
import concurrent.futures
import functools
import json
import os
import pathlib
import subprocess
import sys
import tempfile

SANITIZER = ("AddressSanitizer", "runtime error:", "LeakSanitizer")


def faults_of(case, result, left, time_limit):
    """What is wrong with the answer to a case; `left` names what the run left behind."""
    faults = []
    if result is None:
        return [f"no end within {time_limit} s"]
    message = result.stderr.decode(errors="replace")
    if result.returncode < 0:
        faults.append(f"died by signal {-result.returncode}")
    elif result.returncode != case["expected_exit"]:
        faults.append(f"exit {result.returncode}, expected {case['expected_exit']}")
    faults += [f"a sanitizer's report: {word}" for word in SANITIZER if word in message]
    if case["expected_exit"] != 0:
        faults += [f"the message does not mention {text!r}" for text in case["must_mention"] if text not in message]
        if "error:" not in message:
            faults.append("no line with error:")
        if left:
            faults.append("left behind: " + ", ".join(left))
    return faults


def run_case(program, corpus, case, time_limit):
    """(case, its faults, its stderr)"""
    with tempfile.TemporaryDirectory(prefix="ptq-hostile-") as work:
        places = {"{corpus}": str(corpus), "{out}": os.path.join(work, "out")}
        args = case["args"]
        for name, place in places.items():
            args = [arg.replace(name, place) for arg in args]
        # One thread: many small runs at once, and Debian's OpenMP spins.
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        try:
            result = subprocess.run([*program, *args], capture_output=True, timeout=time_limit, check=False,
                                    env=environment, stdin=subprocess.DEVNULL, cwd=work)
        except subprocess.TimeoutExpired:
            result = None
        left = sorted(os.listdir(work))
        message = "" if result is None else result.stderr.decode(errors="replace")
        return case, faults_of(case, result, left, time_limit), message


def run_all(program, cases, args):
    """The number of cases with faults, which are printed."""
    bad = 0
    run = functools.partial(run_case, program, args.corpus.resolve(), time_limit=args.time_limit)
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        for case, faults, message in pool.map(run, cases):
            if faults:
                bad += 1
                print(f"FAILED {case['name']}: {'; '.join(faults)}")
            if args.verbose or faults:
                print(f"  ptq {' '.join(case['args'])}")
                print("".join(f"  | {line}\n" for line in message.strip().splitlines()[-8:]), end="")
    return bad


def self_test(corpus, cases):
    """Fails unless each of five wrong programs fails."""
    broken = [case for case in cases if case["expected_exit"] != 0][:3]
    valid = [case for case in cases if case["expected_exit"] == 0][:3]
    refuse = f"echo error: {' '.join(broken[0]['must_mention'])} >&2; exit {broken[0]['expected_exit']}"
    keep_output = 'while [ $# -gt 1 ]; do [ "$1" = --out ] && mkdir "$2"; shift; done; '
    writes = next(case for case in cases if "{out}" in case["args"] and case["expected_exit"] != 0)
    answer = f"echo error: {' '.join(writes['must_mention'])} >&2; exit {writes['expected_exit']}"
    for name, script, case, passes in [
        ("accepts everything", "exit 0", broken[0], False), ("refuses everything", refuse, valid[0], False),
        ("crashes", "kill -SEGV $$", broken[0], False), ("hangs", "sleep 5", broken[0], False),
        ("says nothing", f"exit {broken[0]['expected_exit']}", broken[0], False),
        ("leaves its output", keep_output + answer, writes, False),
        ("answers rightly", answer, writes, True), ("refuses rightly", refuse, broken[0], True),
    ]:
        faults = run_case(["bash", "-c", script, "program"], corpus, case, time_limit=1)[1]
        if bool(faults) == passes:
            sys.exit(f"self-test: a program that {name} was judged {'wrong' if faults else 'right'}")
    print("self-test: wrong programs fail, right ones pass")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("corpus", type=pathlib.Path)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--only", default="", help="cases whose name holds this")
    parser.add_argument("--leave-out", default="", help="not the cases whose name holds this; they are counted")
    parser.add_argument("--time-limit", type=float, default=60, metavar="S", help="seconds a case may take")
    parser.add_argument("--verbose", action="store_true", help="show every message")
    parser.add_argument("--self-test", action="store_true")
    args = parser.parse_args()
    corpus = args.corpus.resolve()
    cases = [case for case in json.loads((corpus / "manifest.json").read_text()) if args.only in case["name"]]
    if args.self_test:
        self_test(corpus, cases)
        return
    if not cases:
        sys.exit(f"no case is named *{args.only}*")
    left_out = [case for case in cases if args.leave_out and args.leave_out in case["name"]]
    cases = [case for case in cases if case not in left_out]
    if left_out:
        print(f"left out: {', '.join(case['name'] for case in left_out)}")
    bad = run_all([str(args.program.resolve())], cases, args)
    print(f"{len(cases) - bad} of {len(cases)} cases as they must be")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
