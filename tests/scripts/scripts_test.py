#!/usr/bin/env python3
"""The shell scripts as a user meets them: called from another folder, with paths seen from there; without root."""
import json
import os
import re
import shutil
import stat
import struct
import subprocess
import tempfile
import unittest

PTQ = os.environ["PTQ"]
ROOT = os.environ["PTQ_SOURCE_DIR"]
MODEL = os.path.join(ROOT, "tests/data/tale-llama")

# Programs that check what they are told and print what the tables read.
FLOOR = """#!/bin/sh
test -f "$1/config.json" || exit 9
echo '{"threads": 1, "sgemm_gflops": 1, "forward_flops": 1e9, "gram_flops": 1e9, "eval_flops_per_token": 1e6}'
"""
BENCHED = """#!/bin/sh
for file in "$2/config.json" "$(echo "$*" | sed -n 's/.*--\\(calibration\\|text\\) \\([^ ]*\\).*/\\2/p')"; do
  [ -z "$file" ] || [ -f "$file" ] || { echo "no $file" >&2; exit 9; }
done
echo '{"timing": {"quantize_call_seconds": 1, "phase_seconds": {}, "wall_seconds": 1, "peak_rss_bytes": 1048576},
       "tokens": 1000, "seconds": 1, "model": {"perplexity": 2}, "peak_rss_bytes": 1048576}'
"""
GATED = """#!/bin/sh
case "$*" in *rtn-w3g64\\ *rtn-w4g64.json*) exit 6 ;; esac
"""
# `cmake --build FOLDER --target NAME…` leaves a program of each name.
MAKES_SKIPPING_TESTS = """
mkdir -p build/gpu/bin
[[ $1 != --build ]] || for name in "${@:4}"; do
  printf '#!/bin/sh\\necho "[  SKIPPED ] Gpu.Any"\\n' >"$2/bin/$name" && chmod +x "$2/bin/$name"
done
"""
# What finds a race in a kernel of a library, and in one of another name.
SANITIZER = """#!/bin/sh
echo '[  PASSED  ] 1 test.'
[ "$2" = racecheck ] || exit 0
echo '========= Error: Race reported between Read access at nvjet_sm90+0xb0'
echo '=========     and Write access at KERNEL+0x28'
exit 99
"""


class Scripts(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory(prefix="ptq-scripts-")
        self.addCleanup(temporary.cleanup)
        self.work = temporary.name

    def path(self, name):
        return os.path.join(self.work, name)

    def program(self, name, text):
        """Makes an executable; returns its path as seen from the work folder."""
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, os.stat(path).st_mode | stat.S_IXUSR)
        return name

    def run_script(self, name, *args, **environment):
        """Runs a script from the work folder."""
        return subprocess.run([os.path.join(ROOT, "scripts", name), *args], cwd=self.work, capture_output=True, text=True,
                              timeout=300, check=False, env={**os.environ, **environment})

    def succeed(self, name, *args, **environment):
        result = self.run_script(name, *args, **environment)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        return result

    def gpu_check(self, cmake):
        """The script's result and what it recorded, where `cmake` is the program of that name."""
        for name in ("gpu_check.sh", "lib.sh"):
            os.makedirs(self.path("scripts"), exist_ok=True)
            shutil.copy(os.path.join(ROOT, "scripts", name), self.path("scripts"))
        self.program("bin/cmake", "#!/bin/bash\n" + cmake + "\n")
        self.program("bin/nvcc", "#!/bin/sh\n")  # no other folder is looked into
        result = subprocess.run([self.path("scripts/gpu_check.sh"), "out/results.md"], cwd=self.work, capture_output=True, text=True,
                                timeout=60, check=False, env={**os.environ, "PATH": self.path("bin") + ":/usr/bin:/bin"})
        with open(self.path("out/results.md"), encoding="utf-8") as file:
            return result, file.read()

    def test_gpu_check_tells_a_librarys_races_from_ours(self):
        races = SANITIZER.replace("KERNEL", "nvjet_sm90")
        for program, verdict in ((races, "ok, "), (SANITIZER.replace("KERNEL", "ptq::small_matmul"), "FAILED (1), "),
                                 (races.replace("Error: Race reported", "Error: Barrier error detected"), "FAILED (1), "),
                                 (re.sub("(?m)^echo '=.*$", "", races), "FAILED (1), ")):
            self.program("bin/compute-sanitizer", program)
            _, text = self.gpu_check("exit 3")
            self.assertIn("\n## compute-sanitizer memcheck\n\nok, ", text)
            self.assertIn("\n## compute-sanitizer racecheck\n\n" + verdict, text)

    def test_gpu_check_records_each_step_and_goes_on(self):
        cases = (("echo no compiler; exit 3", 1, {"FAILED (3)": 4, "FAILED (127)": 20, "no compiler": 4}),
                 # Tests that only skip are no check.
                 (MAKES_SKIPPING_TESTS, 1, {"ok, ": 23, "no device was used": 2}))
        for cmake, status, found in cases:
            result, text = self.gpu_check(cmake)
            self.assertEqual(result.returncode, status, result.stderr)
            for title in ("configure", "build the kernels", "device", "emulated", "backend's contract", "bench gemm, plain",
                          "bench gemm, graph"):
                self.assertIn(f"\n## {title}\n", text)
            self.assertEqual({part: text.count(part) for part in found}, found, text)

    def store(self, name, values, kind="F32"):
        """A directory of statistics with one sum."""
        data = struct.pack(f"<{len(values)}{'f' if kind == 'F32' else 'd'}", *values)
        header = json.dumps({"a.gram.sum": {"dtype": kind, "shape": [len(values)], "data_offsets": [0, len(data)]},
                             "__metadata__": {"parts": "1"}}).encode()
        os.makedirs(self.path(name))
        with open(self.path(f"{name}/block-00000.safetensors"), "wb") as file:
            file.write(struct.pack("<Q", len(header)) + header + data)

    def test_stores_are_compared_by_every_sum(self):
        self.store("one", [3, 4])
        for name, values, status in (("same", [3, 4], 0), ("near", [3, 4.0001], 0), ("far", [3, 4.1], 1),
                                     ("nan", [3, float("nan")], 1), ("longer", [3, 4, 0], 1)):
            self.store(name, values)
            self.assertEqual(self.run_script("compare_stores.py", "one", name, "1e-4").returncode, status, name)
        result = self.run_script("compare_stores.py", "one", "far", "1e-4")
        self.assertIn("gram.sum: 2.00e-02", result.stdout)  # 0.1 of 5
        self.assertEqual(self.run_script("compare_stores.py", "one", "absent", "1e-4").returncode, 1)

    def test_bench_takes_the_callers_paths(self):
        self.program("bin/ptq_floor", FLOOR)
        self.program("bin/ptq", BENCHED)
        os.symlink(MODEL, self.path("model"))
        for name in ("calibration.txt", "heldout.txt"):
            shutil.copy(os.path.join(MODEL, name), self.path(name))
        result = self.succeed("bench.sh", "model", "calibration.txt", "heldout.txt", "--out", "results", PTQ_BIN_DIR="bin")
        self.assertIn("1000 tokens/s", result.stdout)
        self.assertRegex(result.stdout, r"token-energy,fisher-sequence +1.00 s +1.00 x forward \(floor 4, goal 4.6\)")
        self.assertIn("gptq.json", os.listdir(self.path("results")))
        self.assertEqual(self.run_script("bench.sh").returncode, 2)

    def test_regression_takes_the_callers_program(self):
        result = self.succeed("regression.sh", PTQ=self.program("bin/gated", GATED))
        self.assertIn("perplexities as stored", result.stdout)

    def test_check_torch_looks_for_a_package_where_the_caller_is(self):
        result = self.run_script("check_torch.sh", "2.11.0", "--reuse", "packages")
        self.assertNotEqual(result.returncode, 0)
        self.assertIn(f"no torch in {self.path('packages')}", result.stderr)

    def test_quickstart_takes_the_callers_paths(self):
        os.mkdir(self.path("bin"))
        os.symlink(PTQ, self.path("bin/ptq"))
        os.symlink(MODEL, self.path("model"))
        shutil.copy(os.path.join(MODEL, "calibration.txt"), self.path("text.txt"))
        few = ["--samples", "4", "--seqlen", "64", "--windows", "2"]
        result = self.succeed("quickstart.sh", "--no-setup", "--model", "model", "--calibration", "text.txt", "--out", "out", *few,
                              PTQ="bin/ptq")
        self.assertIn("GPTQ", result.stdout)
        with open(self.path("out/gptq.eval.json"), encoding="utf-8") as file:
            self.assertGreater(json.load(file)["kl"]["mean_nats"], 0)

    def test_setup_goes_on_when_the_lists_cannot_be_updated(self):
        log = self.path("log")
        self.program("bin/id", "#!/bin/sh\necho 1000\n")
        self.program("bin/dpkg-query", "#!/bin/sh\nexit 1\n")
        self.program("bin/apt-get", "#!/bin/sh\nexit 9\n")
        self.program("bin/apt-cache", "#!/bin/sh\necho '  Candidate: 1.13.1'\n")
        self.program("bin/cmake", "#!/bin/sh\necho cmake version 3.25.1\n")
        self.program("bin/sudo", f'#!/bin/sh\necho "sudo: $*" >> {log}\ncase "$*" in *update*) exit 1 ;; esac\n')
        result = self.succeed("setup.sh", PATH=self.path("bin") + os.pathsep + os.environ["PATH"])
        self.assertIn("going on with the lists at hand", result.stderr)
        with open(log, encoding="utf-8") as file:
            calls = file.read().splitlines()
        self.assertEqual(calls[0], "sudo: -n apt-get update -qq")
        self.assertIn("install", calls[1])
        self.assertIn("build-essential", calls[1])

    def test_validation_tables_hold_what_was_measured(self):
        texts = [os.path.join(MODEL, name) for name in ("calibration.txt", "heldout.txt")]
        command = [PTQ, "sensitivity", MODEL, "--estimator", "gradient-weighted,covariance", "--calibration", texts[0], "--samples", "4",
                   "--seqlen", "48", "--validate", "--heldout", texts[1], "--validate-windows", "2", "--validate-seqlen", "32",
                   "--validate-units", "linear", "--validate-bits", "3", "--validate-subsets", "1", "--out", self.path("out")]
        subprocess.run(command, check=True, capture_output=True, timeout=300)
        result = self.succeed("validation_tables.py", "out/validation.json")
        with open(self.path("out/validation.json"), encoding="utf-8") as file:
            report = json.load(file)
        rows = {(row["estimator"], row["basis"]): row["pooled"] for row in report["agreement"][0]["estimators"]}
        predicted = rows["gradient-weighted", "predicted"]
        figures = [f"{predicted[name]['value']:.2f} [{predicted[name]['low']:.2f}, {predicted[name]['high']:.2f}]"
                   for name in ("spearman", "kendall", "log_slope")]
        self.assertIn("| gradient-weighted | " + " | ".join(figures), result.stdout)
        # Covariance has no theory of the loss: it ranks only.
        self.assertNotIn(("covariance", "predicted"), rows)
        self.assertEqual(result.stdout.count("| covariance |"), 1)
        self.assertIn("| random linears together |", result.stdout)
        self.assertNotEqual(self.run_script("validation_tables.py").returncode, 0)

    def test_defaults_table_measures_each_row(self):
        texts = [os.path.join(MODEL, name) for name in ("calibration.txt", "heldout.txt")]
        result = self.succeed("defaults_table.py", MODEL, *texts, "--samples", "2", "--seqlen", "64", "--eval-seqlen", "64",
                              "--windows", "2", "--only", "rtn", PTQ=PTQ)
        whole = float(re.search("unquantized (.*)", result.stdout)[1])
        rows = re.findall(r"^\| (`rtn`.*) \| (\S+) \| (\S+) \|$", result.stdout, re.MULTILINE)
        self.assertEqual([row[0] for row in rows], ["`rtn`", "`rtn`, `grid=mse`"])
        for _, four_bits, three_bits in rows:
            self.assertGreater(float(three_bits), float(four_bits))
            self.assertGreater(float(four_bits), 0.9 * whole)


if __name__ == "__main__":
    unittest.main(verbosity=2)
