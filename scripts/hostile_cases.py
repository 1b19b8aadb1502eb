"""The broken configs, tokenizers, texts and token files of make_hostile_corpus.py."""
import json


def add_configs(corpus):
    """Faults of config.json."""
    def raw(name, content, *mention):
        model = corpus.base.copy()
        model.files["config.json"] = content
        corpus.add_model("config", name, model, "inspect", 3, "config.json", *mention)

    def case(name, exit_code, changes, *mention, remove=()):
        model = corpus.base.copy()
        model.config.update(changes)
        for key in remove:
            del model.config[key]
        corpus.add_model("config", name, model, "rtn", exit_code, *mention)

    good = json.dumps(corpus.base.config).encode()
    raw("missing", None)
    raw("empty", b"", "JSON")
    raw("not-json", b"model_type = llama", "JSON")
    raw("cut", good[:-20], "JSON")
    raw("list", b"[]", "object")
    raw("twice", good[:-1] + b', "hidden_size": 64}', "hidden_size", "twice")
    raw("deep", b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "nested")
    raw("number-beyond-double", good[:-1] + b', "extra": 1e999}', "too large")
    raw("not-utf8", good.replace(b"silu", b"s\xfflu"), "JSON")

    case("type-missing", 3, {}, "model_type", remove=["model_type"])
    case("type-unknown", 4, {"model_type": "mamba"}, "mamba")
    case("type-number", 3, {"model_type": 7}, "model_type")
    case("hidden-missing", 3, {}, "hidden_size", remove=["hidden_size"])
    case("hidden-text", 3, {"hidden_size": "32"}, "hidden_size")
    case("hidden-fraction", 3, {"hidden_size": 32.5}, "hidden_size")
    case("hidden-negative", 3, {"hidden_size": -32}, "hidden_size")
    case("hidden-huge", 3, {"hidden_size": 2**62})
    case("hidden-beyond-int64", 3, {"hidden_size": 2**64 - 1}, "hidden_size")
    case("layers-zero", 3, {"num_hidden_layers": 0}, "num_hidden_layers")
    case("layers-too-many", 3, {"num_hidden_layers": 3}, "model.layers.2")
    case("layers-huge", 3, {"num_hidden_layers": 10**9})
    case("heads-zero", 3, {"num_attention_heads": 0}, "num_attention_heads")
    case("heads-not-dividing", 3, {"num_attention_heads": 5}, "num_attention_heads")
    case("kv-heads-not-dividing", 3, {"num_key_value_heads": 3}, "num_key_value_heads")
    case("kv-heads-zero", 3, {"num_key_value_heads": 0}, "num_key_value_heads")
    case("head-dim-negative", 3, {"head_dim": -8}, "head_dim")
    case("head-dim-other", 3, {"head_dim": 16}, "q_proj")
    case("intermediate-other", 3, {"intermediate_size": 48}, "mlp")
    case("vocabulary-other", 3, {"vocab_size": 300}, "embed_tokens")
    case("vocabulary-negative", 3, {"vocab_size": -1}, "vocab_size")
    case("eps-negative", 3, {"rms_norm_eps": -1e-5}, "rms_norm_eps")
    case("eps-text", 3, {"rms_norm_eps": "1e-5"}, "rms_norm_eps")
    case("activation-unknown", 4, {"hidden_act": "swish_squared"}, "swish_squared")
    case("rope-unknown", 4, {"rope_scaling": {"rope_type": "spiral", "factor": 2.0}}, "spiral")
    case("rope-no-factor", 3, {"rope_scaling": {"rope_type": "linear"}}, "factor")
    case("rope-list", 3, {"rope_scaling": [2.0]}, "rope_scaling")
    case("rope-theta-zero", 3, {"rope_theta": 0}, "rope_theta")
    case("rope-theta-text", 3, {"rope_theta": "10000"}, "rope_theta")
    case("tied-text", 3, {"tie_word_embeddings": "yes"}, "tie_word_embeddings")
    case("quantization-unknown", 4, {"quantization_config": {"quant_method": "magic"}}, "magic")
    case("quantization-text", 3, {"quantization_config": "gptq"}, "quantization_config")
    case("untied-without-head", 3, {"tie_word_embeddings": False}, "lm_head")


def add_tokenizers(corpus):
    """Faults of the tokenizer's files."""
    def raw(name, files, exit_code, *mention):
        model = corpus.base.copy()
        model.files.update(files)
        corpus.add_model("tokenizer", name, model, "eval", exit_code, *mention)

    def case(name, exit_code, change, *mention):
        model = corpus.base.copy()
        change(model.tokenizer)
        corpus.add_model("tokenizer", name, model, "eval", exit_code, "tokenizer.json", *mention)

    def put(path, value):
        def change(tokenizer):
            for key in path[:-1]:
                tokenizer = tokenizer[key]
            tokenizer[path[-1]] = value
        return change

    def pattern(regex):
        split = {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": False}
        return put(["pre_tokenizer"], split)

    raw("missing", {"tokenizer.json": None}, 3, "tokenizer")
    raw("empty", {"tokenizer.json": b""}, 3, "tokenizer.json")
    raw("not-json", {"tokenizer.json": b"#version: 0.2\na b\n"}, 3, "tokenizer.json")
    raw("list", {"tokenizer.json": b"[]"}, 3, "tokenizer.json")
    raw("model-file-garbage", {"tokenizer.json": None, "tokenizer.model": b"\xff" * 500}, 3, "tokenizer.model")
    raw("model-file-empty", {"tokenizer.json": None, "tokenizer.model": b""}, 3, "tokenizer.model")
    case("model-missing", 3, lambda tokenizer: tokenizer.pop("model"), "model")
    case("type-unknown", 4, put(["model", "type"], "WordPiece"), "WordPiece")
    case("vocabulary-list", 3, put(["model", "vocab"], ["a", "b"]), "vocab")
    case("id-negative", 3, put(["model", "vocab", "the"], -1), "vocab")
    case("id-huge", 3, put(["model", "vocab", "the"], 2**40), "vocab")
    case("id-text", 3, put(["model", "vocab", "the"], "7"), "vocab")
    case("id-twice", 3, put(["model", "vocab", "unique words"], 5), "5")
    case("merge-one-part", 3, put(["model", "merges", 0], "single"), "merges")
    case("merge-unknown-part", 3, put(["model", "merges", 0], "qqq zzz"), "qqq")
    case("merge-number", 3, put(["model", "merges", 0], 12), "merges")
    case("merges-text", 3, put(["model", "merges"], "a b"), "merges")
    case("regex-broken", 4, pattern("(unclosed"), "(unclosed")
    case("pre-tokenizer-unknown", 4, put(["pre_tokenizer"], {"type": "Telepathy"}), "Telepathy")
    case("normalizer-unknown", 4, put(["normalizer"], {"type": "Upside"}), "Upside")
    case("added-token-list", 3, put(["added_tokens"], [7]), "added_tokens")


def add_beyond_vocabulary(corpus):
    """A tokenizer that knows more tokens than the model."""
    model = corpus.base.copy()
    token = {**model.tokenizer["added_tokens"][0], "id": 5000, "content": " the"}
    model.tokenizer["added_tokens"].append(token)
    corpus.add_model("tokenizer", "beyond-the-model", model, "eval", 3, "5000", "288")


def add_texts(corpus):
    """Faults of calibration and evaluation texts."""
    def line(value):
        return json.dumps(value).encode() + b"\n"

    good = line({"text": corpus.text})
    for name, file, content, exit_code, *mention in [
        ("txt-empty", "a.txt", b"", 3, "a.txt", "empty"),
        ("txt-not-utf8", "a.txt", corpus.text.encode() + b"caf\xe9 \xff", 3, "a.txt", "UTF-8"),
        ("txt-utf16", "a.txt", corpus.text.encode("utf-16"), 3, "a.txt", "UTF-8"),
        ("txt-short", "a.txt", b"the cat", 2, "not one window"),
        ("kind-unknown", "a.parquet", b"PAR1", 2, "a.parquet", "jsonl"),
        ("jsonl-empty", "a.jsonl", b"", 3, "a.jsonl", "empty"),
        ("jsonl-blank", "a.jsonl", b"\n \n", 3, "a.jsonl", "no text"),
        ("jsonl-broken-line", "a.jsonl", good + b'{"text": "cut', 3, "a.jsonl", "line 2"),
        ("jsonl-two-objects", "a.jsonl", good.strip() + good, 3, "a.jsonl", "line 1"),
        ("jsonl-list", "a.jsonl", good + b'["text"]', 3, "a.jsonl", "line 2"),
        ("jsonl-no-text", "a.jsonl", good + good + line({"content": "a"}), 3, "a.jsonl", "line 3", "text"),
        ("jsonl-text-number", "a.jsonl", line({"text": 12}), 3, "a.jsonl", "line 1", "12"),
        ("jsonl-text-null", "a.jsonl", line({"text": None}), 3, "a.jsonl", "line 1", "null"),
        ("jsonl-not-utf8", "a.jsonl", good + b'{"text": "caf\xe9"}', 3, "a.jsonl", "line 2"),
        ("jsonl-lone-surrogate", "a.jsonl", b'{"text": "\\ud800"}', 3, "a.jsonl", "line 1"),
        ("jsonl-deep", "a.jsonl", b'{"text":' + b"[" * 100_000, 3, "a.jsonl", "line 1"),
    ]:
        corpus.add_file("text", name, file, content, "calibrate", exit_code, *mention)
    corpus.add_file("text", "eval-empty", "a.txt", b"", "eval-text", 3, "a.txt", "empty")
    corpus.add_file("text", "eval-not-utf8", "a.txt", b"\xff\xfe\xfd" * 400, "eval-text", 3, "a.txt", "UTF-8")
    corpus.add("text", "absent", ["eval", "{corpus}/base", "--text", "{corpus}/absent.txt"], 2, "absent.txt")


def add_token_rows(corpus):
    """Faults of token id files."""
    row = list(range(1, 33))
    for name, content, *mention in [
        ("fraction", [[*row[:-1], 5.5]], "row 0", "5.5"),
        ("whole-fraction", [[*row[:-1], 5.0]], "row 0", "5.0"),
        ("negative", [row, [*row[:-1], -1]], "row 1", "-1"),
        ("beyond-vocabulary", [[*row[:-1], 288]], "288"),
        ("beyond-int64", [[*row[:-1], 2**64 - 1]], str(2**64 - 1)),
        ("beyond-uint64", [[*row[:-1], 2**70]], "row 0"),
        ("text", [[*row[:-1], "the"]], "row 0", "the"),
        ("bool", [[*row[:-1], True]], "row 0", "true"),
        ("null", [[*row[:-1], None]], "row 0", "null"),
        ("ragged", [row, row[:-1]], "row 1", "31"),
        ("flat", row, "row 0"),
        ("nested", [[row]], "row 0"),
        ("object", {"ids": [row]}, "rows"),
        ("empty-list", [], "no row"),
        ("empty-row", [row, []], "row 1"),
        ("number", 5, "rows"),
    ]:
        corpus.add_file("tokens", name, "a.json", json.dumps(content).encode(), "eval-tokens", 3, "a.json", *mention)
    for name, content in [("empty-file", b""), ("cut", b"[[1, 2, 3"), ("deep", b"[" * 100_000),
                          ("not-json", b"1 2 3\n4 5 6\n")]:
        corpus.add_file("tokens", name, "a.json", content, "eval-tokens", 3, "a.json")
    corpus.add_file("tokens", "calibration", "a.json", b"[[1, 2, 1e3]]", "calibrate", 3, "a.json", "row 0")
    corpus.add_file("control", "tokens", "a.json", json.dumps([row, row]).encode(), "eval-tokens", 0)


def add_all(corpus):
    """Every case of this file."""
    for add in (add_configs, add_tokenizers, add_beyond_vocabulary, add_texts, add_token_rows):
        add(corpus)
