"""The broken safetensors files, indexes and directories of make_hostile_corpus.py."""
import json
import struct

from hostile_model import Safetensors, bf16, frame

Q = "model.layers.1.self_attn.q_proj.weight"


def add_headers(corpus):
    """Faults of the header as bytes."""
    data = corpus.base.weights().data
    header = json.dumps(corpus.base.weights().header).encode()
    whole = frame(header, data)
    twice = header[:-1] + b', "model.norm.weight": ' + json.dumps(
        corpus.base.weights().header["model.norm.weight"]).encode() + b"}"
    for name, content, *mention in [
        ("empty", b"", "empty"),
        ("cut-length-field", whole[:4], "too few"),
        ("cut-header", whole[:200], "more than the file holds"),
        ("cut-data", whole[:-100], "cut off"),
        ("extra-data", whole + b"\0" * 10, "belong to no tensor"),
        ("length-zero", frame(header, data, 0), "JSON"),
        ("length-negative", frame(header, data, 2**64 - 1), "limit"),
        ("length-above-limit", frame(header, data, 100_000_001), "limit"),
        ("length-one-short", frame(header, data, len(header) - 1), "JSON"),
        ("json-garbage", frame(b"\x93NUMPY" + bytes(range(256))), "JSON"),
        ("json-trailing", frame(header + b"}", data), "JSON"),
        ("json-array", frame(b"[]"), "not a JSON object"),
        ("json-deep", frame(b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}"), "nested"),
        ("json-no-tensor", frame(b"{}"), "no tensor"),
        ("name-not-utf8", frame(header.replace(b"model.norm", b"model.n\xff\xfem"), data), "JSON"),
        ("duplicate-tensor", frame(twice, data), "model.norm.weight", "twice"),
        ("pickle", b"PK\3\4" + bytes(1000), "more than the file holds"),
    ]:
        model = corpus.base.copy()
        model.files["model.safetensors"] = content
        corpus.add_model("safetensors", name, model, "inspect", 3, "model.safetensors", *mention)


def add_entries(corpus):
    """Faults of one tensor's entry."""
    big = 2**32

    def case(name, change, *mention, exit_code=3):
        model = corpus.base.copy()
        weights = model.weights()
        change(weights.header)
        model.files["model.safetensors"] = weights.encode()
        corpus.add_model("safetensors", name, model, "rtn", exit_code, "model.safetensors", *mention)

    def entry(key, value):
        return lambda header: header[Q].update({key: value})

    def moved(begin, end):
        def change(header):
            offsets = header[Q]["data_offsets"]
            header[Q]["data_offsets"] = [offsets[0] + begin, offsets[1] + end]
        return change

    case("dtype-unknown", entry("dtype", "Q4_K"), Q, "Q4_K", exit_code=4)
    case("dtype-f8", entry("dtype", "F8_E4M3"), Q, "F8_E4M3", exit_code=4)
    case("dtype-number", entry("dtype", 7), Q, "dtype")
    case("dtype-missing", lambda header: header[Q].pop("dtype"), Q, "dtype")
    case("shape-missing", lambda header: header[Q].pop("shape"), Q, "shape")
    case("offsets-missing", lambda header: header[Q].pop("data_offsets"), Q, "data_offsets")
    case("entry-list", lambda header: header.update({Q: []}), Q)
    case("shape-text", entry("shape", "32x32"), Q, "shape")
    case("shape-negative", entry("shape", [-32, -32]), Q, "-32")
    case("shape-fraction", entry("shape", [32.5, 32]), Q, "32.5")
    case("shape-overflow", entry("shape", [big, big]), Q, "overflow")
    case("shape-zero-hides-overflow", entry("shape", [0, big, big]), Q, "overflow")
    case("shape-beyond-int64", entry("shape", [2**63]), Q, str(2**63))
    case("shape-too-many", entry("shape", [1] * 5000), Q, "5000")
    case("shape-product", entry("shape", [32, 31]), Q, "2048", "1984")
    case("offsets-triple", entry("data_offsets", [0, 1, 2]), Q, "data_offsets")
    case("offsets-text", entry("data_offsets", ["0", "2048"]), Q, "data_offsets")
    case("offsets-reversed", lambda header: header[Q]["data_offsets"].reverse(), Q, "after end")
    case("offsets-huge", entry("data_offsets", [2**62, 2**62 + 2048]), Q, "cut off")
    case("offsets-beyond-end", moved(10**6, 10**6), Q, "cut off")
    case("overlap", moved(-2, -2), Q, "overlap")
    case("hole", moved(2, 2), Q, "hole")
    case("metadata-list", lambda header: header.update({"__metadata__": []}), "__metadata__")
    case("metadata-number", lambda header: header.update({"__metadata__": {"a": 1}}), "__metadata__")


def add_tensors(corpus):
    """Faults of the tensors themselves, found when the model is read or run."""
    def case(name, command, exit_code, change, *mention):
        model = corpus.base.copy()
        change(model.tensors)
        corpus.add_model("tensor", name, model, command, exit_code, *mention)

    def put(value, at=5):
        def change(tensors):
            shape, data = tensors[Q]
            tensors[Q] = (shape, data[:2 * at] + bf16([value]) + data[2 * at + 2:])
        return change

    nan, infinity = float("nan"), float("inf")
    case("nan-rtn", "rtn", 5, put(nan), Q.removesuffix(".weight"))
    case("infinity-rtn", "rtn", 5, put(infinity), Q.removesuffix(".weight"))
    case("nan-gptq", "gptq", 5, put(nan), "model.layers.1")
    case("missing", "rtn", 3, lambda tensors: tensors.pop(Q), Q)
    case("missing-norm", "eval", 3, lambda tensors: tensors.pop("model.norm.weight"), "model.norm.weight")
    case("missing-embedding", "rtn", 3, lambda tensors: tensors.pop("model.embed_tokens.weight"), "embed_tokens")
    case("wrong-shape", "rtn", 3, lambda tensors: tensors.update({Q: ([16, 64], tensors[Q][1])}), Q, "64")
    case("wrong-rank", "rtn", 3, lambda tensors: tensors.update({Q: ([32 * 32], tensors[Q][1])}), Q)
    case("embedding-shape", "eval", 3,
         lambda tensors: tensors.update({"model.embed_tokens.weight": ([287, 32], bf16([0.1] * 287 * 32))}), "embed")

    model = corpus.base.copy()
    weights = model.weights()
    weights.header[Q]["dtype"] = "I16"
    model.files["model.safetensors"] = weights.encode()
    corpus.add_model("tensor", "integer-weight", model, "rtn", 3, Q)


def add_indexes(corpus):
    """Faults of the index and of its shards."""
    def case(name, change, *mention, exit_code=3):
        model = corpus.base.copy()
        index, shards = model.shards()
        content = change(index, shards)
        model.files.update({file: shard.encode() for file, shard in shards.items()})
        model.files["model.safetensors"] = None
        model.files["model.safetensors.index.json"] = (
            json.dumps(index).encode() if not isinstance(content, bytes) else content)
        corpus.add_model("index", name, model, "rtn", exit_code, *mention)

    def files_of(value):
        return lambda index, _: index["weight_map"].update({Q: value})

    def duplicate(_, shards):
        name = next(name for name in shards["one.safetensors"].header if name != "__metadata__")
        first, second = shards["one.safetensors"], shards["two.safetensors"]
        begin, end = first.header[name]["data_offsets"]
        size = len(second.data)
        second.header[name] = {**first.header[name], "data_offsets": [size, size + end - begin]}
        second.data += first.data[begin:end]

    where = "model.safetensors.index.json"
    case("not-json", lambda index, _: b"weight_map: {}", where, "JSON")
    case("empty-file", lambda index, _: b"", where, "JSON")
    case("list", lambda index, _: b"[1, 2]", where, "weight_map")
    case("no-map", lambda index, _: index.pop("weight_map"), where, "weight_map")
    case("map-list", lambda index, _: index.update(weight_map=[]), where, "weight_map")
    case("map-empty", lambda index, _: index.update(weight_map={}), where, "empty")
    case("file-number", files_of(3), where, Q)
    case("file-missing", files_of("three.safetensors"), where, "three.safetensors")
    case("file-escapes", files_of("../../base/model.safetensors"), where, "../../base")
    case("file-absolute", files_of("/dev/zero"), where, "/dev/zero")
    case("file-dot", files_of(".."), where, Q)
    case("file-other", files_of("one.safetensors"), where, Q, "one.safetensors")
    case("tensor-missing", lambda index, _: index["weight_map"].update({"model.extra": "one.safetensors"}), where,
         "model.extra")
    case("tensor-unlisted", lambda index, _: index["weight_map"].pop(Q), Q, "two.safetensors")
    case("tensor-twice", duplicate, "two files", "one.safetensors", "two.safetensors")
    case("shard-cut", lambda _, shards: setattr(shards["two.safetensors"], "data", b""), "two.safetensors", "cut off")


def add_directories(corpus):
    """What is no directory with safetensors weights."""
    for name, file, exit_code, mention in [
        ("pickle", "pytorch_model.bin", 4, "convert"), ("pickle-shards", "pytorch_model.bin.index.json", 4, "convert"),
        ("gguf", "model-Q4_0.gguf", 4, "convert"), ("original", "consolidated.00.pth", 4, "not supported"),
        ("adapter", "adapter_model.safetensors", 4, "merge"), ("flax", "flax_model.msgpack", 4, "convert"),
        ("no-weights", "README.md", 3, "model.safetensors"),
    ]:
        model = corpus.base.copy()
        model.files.update({"model.safetensors": None, file: b"GGUF" + struct.pack("<I", 3)})
        corpus.add_model("directory", name, model, "rtn", exit_code, file if exit_code == 4 else mention, mention)
    corpus.add("directory", "absent", ["inspect", "{corpus}/absent"], 2, "absent")
    corpus.add("directory", "a-file", ["inspect", "{corpus}/base/model.safetensors"], 2, "not a directory")
    corpus.add("directory", "a-tokenizer", ["eval", "{corpus}/base/tokenizer.json", "--text", "{corpus}/text.txt"], 2,
               "not a directory")


def add_controls(corpus):
    """Valid though unusual files, which must be accepted."""
    corpus.add("control", "base", ["inspect", "{corpus}/base"], 0)
    padded, misaligned, sharded = (corpus.base.copy() for _ in range(3))
    weights = padded.weights()
    padded.files["model.safetensors"] = frame(json.dumps(weights.header).encode() + b" " * 77, weights.data)
    corpus.add_model("control", "header-padded", padded, "rtn", 0)
    # An odd header length puts every bfloat16 on an odd address.
    header = json.dumps(weights.header).encode()
    misaligned.files["model.safetensors"] = frame(header + b" " * (1 - len(header) % 2), weights.data)
    corpus.add_model("control", "misaligned", misaligned, "eval", 0)
    index, shards = sharded.shards()
    sharded.files = {file: shard.encode() for file, shard in shards.items()}
    sharded.files |= {"model.safetensors": None, "model.safetensors.index.json": json.dumps(index).encode()}
    corpus.add_model("control", "shards", sharded, "gptq", 0)
    empty = corpus.base.copy()
    empty.files["extra.safetensors"] = Safetensors({}).encode()
    corpus.add_model("control", "other-file", empty, "inspect", 0)


def add_all(corpus):
    """Every case of this file."""
    for add in (add_headers, add_entries, add_tensors, add_indexes, add_directories, add_controls):
        add(corpus)
