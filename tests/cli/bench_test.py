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
        # What is not measured says why.
        left_out = {reason.split(":")[0] for reason in result["backends_left_out"]}
        self.assertEqual(left_out ^ {backend for backend, *_ in found}, {"cpu", "cuda", "reference"})
        self.assertGreater(result["read_bytes_per_second"], 0)
        for one in result["timings"]:
            self.assertAlmostEqual(one["flops_per_second"] * one["seconds"], 2 * one["in"] * one["out"] * one["rows"], delta=1)
            self.assertGreater(one["times_dense"], 0)
            self.assertGreaterEqual(one["floor_seconds"] * result["read_bytes_per_second"] * 1.000001,
                                    one["bytes_per_second"] * one["seconds"])

    def test_a_model_gives_its_shapes_once(self):
        text = self.succeed("bench", "gemm", MODEL, "--rows", "1", "--group-size", "32", "--backend", "cpu", "--csv").stdout
        shapes = [(row["in"], row["out"]) for row in csv.DictReader(io.StringIO(text))]
        self.assertEqual(len(shapes), len(set(shapes)))
        self.assertGreater(len(shapes), 1)
        self.assertIn("% of floor", self.succeed("bench", "gemm", "--shape", "64,64", "--rows", "1", "--backend", "cpu").stdout)

    def on_host_module(self):
        """The environment in which the backend cuda runs on the module that computes on the host (tests/backends/host_module.h)."""
        module = os.environ.get("PTQ_HOST_MODULE")
        if not module:
            self.skipTest("needs PTQ_HOST_MODULE")
        return unittest.mock.patch.dict(os.environ, PTQ_CUDA_MODULE=module)

    def test_a_backend_with_a_device_is_held_against_that_device(self):
        args = ["bench", "gemm", "--shape", "96,64", *QUICK]
        with self.on_host_module():
            for launch, microseconds, backends in (("plain", 3, "cpu,reference,cuda"), ("graph", 2, "cpu,cuda")):
                result = json.loads(self.succeed(*args, "--launch", launch, "--backend", backends, "--json").stdout)
                self.assertEqual(result["devices"], [{"backend": "cuda", "device": "host, float16", "copy_bytes_per_second": 1e12,
                                                      "dense": "cuBLASLt float16", "flops_per_second": 4e12, "cache_bytes": 8192}])
                timings = {(one["backend"], one["rows"]): one for one in result["timings"]}
                self.assertEqual({key[0] for key in timings}, set(backends.split(",")))
                self.assertEqual((timings["cpu", 1]["dense"], timings["cpu", 1]["launch"]), ("BLAS float32", None))
                for rows in (1, 9):
                    one = timings["cuda", rows]
                    self.assertEqual((one["dense"], one["launch"]), ("cuBLASLt float16", launch))
                    self.assertAlmostEqual(one["seconds"], microseconds * 1e-6)
                    self.assertAlmostEqual(one["times_dense"], 6 / microseconds)
                    # Memory bounds one row, arithmetic nine; a byte a weight, two a value of x and y.
                    moved, computed = 96 * 64 + 2 * rows * (96 + 64), 2 * rows * 96 * 64
                    self.assertAlmostEqual(one["floor_seconds"], max(moved / 1e12, computed / 4e12), delta=1e-14)
                    self.assertAlmostEqual(one["share_of_floor"], one["floor_seconds"] / one["seconds"])
                    self.assertAlmostEqual(one["bytes_per_second"], moved / one["seconds"], delta=1)

    def test_a_device_alone_shows_in_table_and_csv(self):
        args = ["bench", "gemm", "--shape", "96,64", *QUICK, "--backend", "cuda"]
        with self.on_host_module():
            table = self.succeed(*args).stdout
            self.assertIn("cuda on host, float16: memory is copied at 1000.0 GB/s (read and written), "
                          "cuBLASLt float16 multiplies at 4.0 TFLOP/s", table)
            self.assertRegex(table, r"cuda +96 x 64 +1 +plain +3.0 ")
            text = self.succeed(*args, "--csv", "--launch", "graph", "--set", "cuda.path=dequantize").stdout
            self.assertEqual([(row["rows"], row["launch"], row["dense"], float(row["seconds"]))
                              for row in csv.DictReader(io.StringIO(text))],
                             [("1", "graph", "cuBLASLt float16", 3e-6), ("9", "graph", "cuBLASLt float16", 3e-6)])

    def test_what_a_device_cannot_do_is_refused_or_left_out(self):
        args = ["bench", "gemm", "--shape", "96,64", "--rows", "1"]
        with self.on_host_module():
            result = json.loads(self.succeed(*args, "--shape", "96,96", "--group-size", "48", "--json").stdout)
            self.assertEqual({one["backend"] for one in result["timings"]}, {"cpu", "reference"})
            self.assertEqual(len(result["backends_left_out"]), 1)
            self.assertRegex(result["backends_left_out"][0], "^cuda: .*not of 48")
            self.assertRegex(self.succeed(*args, "--group-size", "48").stdout, "left out: cuda: .*not of 48")
            self.fail_with(4, ["not of 48"], *args, "--group-size", "48", "--backend", "cuda")
            self.fail_with(1, ["a bad launch"], "bench", "gemm", "--shape", "96,64", "--rows", "53", "--group-size", "32",
                           "--backend", "cuda")
            with unittest.mock.patch.dict(os.environ, PTQ_HOST_MODULE_WITHOUT_CUBLAS="1"):
                self.fail_with(4, ["libcublasLt is not there"], *args, "--group-size", "32", "--backend", "cuda")
                timings = json.loads(self.succeed(*args, "--group-size", "32", "--json").stdout)["timings"]
                self.assertEqual({one["backend"] for one in timings}, {"cpu", "reference"})

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
        self.fail_with(2, ["on a device", "leave --launch out"], "bench", "gemm", "--shape", "64,64", "--backend", "cpu", "--launch", "graph")
        self.fail_with(2, ["--launch"], "bench", "gemm", "--shape", "64,64", "--launch", "fast")
        self.fail_with(2, ["known: "], "bench", "gemm", "--shape", "64,64", "--backend", "fast")


if __name__ == "__main__":
    unittest.main()
