#!/usr/bin/env python3
"""Whether two directories of ptq calibrate hold the same sums up to rounding.

    compare_stores.py FIRST SECOND LIMIT

Prints, for every statistic, the largest distance of a sum relative to its size (both in the Frobenius norm); exit code 1 beyond
LIMIT or where the stores hold different sums.
"""

import json
import pathlib
import struct
import sys

import numpy

DTYPES = {"F32": numpy.float32, "F64": numpy.float64}


def sums(store: pathlib.Path) -> dict[str, numpy.ndarray]:
    found = {}
    for file in sorted(store.glob("block-*.safetensors")):
        data = file.read_bytes()
        (length,) = struct.unpack("<Q", data[:8])
        header = json.loads(data[8 : 8 + length])
        header.pop("__metadata__", None)
        for name, entry in header.items():
            begin, end = (8 + length + offset for offset in entry["data_offsets"])
            found[name] = numpy.frombuffer(data[begin:end], DTYPES[entry["dtype"]]).astype(numpy.float64)
    return found


def main(first: str, second: str, limit: str) -> int:
    one, other = sums(pathlib.Path(first)), sums(pathlib.Path(second))
    if not one or one.keys() != other.keys():
        print(f"{first} holds {len(one)} sums, {second} {len(other)}, not the same ones")
        return 1
    worst: dict[str, float] = {}
    for name, values in one.items():
        distance = numpy.linalg.norm(values - other[name]) / max(numpy.linalg.norm(values), 1e-300)
        statistic = ".".join(name.rsplit(".", 2)[1:])
        # A distance that is no number is beyond every limit.
        worst[statistic] = max(worst.get(statistic, 0), float("inf") if numpy.isnan(distance) else distance)
    for statistic, distance in sorted(worst.items()):
        print(f"{statistic}: {distance:.2e}")
    return 0 if max(worst.values()) <= float(limit) else 1


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
