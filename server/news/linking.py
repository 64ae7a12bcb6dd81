"""Which instruments a text is about: by ticker, and by name. Pure.

- `$TICKER`: any case, any length.
- A bare ticker: spelt as the symbol is, between word boundaries, of two characters or more and with a letter. It may
  follow an exchange ("NASDAQ:AAPL") or stand in a pair ("BTC/USD"). A passage all in capitals tells no tickers from
  words, and counts for none where it is longer than three words.
- A name: its words in their order, without regard to accents; a word that the name writes with a capital must not be
  written small, so that "apple" is no Apple. The legal form ("Inc.", "JSC", "Công ty Cổ phần") may be left out.

An instrument's metadata may add other names (`{"aliases": ["Vinamilk"]}`), and say that its ticker is an ordinary word
that counts after a dollar sign only (`{"cashtag_only": true}`).
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

_SHORTEST_NAME: Final = 3
_SHORTEST_DENSE_NAME: Final = 2
_SHORTEST_TICKER: Final = 2
_SHOUTED_WORDS: Final = 3
# Ideographs, kana and Hangul stand for themselves: nothing parts the words there.
_DENSE: Final = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_WORD: Final = re.compile(rf"[{_DENSE}]|[^\W_{_DENSE}]+")
_TICKER: Final = re.compile(r"(?<![\w$])(\$?)([A-Za-z0-9^][A-Za-z0-9.^=&+*_/:\-]*)(?!\w)")
_PARTED_BY: Final = (re.compile(r"[/:]"), re.compile(r"[^A-Za-z0-9]"))
_LETTERS_WITHOUT_PARTS: Final = str.maketrans("đøłħŧ", "dolht")
_LEGAL_ENDS: Final = frozenset(
    {
        *(
            "inc",
            "incorporated",
            "corp",
            "corporation",
            "co",
            "company",
            "ltd",
            "limited",
            "plc",
            "llc",
            "lp",
        ),
        *("ag", "sa", "se", "nv", "jsc", "spa", "asa", "oyj"),
    }
)
_LEGAL_BEGINNINGS: Final = (("cong", "ty", "co", "phan"), ("cong", "ty"), ("ctcp",))


@dataclass(frozen=True, slots=True)
class Named:
    """An instrument and what it is called.

    Args:
        names: its name and its aliases.
        cashtag_only: whether the bare ticker is an ordinary word.
    """

    symbol: str
    names: tuple[str, ...]
    cashtag_only: bool = False


class _Name(NamedTuple):
    """A name after its first word.

    Args:
        keys: the words as they are compared.
        capital: whether each word, the first included, begins with a capital.
    """

    keys: tuple[str, ...]
    capital: tuple[bool, ...]
    symbol: str


class Linker:
    """Finds instruments in texts; made once for many texts."""

    def __init__(self, instruments: Iterable[Named]) -> None:
        self._bare: set[str] = set()
        self._cashtags: dict[str, str] = {}
        self._names: dict[str, list[_Name]] = defaultdict(list)
        for instrument in instruments:
            self._add(instrument)

    def symbols(self, title: str, content: str, tagged: Iterable[str] = ()) -> tuple[str, ...]:
        """The symbols that the text is about, in code-point order, each once.

        Args:
            tagged: symbols that the source itself links; those of no instrument here are left out.
        """
        known = (self._cashtags.get(symbol.lower()) for symbol in tagged)
        found = {symbol for symbol in known if symbol is not None}
        for passage in (title, *content.splitlines()):
            found.update(self._tickers(passage))
            found.update(self._named(passage))
        return tuple(sorted(found))

    def _add(self, instrument: Named) -> None:
        symbol = instrument.symbol
        self._cashtags.setdefault(symbol.lower(), symbol)
        if not instrument.cashtag_only and _stands_bare(symbol):
            self._bare.add(symbol)
        for name in instrument.names:
            words = _without_legal_form(_WORD.findall(unicodedata.normalize("NFKC", name)))
            keys = tuple(map(_key, words))
            if _long_enough("".join(keys)):
                capital = tuple(word[0].isupper() for word in words)
                self._names[keys[0]].append(_Name(keys[1:], capital, symbol))

    def _tickers(self, passage: str) -> Iterator[str]:
        shouted = _is_shouted(passage)
        for dollar, run in _TICKER.findall(passage):
            if dollar:
                yield from self._cashtag(run)
            elif not shouted:
                yield from self._bare_tickers(run.rstrip(".-_:/"), _PARTED_BY)

    def _cashtag(self, run: str) -> Iterator[str]:
        """The longest beginning of the run that is a symbol and ends where a word does."""
        for end in range(len(run), 0, -1):
            if end == len(run) or not run[end].isalnum() or not run[end - 1].isalnum():
                symbol = self._cashtags.get(run[:end].lower())
                if symbol is not None:
                    yield symbol
                    return

    def _bare_tickers(self, run: str, parted_by: Sequence[re.Pattern[str]]) -> Iterator[str]:
        """The run itself, or, where it is none, the tickers that it is made of."""
        if run in self._bare:
            yield run
        elif parted_by:
            for part in parted_by[0].split(run):
                yield from self._bare_tickers(part, parted_by[1:])

    def _named(self, passage: str) -> Iterator[str]:
        words = _WORD.findall(unicodedata.normalize("NFKC", passage))
        keys = [_key(word) for word in words]
        for start, key in enumerate(keys):
            for name in self._names.get(key, ()):
                end = start + 1 + len(name.keys)
                if tuple(keys[start + 1 : end]) == name.keys and _written_as(words[start:end], name.capital):
                    yield name.symbol


def _stands_bare(symbol: str) -> bool:
    return len(symbol) >= _SHORTEST_TICKER and any(character.isalpha() for character in symbol)


def _is_shouted(passage: str) -> bool:
    return passage.isupper() and len(passage.split()) > _SHOUTED_WORDS


def _written_as(words: Sequence[str], capital: Sequence[bool]) -> bool:
    return not any(wanted and word[0].islower() for word, wanted in zip(words, capital, strict=True))


def _long_enough(letters: str) -> bool:
    dense = re.search(f"[{_DENSE}]", letters) is not None
    return len(letters) >= (_SHORTEST_DENSE_NAME if dense else _SHORTEST_NAME)


def _without_legal_form(words: list[str]) -> list[str]:
    """The words that tell the company from others; all of them where too little would be left."""
    kept = list(words)
    while len(kept) > 1 and _key(kept[-1]) in _LEGAL_ENDS:
        kept.pop()
    for beginning in _LEGAL_BEGINNINGS:
        size = len(beginning)
        if len(kept) > size and tuple(map(_key, kept[:size])) == beginning:
            kept = kept[size:]
            break
    return kept if _long_enough("".join(kept)) else words


@lru_cache(maxsize=50_000)
def _key(word: str) -> str:
    """A word as it is compared: without case and diacritics."""
    plain = unicodedata.normalize("NFKD", word.casefold())
    letters = "".join(character for character in plain if not unicodedata.combining(character))
    return letters.translate(_LETTERS_WITHOUT_PARTS)
