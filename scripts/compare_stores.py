#!/usr/bin/env python3
"""Whether two directories of ptq calibrate hold the same sums up to rounding.

    compare_stores.py FIRST SECOND LIMIT

Prints, for every statistic, the largest distance of a sum relative to its size (both in the Euclidean norm); exit code 1 beyond
LIMIT or where the stores hold different sums.
"""

import array
import json
import math
import pathlib
import struct
import sys

TYPES = {"F32": "f", "F64": "d"}


def sums(store: pathlib.Path) -> dict[str, array.array]:
    found = {}
    for file in sorted(store.glob("block-*.safetensors")):
        data = file.read_bytes()
        (length,) = struct.unpack("<Q", data[:8])
        header = json.loads(data[8 : 8 + length])
        header.pop("__metadata__", None)
        for name, entry in header.items():
            begin, end = (8 + length + offset for offset in entry["data_offsets"])
            found[name] = array.array(TYPES[entry["dtype"]], data[begin:end])
    return found


def distance(one: array.array, other: array.array) -> float:
    """Infinite where there is a value that is no number."""
    relative = math.dist(one, other) / max(math.hypot(*one), 1e-300)
    return math.inf if math.isnan(relative) else relative


def main(first: str, second: str, limit: str) -> int:
    one, other = sums(pathlib.Path(first)), sums(pathlib.Path(second))
    if not one or {name: len(sum) for name, sum in one.items()} != {name: len(sum) for name, sum in other.items()}:
        print(f"{first} holds {len(one)} sums, {second} {len(other)}, not the same ones")
        return 1
    worst: dict[str, float] = {}
    for name, values in one.items():
        statistic = ".".join(name.rsplit(".", 2)[1:])
        worst[statistic] = max(worst.get(statistic, 0), distance(values, other[name]))
    for statistic, found in sorted(worst.items()):
        print(f"{statistic}: {found:.2e}")
    return 0 if max(worst.values()) <= float(limit) else 1


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
