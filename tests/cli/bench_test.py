#!/usr/bin/env python3
"""`ptq bench gemm` as a user meets it."""
import csv
import io
import json
import os
import unittest
import unittest.mock

from support import MODEL, CliTestCase

QUICK = ["--rows", "1,9", "--group-size", "32"]


class BenchGemm(CliTestCase):
    def test_every_shape_rows_and_backend_is_measured(self):
        result = json.loads(self.succeed("bench", "gemm", "--shape", "96,64", "--shape", "64,40", *QUICK, "--json").stdout)
        found = {(one["backend"], one["in"], one["out"], one["rows"]) for one in result["timings"]}
        self.assertTrue({("cpu", 96, 64, 1), ("cpu", 64, 40, 9), ("reference", 96, 64, 9)} <= found)
        self.assertGreater(result["read_bytes_per_second"], 0)
        for one in result["timings"]:
            self.assertAlmostEqual(one["flops_per_second"] * one["seconds"], 2 * one["in"] * one["out"] * one["rows"], delta=1)
            self.assertGreater(one["times_blas"], 0)
            self.assertGreaterEqual(one["floor_seconds"] * result["read_bytes_per_second"] * 1.000001,
                                    one["bytes_per_second"] * one["seconds"])

    def test_a_model_gives_its_shapes_once(self):
        text = self.succeed("bench", "gemm", MODEL, "--rows", "1", "--group-size", "32", "--backend", "cpu", "--csv").stdout
        shapes = [(row["in"], row["out"]) for row in csv.DictReader(io.StringIO(text))]
        self.assertEqual(len(shapes), len(set(shapes)))
        self.assertGreater(len(shapes), 1)
        self.assertIn("% of floor", self.succeed("bench", "gemm", "--shape", "64,64", "--rows", "1", "--backend", "cpu").stdout)

    def test_a_backend_off_the_cpu_has_no_floor_and_is_skipped_where_it_cannot(self):
        module = os.environ.get("PTQ_HOST_MODULE")
        if not module:
            self.skipTest("needs PTQ_HOST_MODULE")
        with unittest.mock.patch.dict(os.environ, PTQ_CUDA_MODULE=module):
            args = ["bench", "gemm", "--shape", "96,64", "--rows", "1"]
            timings = json.loads(self.succeed(*args, "--group-size", "32", "--json").stdout)["timings"]
            floors = {one["backend"]: (one["floor_seconds"] is None, one["share_of_floor"] is None) for one in timings}
            self.assertEqual(floors, {"cpu": (False, False), "cuda": (True, True), "reference": (False, False)})
            text = self.succeed(*args, "--group-size", "32", "--csv", "--backend", "cuda").stdout
            self.assertEqual(next(csv.DictReader(io.StringIO(text)))["floor_seconds"], "")
            self.succeed(*args, "--group-size", "32", "--backend", "cuda")
            timings = json.loads(self.succeed(*args, "--group-size", "48", "--json").stdout)["timings"]
            self.assertEqual({one["backend"] for one in timings}, {"cpu", "reference"})
            self.succeed(*args, "--group-size", "32", "--backend", "cuda", "--set", "cuda.path=dequantize")
            self.fail_with(4, ["not of 48"], *args, "--group-size", "48", "--backend", "cuda")

    def test_misuse_ends_with_its_exit_code(self):
        self.fail_with(2, ["--shape"], "bench", "gemm")
        for shape in ("96x64", "96", "96,", ",64", "96,64,32", "96,64x", "9" * 30 + ",64", "+96,64"):
            self.fail_with(2, ["K,N"], "bench", "gemm", "--shape", shape)
        self.fail_with(2, ["by name", "leave --backend out"], "bench", "gemm", "--shape", "64,64", "--backend", "cpu,auto")
        self.fail_with(2, ["positive"], "bench", "gemm", "--shape", "0,64")
        self.fail_with(2, ["must be positive"], "bench", "gemm", "--shape", "64,64", "--rows", "0")
        self.fail_with(2, ["auto|fused|dequantize"], "bench", "gemm", "--shape", "64,64", "--backend", "cuda",
                       "--set", "cuda.path=slow")
        self.fail_with(2, ["not measured"], "bench", "gemm", "--shape", "64,64", "--backend", "cpu",
                       "--set", "cuda.path=fused")
        self.fail_with(2, ["known: "], "bench", "gemm", "--shape", "64,64", "--backend", "fast")


if __name__ == "__main__":
    unittest.main()
