"""A small byte-level BPE in the GPT-2 manner: trainer, encoder, tokenizer.json; standard library.

The splitting pattern is GPT-2's restricted to ASCII letters and digits, so `encode` equals what a
full implementation makes of the saved tokenizer.json on ASCII text.
"""
import collections
import re

PIECES = re.compile(r"'s|'t|'re|'ve|'m|'ll|'d| ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]+|\s+(?!\S)|\s+")


def byte_alphabet():
    """The printable character that stands for each of the 256 bytes in a byte-level vocabulary."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = iter(range(256, 512))
    return [chr(byte if byte in plain else next(others)) for byte in range(256)]


class ByteBpe:
    """Token 0 is the one special token, 1 to 256 are the bytes, then one token a merge."""

    def __init__(self, merges, special):
        alphabet = byte_alphabet()
        self.merges, self.special, self.alphabet = merges, special, alphabet
        self.tokens = [special, *alphabet, *(left + right for left, right in merges)]
        self.ids = {token: index for index, token in enumerate(self.tokens)}
        self.ranks = {pair: rank for rank, pair in enumerate(merges)}
        self.cache = {}

    @classmethod
    def train(cls, text, vocab_size, special):
        """Merges the most frequent pair (ties: the smaller pair) up to `vocab_size` tokens."""
        alphabet = byte_alphabet()
        counts = collections.Counter(PIECES.findall(text))
        words = [([alphabet[byte] for byte in piece.encode()], n)
                 for piece, n in sorted(counts.items())]
        merges = []
        while len(merges) + 257 < vocab_size:
            pairs = collections.Counter()
            for symbols, n in words:
                for pair in zip(symbols, symbols[1:]):
                    pairs[pair] += n
            if not pairs:
                raise ValueError(f"the text has too few distinct words for {vocab_size} tokens")
            best = min(pairs, key=lambda pair: (-pairs[pair], pair))
            merges.append(best)
            for symbols, _ in words:
                merge_in_place(symbols, best)
        return cls(merges, special)

    def encode(self, text):
        """The token ids of a text, no special token added."""
        out = []
        for piece in PIECES.findall(text):
            ids = self.cache.get(piece)
            if ids is None:
                ids = self.cache[piece] = self.encode_piece(piece)
            out += ids
        return out

    def encode_piece(self, piece):
        symbols = [self.alphabet[byte] for byte in piece.encode()]
        while len(symbols) > 1:
            best = min(zip(symbols, symbols[1:]),
                       key=lambda pair: self.ranks.get(pair, len(self.ranks)))
            if best not in self.ranks:
                break
            merge_in_place(symbols, best)
        return [self.ids[symbol] for symbol in symbols]

    def to_json(self):
        """The contents of tokenizer.json; the special token is put in front of every text."""
        mark = {"SpecialToken": {"id": self.special, "type_id": 0}}
        byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
                      "use_regex": True}
        return {
            "version": "1.0", "truncation": None, "padding": None,
            "added_tokens": [{"id": 0, "content": self.special, "single_word": False,
                              "lstrip": False, "rstrip": False, "normalized": False,
                              "special": True}],
            "normalizer": None,
            "pre_tokenizer": byte_level,
            "post_processor": {
                "type": "TemplateProcessing",
                "single": [mark, {"Sequence": {"id": "A", "type_id": 0}}],
                "pair": [mark, {"Sequence": {"id": "A", "type_id": 0}},
                         {"SpecialToken": {"id": self.special, "type_id": 1}},
                         {"Sequence": {"id": "B", "type_id": 1}}],
                "special_tokens": {self.special: {"id": self.special, "ids": [0],
                                                  "tokens": [self.special]}}},
            "decoder": byte_level,
            "model": {"type": "BPE", "dropout": None, "unk_token": None,
                      "continuing_subword_prefix": None, "end_of_word_suffix": None,
                      "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                      "vocab": self.ids,
                      "merges": [" ".join(pair) for pair in self.merges]},
        }


def merge_in_place(symbols, pair):
    """Joins every occurrence of the pair, from the left."""
    i = 0
    while i + 1 < len(symbols):
        if symbols[i] == pair[0] and symbols[i + 1] == pair[1]:
            symbols[i:i + 2] = [pair[0] + pair[1]]
        i += 1
