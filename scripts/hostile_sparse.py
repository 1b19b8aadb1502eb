"""The broken single weights beside a quantized model of make_hostile_corpus.py."""
import struct

from hostile_model import HIDDEN, Safetensors, bf16

SITE, OTHER = "model.layers.1.self_attn.q_proj", "model.layers.0.self_attn.q_proj"
FILE = "ptq-sparse.csr"
GROUP = 16
DTYPES = {"weight_packed": "I32", "weight_scale": "BF16", "weight_shape": "I64",
          "sparse_row_ptr": "I32", "sparse_col_idx": "U8", "sparse_val": "BF16"}


def encoded(tensors):
    """A file of tensors whose dtypes follow from their names."""
    file = Safetensors(tensors)
    for name, entry in file.header.items():
        entry["dtype"] = DTYPES.get(name.rpartition(".")[2], entry.get("dtype"))
    file.header["__metadata__"] = {"format": "pt"}
    return file


def quantized(base):
    """The model with SITE as compressed-tensors of 4 bits."""
    model = base.copy()
    weights = {"num_bits": 4, "type": "int", "symmetric": True, "strategy": "group", "group_size": GROUP}
    model.config["quantization_config"] = {
        "quant_method": "compressed-tensors", "format": "pack-quantized", "quantization_status": "compressed",
        "version": "0.20.0", "config_groups": {"group_0": {"targets": [SITE], "weights": weights}}, "ignore": ["lm_head"]}
    del model.tensors[SITE + ".weight"]
    model.tensors[SITE + ".weight_packed"] = ([HIDDEN, HIDDEN // 8], bytes(range(256)) * (HIDDEN * HIDDEN // 512))
    model.tensors[SITE + ".weight_scale"] = ([HIDDEN, HIDDEN // GROUP], bf16([0.01] * (HIDDEN * HIDDEN // GROUP)))
    model.tensors[SITE + ".weight_shape"] = ([2], struct.pack("<2q", HIDDEN, HIDDEN))
    model.files["model.safetensors"] = encoded(model.tensors).encode()
    return model


def single_weights(site=SITE, rows=None, columns=None, values=None):
    """Two values in row 0 and one in row 1, or what is given instead."""
    rows = rows or [0, 2] + [3] * (HIDDEN - 1)
    columns, values = columns or [3, 31, 0], values or [1.0, -2.0, 0.5]
    return {site + ".sparse_row_ptr": ([len(rows)], struct.pack(f"<{len(rows)}i", *rows)),
            site + ".sparse_col_idx": ([len(columns)], bytes(columns)),
            site + ".sparse_val": ([len(values)], bf16(values))}


def entry(**changed):
    """config.json's entry of three values."""
    return {"file": FILE, "values": 3, "bytes": 4 * (HIDDEN + 1) + 3 * 3, **changed}


def add_all(corpus):
    """Every case of this file; each is met by running the model."""
    base = quantized(corpus.base)

    def case(name, content, *mention, config=True, kind="sparse", exit_code=3):
        model = base.copy()
        model.files[FILE] = content
        if config:
            model.config["ptq_sparse"] = entry() if config is True else config
        corpus.add_model(kind, name, model, "eval", exit_code, *mention)

    def data(name, *mention, **changed):
        case(name, encoded(single_weights(**changed)).encode(), FILE, SITE, *mention)

    def header(name, tensor, key, value, *mention):
        file = encoded(single_weights())
        file.header[f"{SITE}.{tensor}"][key] = value
        case(name, file.encode(), FILE, *mention)

    def without(name):
        tensors = single_weights()
        del tensors[f"{SITE}.{name}"]
        return encoded(tensors).encode()

    good = encoded(single_weights()).encode()
    case("single-weights", good, kind="control", exit_code=0)
    data("rows-begin", "begins with 1", rows=[1, 2] + [3] * (HIDDEN - 1))
    data("rows-fall", "falls after row 1", rows=[0, 3, 2] + [3] * (HIDDEN - 2))
    data("rows-negative", "falls after row 0", rows=[0, -(2**31)] + [3] * (HIDDEN - 1))
    data("rows-end-beyond", "ends with 2147483647", rows=[0] * HIDDEN + [2**31 - 1])
    data("rows-too-few", "shape", rows=[0, 2, 3])
    data("columns-equal", "does not rise in row 0", columns=[3, 3, 0])
    data("columns-beyond", "column 32", columns=[3, 32, 0])
    data("columns-far-beyond", "column 255", columns=[3, 31, 255])
    data("columns-fewer", "shape", columns=[3, 31])
    data("values-not-finite", "not finite", values=[1.0, float("nan"), 0.5])
    data("values-infinite", "not finite", values=[1.0, float("-inf"), 0.5])
    for part in ("row_ptr", "col_idx", "val"):
        case(f"without-{part}", without("sparse_" + part), SITE + ".sparse_" + part, "missing")
    header("columns-dtype", "sparse_col_idx", "dtype", "I8", "dtype")
    header("values-shape", "sparse_val", "shape", [3, 1], "shape")
    header("rows-shape-beyond", "sparse_row_ptr", "shape", [2**40], "bytes")
    for name, site in (("not-quantized", OTHER), ("no-linear", "model.norm")):
        case(name, encoded(single_weights(site=site)).encode(), site, "no quantized linear")
    case("unknown-tensor", encoded({**single_weights(), SITE + ".weight": ([1], bf16([1.0]))}).encode(), SITE + ".weight")
    case("cut", good[:-1], FILE, "cut off")
    case("empty", b"", FILE)
    case("missing", None, FILE, "missing")
    case("unlisted", good, FILE, "ptq_sparse", config=False)
    case("count", good, "4", config=entry(values=4))
    case("count-negative", good, "-3", config=entry(values=-3))
    case("count-text", good, "values", config=entry(values="3"))
    case("bytes", good, "config.json", config=entry(bytes=7))
    case("file-elsewhere", good, "../", config=entry(file="../" + FILE))
    case("entry-list", good, "ptq_sparse", config=[FILE])
