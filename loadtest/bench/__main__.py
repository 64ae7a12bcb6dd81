"""The benchmark suite: `python -m loadtest.bench [NAME …]`, or `make bench`.

Prints a table, and one line of JSON at the end. Every benchmark runs against servers and databases of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace

from rich.console import Console
from rich.table import Table

from loadtest.bench.benchmark import SHORT, Figure, Sizes, figure_of
from loadtest.bench.stage import Stage, open_stage
from loadtest.bench.suite import BENCHMARKS, GROUPS

_ROUNDS = 5


def main() -> None:
    """Run what the arguments name."""
    arguments = _arguments()
    # Also when told to stop, what was started is stopped.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    sizes = _sizes(arguments)
    with open_stage() as stage:
        figures = asyncio.run(_run(stage, _named(arguments.names) or _usual(), sizes, arguments.rounds))
    console = Console(width=max(110, Console().width))
    console.print(_table(figures))
    for figure in figures:
        detailed = BENCHMARKS[figure.name].detailed
        console.print(_details(figure) if detailed else _rest(figure), highlight=False)
    print(
        "Reconciled: every run that writes stored exactly what was acknowledged."
        f" Load average {os.getloadavg()[0]:.1f}."
    )
    print(json.dumps({figure.name: figure.document() for figure in figures}))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtest.bench", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"all, or some of: {', '.join([*BENCHMARKS, *GROUPS])}"
    )
    parser.add_argument("--rounds", type=int, default=_ROUNDS, help="interleaved rounds; figures are medians")
    parser.add_argument(
        "--short", action="store_true", help="tiny sizes: shows that it works, measures nothing"
    )
    parser.add_argument(
        "--seconds",
        type=float,
        help="how long twice the capacity is offered, or ticks are streamed; else a minute",
    )
    parser.add_argument("--scale", type=_count, help="people of `profiles`, e.g. 10m; else a million")
    parser.add_argument("--decisions", type=int, help="over which memory has to stay flat; else a million")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in {*BENCHMARKS, *GROUPS}]
    if unknown or arguments.rounds < 1:
        parser.error(f"no such benchmark: {', '.join(unknown)}" if unknown else "--rounds is 1 or more")
    return arguments


def _named(given: Sequence[str]) -> list[str]:
    """The benchmarks of these names and groups, each once."""
    return list(dict.fromkeys(name for word in given for name in GROUPS.get(word, (word,))))


def _usual() -> list[str]:
    return [name for name, benchmark in BENCHMARKS.items() if not benchmark.asked_for]


def _sizes(arguments: argparse.Namespace) -> Sizes:
    sizes = SHORT if arguments.short else Sizes()
    if arguments.seconds is not None:
        sizes = replace(sizes, overload_seconds=arguments.seconds, alert_seconds=arguments.seconds)
    if arguments.decisions is not None:
        sizes = replace(sizes, memory_decisions=arguments.decisions)
    if arguments.scale is not None:
        sizes = replace(sizes, population=arguments.scale)
    return sizes


def _count(text: str) -> int:
    """A number, perhaps with k for thousands or m for millions."""
    factors = {"k": 1_000, "m": 1_000_000}
    return int(float(text.rstrip("km")) * factors.get(text[-1:], 1))


async def _run(stage: Stage, names: Sequence[str], sizes: Sizes, rounds: int) -> list[Figure]:
    figures = []
    for name in names:
        print(f"running {name}", file=sys.stderr, flush=True)
        figures.append(await figure_of(BENCHMARKS[name], stage, sizes, rounds))
        # A run of the whole suite takes long: what is known is told at once.
        print(json.dumps(figures[-1].document()), file=sys.stderr, flush=True)
    return figures


def _table(figures: Sequence[Figure]) -> Table:
    table = Table(title="medians of interleaved rounds")
    for heading in ("benchmark", "value", "unit", "baseline", "ratio", "p50 ms", "p99 ms", "rounds"):
        table.add_column(heading, justify="left" if heading in {"benchmark", "unit"} else "right")
    for figure in figures:
        shown = figure.document()
        cells = ("value", "unit", "baseline", "ratio", "p50_ms", "p99_ms", "rounds")
        table.add_row(figure.name, *(_cell(shown.get(cell)) for cell in cells))
    return table


def _rest(figure: Figure) -> str:
    """What the table has no room for."""
    in_table = {"p50_ms", "p99_ms", "rows"}
    rest = (f"{name} {round(value, 2):,}" for name, value in figure.extra.items() if name not in in_table)
    held_against = f"\n    baseline: {figure.baseline_name}" if figure.baseline_name else ""
    return f"{figure.name}: {', '.join(rest)}{held_against}"


def _details(figure: Figure) -> Table:
    """Every figure of one benchmark, a line each."""
    table = Table("what", title=f"{figure.name}: {figure.extra['rows']:,.0f} of them")
    table.add_column("value", justify="right")
    for name, value in figure.extra.items():
        if name != "rows":
            table.add_row(name.replace("_", " "), f"{value:,.0f}" if value >= 1000 else f"{value:,.2f}")
    return table


def _cell(value: float | str | None) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else f"{value:,}"


if __name__ == "__main__":
    main()
