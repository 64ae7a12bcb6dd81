"""What becomes a tick: exact numbers, JSON, bars, lines; and what is told instead."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from feeder.bars import BadFile, feed_name, read_bars
from feeder.faults import Faults
from feeder.json_ticks import Fields, parts_of, read_json, tick_of
from feeder.lines import JsonLines, LineCutter, open_lines
from feeder.pace import Paced, speed_factor
from feeder.sources import Recorded
from feeder.ticks import Fault, Tick, moment_of, price_of, symbol_of, volume_of
from hypothesis import given
from hypothesis import strategies as st

HEAD = "Ticker,Date,Open,High,Low,Close,Volume\n"
FIELDS = Fields()


def write(path: Path, *lines: str) -> Path:
    """A file of bars."""
    text = HEAD + "".join(f"{line}\n" for line in lines)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


@pytest.mark.parametrize(
    ("value", "nanos"),
    [
        ("187.25", 187_250_000_000),
        ("0.000000001", 1),
        (Decimal("0.1"), 100_000_000),
        ("1e3", 10**12),
        (7, 7 * 10**9),
        ("9223372036.854775807", 2**63 - 1),
    ],
)
def test_a_price_is_read_exactly(value: object, nanos: int) -> None:
    assert price_of(value) == nanos


@pytest.mark.parametrize(
    "value",
    [
        *(
            "",
            "x",
            "NaN",
            "nan",
            "sNaN",
            "Infinity",
            "-inf",
            "0",
            "-1",
            "0.0000000001",
            "9223372036.854775808",
        ),
        *("1_000", "１２", "1e400", True, None, 1.5, [], {}),
    ],
)
def test_what_is_no_price_is_refused_with_its_value(value: object) -> None:
    with pytest.raises(ValueError, match="not "):
        price_of(value)


def test_a_volume_may_be_nothing_but_not_negative() -> None:
    assert [volume_of(value) for value in (None, "", 0, "9616100", Decimal("0.000001"))] == [
        *(0, 0, 0, 9_616_100_000_000, 1)
    ]
    for value in ("-1", "NaN", "0.0000001", "1e20", "1e99999999", True):
        with pytest.raises(ValueError, match="volume"):
            volume_of(value)


@pytest.mark.parametrize(
    "value",
    [
        *("2023-11-14T22:13:20.5Z", "2023-11-15T05:13:20.500000+07:00", 1_700_000_000_500, "1700000000500"),
        *(Decimal("1700000000.5"), 1_700_000_000_500_000, 1_700_000_000_500_000_999),
    ],
)
def test_a_time_is_of_any_common_form(value: object) -> None:
    assert moment_of(value) == 1_700_000_000_500_000


@pytest.mark.parametrize(
    "value", ["2023-11-14T22:13:20", "yesterday", 17, 10**20, -1, None, True, "", Decimal("NaN")]
)
def test_what_is_no_time_is_refused(value: object) -> None:
    with pytest.raises(ValueError):
        moment_of(value)


@pytest.mark.parametrize("value", ["", "x" * 65, "A\0B", "A\nB", "\ud800", None, 7])
def test_what_is_no_symbol_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="symbol"):
        symbol_of(value)


@given(st.decimals(min_value=Decimal("1e-9"), max_value=Decimal("9e9"), places=9))
def test_json_keeps_every_digit_of_a_price(price: Decimal) -> None:
    line = f'{{"symbol": "A", "price": {price}, "time": 1700000000000}}'.encode()
    assert Decimal(tick_of(read_json(line), FIELDS).tick.price_nanos) == price.scaleb(9)


@pytest.mark.parametrize(
    "line",
    [
        *(
            b"",
            b"{",
            b"\xff",
            b"NaN",
            b"[" * 100_000,
            b"7",
            b"[]",
            b'"x"',
            b"{}",
            b'{"symbol": "A", "time": 1}',
        ),
        b'{"symbol": "A", "price": NaN, "time": 1700000000000}',
        b'{"symbol": "A", "price": 1e999999999, "time": 1700000000000}',
        b'{"symbol": "A", "price": 1, "time": 1700000000000, "sequence": 0}',
        b'{"symbol": "A", "price": ' + b"9" * 5000 + b', "time": 1700000000000}',
    ],
)
def test_json_that_is_no_tick_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError):
        tick_of(read_json(line), FIELDS)


def test_a_message_holds_one_tick_or_several_under_names_of_its_own() -> None:
    tick = {"symbol": "A", "price": "1.5", "time": 1_700_000_000_000, "volume": 2}
    assert parts_of(tick, FIELDS) == [tick]
    assert parts_of([tick, 7], FIELDS) == [tick, 7]
    assert parts_of({"ticks": [tick], "type": "trade"}, FIELDS) == [tick]
    assert parts_of({"type": "hello"}, FIELDS) == []
    names = Fields.parse("symbol=s,price=p time=T,volume=q,ticks=data")
    parts = parts_of({"data": [{"s": "A", "p": "1.5", "T": 1_700_000_000_000, "q": 2}]}, names)
    assert tick_of(parts[0], names).tick == tick_of(tick, FIELDS).tick
    assert tick_of(parts[0], names).tick == Tick("A", 1_500_000_000, 1_700_000_000_000_000, 2_000_000)
    for text in ("color=c", "symbol"):
        with pytest.raises(ValueError, match="symbol=s"):
            Fields.parse(text)


@pytest.mark.parametrize("name", ["bars.csv", "bars.csv.gz"])
def test_a_day_is_four_ticks_in_the_order_of_time(tmp_path: Path, name: str) -> None:
    path = write(
        tmp_path / name,
        "B,2000-03-02,5,8,4,6,0",
        "A,2000-03-02,118.56,132.06,118.5,130.31,9",
        "A,2000-03-01,1,2,0.000000001,1.5,",
    )
    ticks = read_bars(path)
    assert [(tick.symbol, tick.price_nanos) for tick in ticks[:4]] == [
        *(("A", 10**9), ("A", 2 * 10**9), ("A", 1), ("A", 1_500_000_000))
    ]
    assert [tick.symbol for tick in ticks[4:]] == ["A", "B"] * 4
    assert ticks[4].price_nanos == 118_560_000_000
    assert ticks[0].observed_at_us == 951_921_000_000_000  # 2000-03-01T14:30:00Z
    assert [tick.volume_micros for tick in ticks if tick.symbol == "A"] == [0, 0, 0, 0, 0, 0, 0, 9_000_000]


@pytest.mark.parametrize(
    "line",
    [
        *("A,yesterday,1,2,3,4,0", "A,2000-03-01,x,2,3,4,0", "A,2000-03-01,1", ",2000-03-01,1,2,3,4,0"),
        *("A,2000-03-01,NaN,2,3,4,0", "A,2000-03-01,1,2,-3,4,0", "A,2000-03-01,1,2,3,4,-5"),
    ],
)
def test_a_line_without_a_bar_is_told_and_the_others_are_read(tmp_path: Path, line: str) -> None:
    path = write(tmp_path / "bars.csv", line, "A,2000-03-01,1,2,0.5,1.5,0")
    faults: list[Fault] = []
    assert len(read_bars(path, faults.append)) == 4
    assert [fault.place for fault in faults] == ["line 2"]
    with pytest.raises(BadFile, match=r"bars\.csv:2"):
        read_bars(path)


@pytest.mark.parametrize(
    "content", [b"", b"a,b\n1,2\n", b"\xff\xfe", gzip.compress(HEAD.encode(), mtime=0)[:-9]]
)
def test_a_file_that_is_no_csv_of_bars_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / ("bars.csv.gz" if content[:2] == b"\x1f\x8b" else "bars.csv")
    path.write_bytes(content)
    with pytest.raises(BadFile, match="bars"):
        read_bars(path)


def test_another_content_is_another_feed(tmp_path: Path) -> None:
    names = {feed_name(write(tmp_path / "bars.csv", line)) for line in ("A,2000-03-01,1,2,3,4,0", "B", "B")}
    assert len(names) == 2


def test_only_the_first_faults_are_told_and_all_are_counted() -> None:
    told: list[str] = []
    faults = Faults(told.append)
    for number in range(1000):
        faults.add(Fault(f"line {number}", "no tick"))
    assert (faults.count, len(told), told[0]) == (1000, 21, "line 0: no tick")


@given(
    st.lists(st.binary(max_size=9).map(lambda line: line.replace(b"\n", b"")), max_size=9), st.integers(1, 20)
)
def test_lines_are_the_same_however_they_are_cut(lines: list[bytes], size: int) -> None:
    data = b"\n".join(lines)
    cutter = LineCutter()
    chunks = [data[start : start + size] for start in range(0, len(data), size)]
    found = [line for chunk in (*chunks, b"") for line in cutter.lines(chunk)]
    expected = list(enumerate(data.split(b"\n"), start=1))
    assert found == (expected if expected[-1][1] else expected[:-1])


def test_a_line_too_long_is_one_fault_and_takes_no_memory() -> None:
    cutter = LineCutter()
    found = [line for _ in range(40) for line in cutter.lines(b"x" * 10_000)]
    assert found == []
    assert len(cutter._rest) <= 70_000
    assert cutter.lines(b"\nshort\n") == [(1, None), (2, b"short")]
    assert cutter.lines(b"y" * 70_000) == []
    assert cutter.lines(b"") == [(3, None)]


def line_of(price: object, **more: object) -> str:
    """A tick of AAPL as a line."""
    return json.dumps({"symbol": "AAPL", "price": price, "time": 1_700_000_000_000, **more})


async def lines_from(
    path: Path, *, after: int = 0, own_sequences: bool = False
) -> tuple[list[tuple[int, int]], list[str]]:
    """Sequences and prices of a file of lines, and the places of its faults."""
    faults: list[Fault] = []
    source = JsonLines(
        open_lines(path),
        fields=FIELDS,
        after=after,
        own_sequences=own_sequences,
        on_fault=faults.append,
    )
    found = []
    while part := await source.take(2):
        assert len(part) <= 2
        found += [(sequence, tick.price_nanos // 10**9) for sequence, tick in part]
    return found, [fault.place for fault in faults]


async def test_lines_are_numbered_and_bad_ones_are_told(tmp_path: Path) -> None:
    path = tmp_path / "ticks.ndjson.gz"
    lines = [line_of(1), "", "oops", line_of("NaN"), line_of(2), line_of(3)]
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    assert await lines_from(path) == ([(1, 1), (5, 2), (6, 3)], ["line 3", "line 4"])
    assert await lines_from(path, after=4) == ([(5, 2), (6, 3)], [])
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(BadFile):
        await lines_from(path)


async def test_lines_may_bring_their_own_sequences(tmp_path: Path) -> None:
    path = tmp_path / "ticks.ndjson"
    lines = [
        line_of(1, sequence=10),
        line_of(2, sequence=30),
        line_of(3, sequence=20),
        line_of(4, sequence=31),
    ]
    path.write_text("\n".join(lines))
    assert await lines_from(path, own_sequences=True) == ([(10, 1), (30, 2), (31, 4)], ["line 3"])
    assert await lines_from(path, after=30, own_sequences=True) == ([(31, 4)], [])


@pytest.mark.parametrize(("speed", "factor"), [("original", 1.0), ("60x", 60.0), ("0.5", 0.5), ("max", None)])
def test_a_speed_is_a_multiple(speed: str, factor: float | None) -> None:
    assert speed_factor(speed) == factor


@pytest.mark.parametrize("speed", ["", "fast", "0", "-1x", "nan", "inf"])
def test_what_is_no_speed_is_refused(speed: str) -> None:
    with pytest.raises(ValueError, match="10x"):
        speed_factor(speed)


async def test_ticks_come_when_they_are_due() -> None:
    """By a clock that moves only where the source sleeps."""
    now, slept = 100.0, list[float]()

    async def sleep(seconds: float) -> None:
        nonlocal now
        slept.append(seconds)
        now += seconds

    def ticks() -> Iterator[Tick]:
        for second in (0, 0, 10, 9, 60):
            yield Tick("A", 1, 1_000_000 * (1_700_000_000 + second))

    source = Paced(Recorded(list(ticks())), factor=10, clock=lambda: now, sleep=sleep)
    parts = []
    while part := await source.take(3):
        parts.append([sequence for sequence, _ in part])
    assert parts == [[1, 2], [3], [4], [5]]
    assert slept == pytest.approx([1.0, 5.0])
