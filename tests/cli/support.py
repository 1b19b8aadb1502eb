"""What the command line tests share: the program, the repository's small model, and temporary directories."""
import hashlib
import json
import os
import signal
import struct
import subprocess
import tempfile
import unittest

PTQ = os.environ["PTQ"]
ROOT = os.environ["PTQ_SOURCE_DIR"]
MODEL = os.path.join(ROOT, "tests/data/tale-llama")
CALIBRATION = os.path.join(MODEL, "calibration.txt")
SPARSE = "ptq-sparse.csr"
HELDOUT = os.path.join(MODEL, "heldout.txt")
# Few and short windows: these tests look at the program's behaviour, not at quality.
FAST = ["--calibration", CALIBRATION, "--samples", "8", "--seqlen", "64", "--group-size", "64", "--bits", "3", "--threads", "2"]
# Every quantizer, with what keeps it short where the outcome does not matter.
METHODS = {"rtn": [], "gptq": [], "awq": [], "autoround": ["--set", "autoround.iterations=2", "--set", "autoround.batch=2"]}


def run(*args, timeout=600, **options):
    """Runs ptq and returns the finished process with text output; the timeout is for what hangs, under sanitizers too."""
    return subprocess.run([PTQ, *args], capture_output=True, text=True, timeout=timeout, check=False, **options)


def file_hashes(directory):
    """SHA-256 of every file by name."""
    hashes = {}
    for name in sorted(os.listdir(directory)):
        with open(os.path.join(directory, name), "rb") as file:
            hashes[name] = hashlib.sha256(file.read()).hexdigest()
    return hashes


def load_json(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def read_safetensors(path):
    """The tensors of a safetensors file as flat lists of numbers, by name."""
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        data = file.read()
    header.pop("__metadata__", None)
    kinds = {"F32": ("f", 4), "F64": ("d", 8), "I64": ("q", 8), "U8": ("B", 1)}
    tensors = {}
    for name, entry in header.items():
        kind, size = kinds[entry["dtype"]]
        begin, end = entry["data_offsets"]
        tensors[name] = list(struct.unpack(f"<{(end - begin) // size}{kind}", data[begin:end]))
    return tensors


def sparse_tensors(shapes, value=0.25):
    """Single weights of linears {name: (out, in)} as (dtype, shape, bytes) by tensor name: one in every row."""
    tensors = {}
    for name, (rows, columns) in shapes.items():
        kind, code = ("U8", "B") if columns <= 256 else ("I16", "h")
        places = [row * 7 % columns for row in range(rows)]
        cut = struct.pack("<f", value)[2:]  # bfloat16
        tensors[name + ".sparse_row_ptr"] = ("I32", [rows + 1], struct.pack(f"<{rows + 1}i", *range(rows + 1)))
        tensors[name + ".sparse_col_idx"] = (kind, [rows], struct.pack(f"<{rows}{code}", *places))
        tensors[name + ".sparse_val"] = ("BF16", [rows], cut * rows)
    return tensors


def write_sparse(directory, tensors):
    """Gives a quantized directory single weights, as config.json tells of them."""
    header, data = {}, b""
    for name, (dtype, shape, content) in sorted(tensors.items(), key=lambda item: (-len(item[1][2]) // item[1][1][0], item[0])):
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    encoded = json.dumps(header).encode()
    encoded += b" " * (-len(encoded) % 8)
    with open(os.path.join(directory, SPARSE), "wb") as file:
        file.write(struct.pack("<Q", len(encoded)) + encoded + data)
    config = load_json(os.path.join(directory, "config.json"))
    values = sum(shape[0] for name, (_, shape, _) in tensors.items() if name.endswith("_val"))
    config["ptq_sparse"] = {"file": SPARSE, "values": values, "bytes": len(data)}
    with open(os.path.join(directory, "config.json"), "w", encoding="utf-8") as file:
        json.dump(config, file)


def poison_safetensors(path, name, bits):
    """Puts `bits` in place of the first 16-bit element of a tensor."""
    with open(path, "r+b") as file:
        size = struct.unpack("<Q", file.read(8))[0]
        header = json.loads(file.read(size))
        file.seek(8 + size + header[name]["data_offsets"][0])
        file.write(struct.pack("<H", bits))


class CliTestCase(unittest.TestCase):
    """A temporary directory for each test, and the checks that all of them use."""

    def setUp(self):
        temporary = tempfile.TemporaryDirectory(prefix="ptq-cli-")
        self.addCleanup(temporary.cleanup)
        self.work = temporary.name

    def path(self, name):
        return os.path.join(self.work, name)

    def succeed(self, *args, **options):
        result = run(*args, **options)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result

    def fail_with(self, code, mention, *args, **options):
        """Runs ptq, which must end with `code` and name every string of `mention` on stderr."""
        result = run(*args, **options)
        self.assertEqual(result.returncode, code, result.stdout + result.stderr)
        for text in mention:
            self.assertIn(text, result.stderr)
        return result

    def kill_after(self, lines, *args):
        """Runs ptq and kills it when it has written so many lines to stderr, if it is not done by then."""
        with subprocess.Popen([PTQ, *args], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
            for _ in range(lines):
                if not process.stderr.readline():
                    break
            process.send_signal(signal.SIGKILL)
            process.wait()

    def assert_same_output(self, first, second):
        """Two outputs are the same byte for byte; the manifests but for times and the command as typed."""
        hashes = [file_hashes(first), file_hashes(second)]
        for one in hashes:
            one.pop("ptq-manifest.json")
        self.assertEqual(hashes[0], hashes[1])
        manifests = [load_json(os.path.join(directory, "ptq-manifest.json")) for directory in (first, second)]
        for manifest in manifests:
            manifest.pop("timing")
            manifest.pop("command")
        self.assertEqual(manifests[0], manifests[1])
