#!/usr/bin/env python3
"""Checks that every library includes only libraries before it, no header that costs too much, and ATen/ATen.h where it
needs it: with a precompiled header the compiler does not miss it.

    scripts/check_layers.py [--self-test] [ROOT]
"""
import pathlib
import re
import sys

LAYERS = ["core", "quant", "io", "backends", "model", "calib", "sensitivity", "quantizers",
          "formats", "eval", "report", "pipeline", "tools"]
# Headers nobody may include, with the reason.
BANNED = {"torch/torch.h": "20 s and 1 GB per file: include ATen/core/Tensor.h or ATen/ATen.h",
          "torch/all.h": "as torch/torch.h",
          "torch/script.h": "as torch/torch.h",
          "torch/extension.h": "needs Python"}
# In public headers also these: every user would pay for them.
BANNED_IN_HEADERS = {"ATen/ATen.h": "9 s per file: include ATen/core/Tensor.h",
                     "torch/types.h": "9 s per file: include ATen/core/Tensor.h",
                     "spdlog/spdlog.h": "libraries do not log through their headers",
                     "CLI/CLI.hpp": "only tools/ parses a command line"}
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]')
# What the compiler finds by chance, in a precompiled header or in one release of LibTorch, and the header that declares it:
# calls of tensor operators (ATen/Parallel.h and others have the functions left out), and the gradient mode.
NEEDED = [(re.compile(r"\bat::(?!parallel_|get_|set_|init_|in_parallel|manual_seed|toString|isTensor)[a-z][a-z0-9_]*\("),
           "ATen/ATen.h"),
          (re.compile(r"\bat::(NoGradGuard|GradMode|AutoGradMode)\b"), "ATen/core/grad_mode.h")]
SUFFIXES = {".h", ".cpp", ".cu", ".cuh", ".in"}


def layer_of(path):
    """The library a file belongs to, by its path relative to the root; None: not checked."""
    parts = path.parts
    if parts[0] == "tools":
        return "tools"
    if parts[0] == "src":
        return parts[1]
    if parts[:2] == ("include", "ptq"):
        return parts[2] if len(parts) > 3 else None
    return None


def faults_of(path, text):
    """One line per fault of the file at `path`, relative to the root."""
    layer = layer_of(path)
    public = path.parts[0] == "include"
    if layer is not None and layer not in LAYERS:
        return [f"{path}: unknown library {layer}; the order is {' < '.join(LAYERS)}"]
    faults = []
    for number, line in enumerate(text.splitlines(), 1):
        found = INCLUDE.match(line)
        if not found:
            continue
        header = found.group(1)
        banned = {**BANNED, **(BANNED_IN_HEADERS if public else {})}
        if header in banned:
            faults.append(f"{path}:{number}: {header}: {banned[header]}")
        parts = header.split("/")
        if parts[0] != "ptq" or len(parts) < 3 or layer is None:
            continue
        if parts[1] not in LAYERS:
            faults.append(f"{path}:{number}: unknown library {parts[1]}")
        elif LAYERS.index(parts[1]) > LAYERS.index(layer):
            faults.append(f"{path}:{number}: {layer} must not use {parts[1]}")
    return faults


def includes_of(path, read, seen):
    """All that the file at `path` includes, through the project's own headers too; `read` gives a text or None."""
    for line in (read(path) or "").splitlines():
        found = INCLUDE.match(line)
        if not found or found.group(1) in seen:
            continue
        seen.add(found.group(1))
        for place in (path.parent, pathlib.PurePath("include")):
            includes_of(place / found.group(1), read, seen)
    return seen


def lacking(path, read):
    """The headers that a source needs for what it uses and does not name, not even through our own headers."""
    if path.suffix != ".cpp" or path.parts[0] not in ("src", "tools", "tests"):
        return []
    needed = [header for use, header in NEEDED if use.search(read(path))]
    return [header for header in needed if header not in includes_of(path, read, set())] if needed else []


def check(root):
    faults = []

    def read(relative):
        return (root / relative).read_text(encoding="utf-8") if (root / relative).is_file() else None

    for folder in ("include", "src", "tools", "tests"):
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in SUFFIXES and path.is_file():
                relative = path.relative_to(root)
                faults += faults_of(relative, read(relative))
                faults += [f"{relative}: uses what {header} declares" for header in lacking(relative, read)]
    return faults


def self_test():
    """Each bad snippet must be found and each good one pass: a check that cannot fail is none."""
    cases = [
        ("src/quant/a.cpp", '#include "ptq/io/file.h"', 1),
        ("src/io/deep/a.cpp", '  # include "ptq/model/block.h"', 1),
        ("include/ptq/calib/a.h", '#include <ptq/pipeline/job.h>', 1),
        ("src/nowhere/a.cpp", "", 1),
        ("src/io/a.cpp", '#include "ptq/nowhere/a.h"', 1),
        ("tools/ptq/a.cpp", "#include <torch/torch.h>", 1),
        ("tests/io/a.cpp", "#include <torch/torch.h>", 1),
        ("include/ptq/io/a.h", "#include <ATen/ATen.h>", 1),
        ("src/io/a.cpp", "#include <ATen/ATen.h>", 0),
        ("src/io/a.cpp", '#include "ptq/core/error.h"\n#include "ptq/io/file.h"', 0),
        ("tools/ptq/a.cpp", '#include "ptq/pipeline/job.h"', 0),
        ("tests/quant/a.cpp", '#include "ptq/pipeline/job.h"', 0),
        ("src/io/a.cpp", '// #include "ptq/model/block.h"', 0),
    ]
    wrong = []
    for name, text, expected in cases:
        found = faults_of(pathlib.PurePath(name), text)
        if len(found) != expected:
            wrong.append(f"self-test: {name} {text!r}: {len(found)} faults, not {expected}")
    return wrong + self_test_needed()


def self_test_needed():
    call = '#include "ptq/io/a.h"\nat::Tensor x = at::empty({1});'
    guard = "const at::NoGradGuard unrecorded;"
    through = {"include/ptq/io/a.h": '#include "ptq/io/b.h"', "include/ptq/io/b.h": "#include <ATen/ATen.h>"}
    cases = [({}, call, ["ATen/ATen.h"]), (through, call, []), ({}, "#include <ATen/ATen.h>\n" + call, []),
             ({}, "at::parallel_for(0, 1, 1, f);", []), (through, call + guard, ["ATen/core/grad_mode.h"]),
             ({}, "#include <ATen/core/grad_mode.h>\n" + guard, [])]
    wrong = []
    for headers, text, expected in cases:
        files = {**headers, "src/io/a.cpp": text}
        found = lacking(pathlib.PurePath("src/io/a.cpp"), lambda path, files=files: files.get(str(path)))
        if found != expected:
            wrong.append(f"self-test: {text!r} with {sorted(headers)}: {found}, not {expected}")
    return wrong


def main(arguments):
    if arguments[:1] == ["--self-test"]:
        faults = self_test()
    else:
        default = pathlib.Path(__file__).resolve().parent.parent
        faults = check(pathlib.Path(arguments[0]) if arguments else default)
    for fault in faults:
        print(fault)
    print(f"check_layers: {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
