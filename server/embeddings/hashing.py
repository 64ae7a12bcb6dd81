"""The built-in embedder: lexical, in any language, without a model to load.

A text's features are its words, its pairs of neighbouring words, and pieces of three to five characters of each word,
which bring forms of a word together and stand for words in scripts that write none apart. Each feature adds a signed
amount at a place of the vector that its hash names; words that occur more often count more, but less than
proportionally. Texts that share rare words come close to each other; it knows no synonyms.

A short text fills few places. So the vector is turned at the end, the same way for all, which keeps every angle and
fills every place: an index that keeps the signs alone then tells vectors apart as well.

The same text gives the same vector in every process, on every machine and Python version: hashes are BLAKE2, square
roots are exact in IEEE arithmetic, and sums run in the order of the text.
"""

from __future__ import annotations

import asyncio
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from itertools import pairwise
from math import fsum, sqrt
from typing import Final

from server.embeddings.embedder import DIMENSIONS, Vector

_THIRD: Final = DIMENSIONS // 3
_WORDS: Final = re.compile(r"[^\W_]+")
_LETTERS_WITHOUT_PARTS: Final = str.maketrans("đøłħŧ", "dolht")
_PIECES: Final = (3, 4, 5)
# Thai to Khmer, kana, ideographs and Hangul: a few characters are a word, and nothing parts the words.
_DENSE: Final = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]"
)
_DENSE_PIECES: Final = (1, 2, 3)
_LONGEST_WORD: Final = 40
_MOST_WORDS: Final = 4_000
# Of two texts, equal words tell most: a word has two places, so that words that share one differ at the other.
_WORD, _PAIR, _PIECE = 1.0, 0.5, 0.375


class HashingEmbedder:
    """Makes vectors out of the letters themselves."""

    model: Final = "leo-hashing-1"
    batch_size: Final = 128

    async def embed(self, texts: Sequence[str]) -> list[Vector]:
        """The vectors; computed in a thread, since a long text takes milliseconds."""
        return await asyncio.to_thread(lambda: [hashed(text) for text in texts])

    async def close(self) -> None:
        """Holds nothing open."""


def hashed(text: str) -> Vector:
    """The vector of a text that is not blank, of length 1. Pure."""
    sums = [0.0] * DIMENSIONS
    words = _words(text)
    for word, count in Counter(words).items():
        weight = sqrt(count)
        for place, amount in zip(*_features(word), strict=True):
            sums[place] += amount * weight
    for pair, count in Counter(pairwise(words)).items():
        place, sign = _place(f"p{pair[0]} {pair[1]}")
        sums[place] += sign * _PAIR * sqrt(count)
    return _turned(sums if any(sums) else _alone(text))


def _words(text: str) -> list[str]:
    """Words as they are compared: compatibility forms, no case, no diacritics."""
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    letters = "".join(character for character in plain if not unicodedata.combining(character))
    found = _WORDS.findall(letters.translate(_LETTERS_WITHOUT_PARTS))
    return [word[:_LONGEST_WORD] for word in found[:_MOST_WORDS]]


@lru_cache(maxsize=20_000)
def _features(word: str) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """The places of a word and of its pieces, and what each adds."""
    places, signs = zip(*map(_place, [f"w{word}", f"v{word}", *_pieces(word)]), strict=True)
    amounts = [_WORD, _WORD] + [_PIECE] * (len(signs) - 2)
    return places, tuple(sign * amount for sign, amount in zip(signs, amounts, strict=True))


def _pieces(word: str) -> list[str]:
    """Parts of the word with its ends marked."""
    marked = f"^{word}$"
    return [f"c{marked[start : start + size]}" for size in _PIECES for start in range(len(marked) - size + 1)]


def _place(feature: str) -> tuple[int, float]:
    digest = blake2b(feature.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    number = int.from_bytes(digest, "big")
    return (number >> 1) % DIMENSIONS, 1.0 if number & 1 else -1.0


def _turned(values: list[float]) -> Vector:
    """The vector of length 1, multiplied by an orthogonal matrix: sums and differences within each third, then of the
    thirds."""
    thirds = [_transformed(values[start : start + _THIRD]) for start in range(0, DIMENSIONS, _THIRD)]
    mean = [2 / 3 * (a + b + c) for a, b, c in zip(*thirds, strict=True)]
    mixed = [value - shared for third in thirds for value, shared in zip(third, mean, strict=True)]
    length = sqrt(fsum(value * value for value in mixed))
    return [value / length for value in mixed]


def _transformed(values: list[float]) -> list[float]:
    """The Walsh-Hadamard transform, not scaled."""
    half = len(values) // 2
    for _ in range(half.bit_length()):
        pairs = list(zip(values[:half], values[half:], strict=True))
        values = [value for a, b in pairs for value in (a + b, a - b)]
    return values


def _alone(text: str) -> list[float]:
    """For a text without any word, such as "!!!", or whose features cancel out: one place of its own."""
    vector = [0.0] * DIMENSIONS
    place, sign = _place(f"t{text.strip()}")
    vector[place] = sign
    return vector
