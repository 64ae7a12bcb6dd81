"""The rule that lets events wait or tells them to come back, with times that the test tells."""

from __future__ import annotations

from math import ceil

import pytest

from server.decisions.queue.admission import Admission, Backlog, BatchCost, Work
from server.errors import Overloaded

LIMIT = 0.25


def measured(
    fixed: float, each: float, sizes: tuple[int, ...] = (20, 100, 300, 500), *, lanes: int = 1
) -> Admission:
    """An admission that has seen 400 batches of a server that takes `fixed` for a batch and `each` for an event."""
    admission = Admission(maximum_wait_seconds=LIMIT, lanes=lanes)
    for _ in range(100):
        for size in sizes:
            admission.learn(size, fixed + each * size)
    return admission


def queued(events: int, oldest_seconds: float = 0.01) -> Backlog:
    """So many events wait, behind a batch of 100."""
    waiting = Work(batches=ceil(events / 500), events=events)
    return Backlog(waiting, deciding=Work(1, 100), oldest_seconds=oldest_seconds)


def test_the_cost_of_batches_is_learned_as_a_line() -> None:
    cost = BatchCost()
    for size in (1, 50, 400) * 100:
        cost.learn(size, 0.010 + 0.001 * size)
    fixed, each = cost.line()
    assert fixed == pytest.approx(0.010, rel=0.15)
    assert each == pytest.approx(0.001, rel=0.05)


def test_small_batches_alone_do_not_make_large_ones_look_expensive() -> None:
    """An idle server has seen only single events, 3 ms each; 60 at once fit into one batch."""
    measured(0.003, 0.0, sizes=(1,)).check(queued(60))


@pytest.mark.parametrize("sizes", [(1,), (500,), (1, 500)])
def test_a_line_is_never_negative(sizes: tuple[int, ...]) -> None:
    cost = BatchCost()
    for size in sizes * 50:
        cost.learn(size, 10.0 / size)
    assert all(part >= 0 for part in cost.line())


def test_what_would_wait_too_long_is_told_to_come_back_later_the_more_waits() -> None:
    admission = measured(0.010, 0.001)
    admission.check(queued(100))
    with pytest.raises(Overloaded) as few:
        admission.check(queued(300))
    with pytest.raises(Overloaded) as many:
        admission.check(queued(3_000))
    assert 50 <= few.value.retry_after_ms < many.value.retry_after_ms <= 5_000


def test_the_limit_is_a_time_and_not_a_number() -> None:
    measured(0.010, 0.0001).check(queued(1_500))
    with pytest.raises(Overloaded):
        measured(0.010, 0.01).check(queued(30))


def test_more_lanes_let_more_wait() -> None:
    with pytest.raises(Overloaded):
        measured(0.010, 0.001).check(queued(300))
    measured(0.010, 0.001, lanes=3).check(queued(300))


def test_where_nothing_gets_done_age_tells_it() -> None:
    """PostgreSQL hangs: no batch ends, so nothing is learned of how long batches take now."""
    quick, slow = measured(0.001, 0.0001), measured(1.0, 0.0001)
    quick.check(queued(2, oldest_seconds=LIMIT - 0.01))
    slow.check(queued(2, oldest_seconds=2.0))
    for admission, age in ((quick, LIMIT + 0.01), (slow, 3.5)):
        with pytest.raises(Overloaded, match="too long"):
            admission.check(queued(2, oldest_seconds=age))


def test_whoever_would_be_next_is_let_in_on_a_slow_server_too() -> None:
    measured(10.0, 1.0).check(Backlog(deciding=Work(batches=1, events=100)))


def test_slow_storage_does_not_make_batches_small() -> None:
    """A commit takes longer than all work that may wait: events still join the batch that forms."""
    slow = measured(0.4, 0.0001)
    slow.check(queued(499, oldest_seconds=0.4))
    with pytest.raises(Overloaded):
        slow.check(queued(1_001))


def test_what_would_come_after_the_deadline_is_not_begun() -> None:
    admission = measured(0.010, 0.001)
    admission.check(queued(50), patience_seconds=1.0)
    admission.check(queued(50), patience_seconds=None)
    with pytest.raises(Overloaded, match="deadline"):
        admission.check(queued(50), patience_seconds=0.1)


def test_a_slow_minute_is_forgotten() -> None:
    admission = measured(1.0, 0.01)
    with pytest.raises(Overloaded):
        admission.check(queued(600))
    for _ in range(30):
        for size in (20, 100, 300, 500):
            admission.learn(size, 0.005 + 0.0001 * size)
    admission.check(queued(600))
