"""What is to be written of instruments that ticked, as columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from server.alerts.model.board import DAY_AGO, EPOCH, OBSERVED_AT, PREVIOUS, PRICE, SEQUENCE, VOLUME, Board
from server.alerts.model.calm import Calm
from server.alerts.model.past import Past
from server.alerts.model.walk import Walk


@dataclass(slots=True)
class Moves:
    """One item of each column for each instrument; zero stands for what is not known.

    Args:
        epochs: what their prices are written with.
        previous_nanos: the prices before; 0 where there was none.
        moments_us: times of the last ticks, microseconds since 1970.
        feeds: what these came from, empty for none; sequences: their places in it.
        volumes_micros: of the day so far.
        days_ago_nanos: prices of 24 hours ago; 0 where that is not known.
        pasts: None where they are as they were.
    """

    symbols: list[str] = field(default_factory=list)
    epochs: list[int] = field(default_factory=list)
    prices_nanos: list[int] = field(default_factory=list)
    previous_nanos: list[int] = field(default_factory=list)
    moments_us: list[int] = field(default_factory=list)
    feeds: list[str] = field(default_factory=list)
    sequences: list[int] = field(default_factory=list)
    volumes_micros: list[int] = field(default_factory=list)
    days_ago_nanos: list[int] = field(default_factory=list)
    pasts: list[Past | None] = field(default_factory=list)

    @classmethod
    def of(cls, board: Board, calm: Calm | None, walks: Sequence[Walk]) -> Moves:
        """Of symbols that nothing happened to, and of those that were walked."""
        moves = cls()
        if calm is not None:
            moves._add_calm(board, calm)
        for walk in walks:
            moves._add_walk(walk)
        return moves

    def _add_calm(self, board: Board, calm: Calm) -> None:
        books = [book for place in calm.places.tolist() if (book := board.books[place]) is not None]
        columns = calm.rows.T
        self.symbols = [book.symbol for book in books]
        self.feeds = [book.feed for book in books]
        self.pasts = [None] * len(books)
        self.epochs = columns[EPOCH].tolist()
        self.prices_nanos, self.previous_nanos = columns[PRICE].tolist(), columns[PREVIOUS].tolist()
        self.moments_us, self.sequences = columns[OBSERVED_AT].tolist(), columns[SEQUENCE].tolist()
        self.volumes_micros, self.days_ago_nanos = columns[VOLUME].tolist(), columns[DAY_AGO].tolist()

    def _add_walk(self, walk: Walk) -> None:
        book, state = walk.book, walk.state
        self.symbols.append(book.symbol)
        self.epochs.append(int(book.rows[book.place, EPOCH]))
        self.prices_nanos.append(state.price_nanos)
        self.previous_nanos.append(state.previous_price_nanos or 0)
        self.moments_us.append(state.observed_at_us)
        self.feeds.append(state.feed)
        self.sequences.append(state.sequence)
        self.volumes_micros.append(state.volume_micros)
        self.days_ago_nanos.append(walk.day_ago or 0)
        self.pasts.append(walk.changed_past)
