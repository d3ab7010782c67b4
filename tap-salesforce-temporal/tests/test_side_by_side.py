"""Items come in order from lanes that run ahead a little, side by side, and end when nobody listens."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import NamedTuple, TypeVar

import pytest

from microdecisions.errors import InterruptedRunError
from microdecisions.pages import StopFlag
from tap_salesforce_temporal.reading.side_by_side import THREAD_NAME, in_order

T = TypeVar("T")


class Sized(NamedTuple):
    lane: int
    number: int
    size: int = 1_000


def _threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == THREAD_NAME]


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    yield
    for thread in _threads():
        thread.join(10)
    assert _threads() == []


def ahead_of(items: Iterator[T]) -> Iterator[T]:
    """One lane."""
    return in_order(iter([items]), StopFlag())


@pytest.mark.parametrize("side_by_side", [1, 2, 5])
@pytest.mark.parametrize("most_bytes", [1, 2_000, 1_000_000])
def test_items_come_in_order(side_by_side: int, most_bytes: int) -> None:
    lanes = (iter([(lane, number) for number in range(lane % 7)]) for lane in range(40))
    items = in_order(lanes, StopFlag(), side_by_side=lambda: side_by_side, most_bytes=most_bytes)
    assert list(items) == [(lane, number) for lane in range(40) for number in range(lane % 7)]


def test_lanes_without_items_and_items_that_are_none_are_no_end() -> None:
    assert list(in_order(iter([]), StopFlag())) == []
    assert list(in_order(iter([iter([]), iter([None, None]), iter([])]), StopFlag(), side_by_side=lambda: 3)) == [
        None,
        None,
    ]


def test_lanes_run_side_by_side_up_to_the_number_allowed() -> None:
    together = threading.Barrier(3, timeout=10)

    def lane(name: int) -> Iterator[tuple[int, str]]:
        yield name, "begins"
        together.wait()  # only three that run at once come through here
        yield name, "ends"

    items = list(in_order((lane(name) for name in range(6)), StopFlag(), side_by_side=lambda: 3))
    assert items == [(name, word) for name in range(6) for word in ("begins", "ends")]


def test_a_lane_begins_only_when_the_one_before_has_told_something() -> None:
    told: list[str] = []

    def lanes() -> Iterator[Iterator[int]]:
        def first() -> Iterator[int]:
            told.append("first")
            yield 1

        yield first()
        told.append("second is planned")
        yield iter([2])

    assert list(in_order(lanes(), StopFlag(), side_by_side=lambda: 5)) == [1, 2]
    assert told == ["first", "second is planned"]


def test_a_later_lane_never_takes_the_room_of_the_one_whose_turn_it_is() -> None:
    later_is_full = threading.Event()

    def first() -> Iterator[Sized]:
        yield Sized(1, 0)
        later_is_full.wait(10)
        for number in range(10):
            yield Sized(1, number)

    def later() -> Iterator[Sized]:
        for number in range(10):
            if number == 1:
                later_is_full.set()
            yield Sized(2, number)

    items = in_order(iter([first(), later()]), StopFlag(), side_by_side=lambda: 2, most_bytes=1_000)
    assert [(item.lane, item.number) for item in items] == [(1, 0), *((1, n) for n in range(10))] + [
        (2, n) for n in range(10)
    ]


def test_an_error_comes_after_the_items_before_it() -> None:
    def items() -> Iterator[int]:
        yield from range(5)
        raise ZeroDivisionError("from the thread")

    received: list[int] = []
    with pytest.raises(ZeroDivisionError, match="from the thread"):
        received.extend(ahead_of(items()))
    assert received == list(range(5))


def test_an_exception_that_is_no_error_comes_through_too() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise KeyboardInterrupt

    ahead = ahead_of(items())
    assert next(ahead) == 1
    with pytest.raises(KeyboardInterrupt):
        next(ahead)


def test_what_runs_ahead_is_bounded_in_bytes() -> None:
    made = []
    full = threading.Event()

    def items() -> Iterator[Sized]:
        for number in range(100):
            made.append(number)
            if number == 4:
                full.set()
            yield Sized(1, number)

    ahead = in_order(iter([items()]), StopFlag(), most_bytes=3_000)
    assert next(ahead).number == 0
    assert full.wait(10)  # ahead of the consumer, that has taken one
    assert len(made) <= 1 + 3 + 1  # taken, waiting, in hand
    assert next(ahead).number == 1
    ahead.close()


def test_the_next_item_is_made_while_the_consumer_works_on_this_one() -> None:
    made = threading.Event()

    def items() -> Iterator[int]:
        yield 0
        made.set()
        yield 1

    ahead = ahead_of(items())
    assert next(ahead) == 0
    assert made.wait(10)
    assert list(ahead) == [1]


def test_the_thread_ends_when_the_consumer_leaves() -> None:
    def endless() -> Iterator[int]:
        number = 0
        while True:
            yield (number := number + 1)

    ahead = ahead_of(endless())
    assert next(ahead) == 1
    (thread,) = _threads()
    assert thread.daemon  # an item that hangs must not keep the process
    ahead.close()  # type: ignore[attr-defined]
    thread.join(10)
    assert not thread.is_alive()


def test_the_thread_ends_when_the_consumer_fails() -> None:
    def consume() -> None:
        for item in ahead_of(iter(range(1_000))):
            assert item < 3, "a consumer's own error"

    with pytest.raises(AssertionError, match="own error"):
        consume()


def test_a_stop_ends_the_wait_for_an_item() -> None:
    stop, waiting, release = StopFlag(), threading.Event(), threading.Event()

    def items() -> Iterator[int]:
        yield 0
        waiting.set()
        release.wait(10)
        yield 1

    ahead = in_order(iter([items()]), stop)
    assert next(ahead) == 0
    assert waiting.wait(10)
    stop.set()
    with pytest.raises(InterruptedRunError):
        next(ahead)
    release.set()


def test_nothing_is_fetched_before_the_first_item_is_asked_for() -> None:
    started = []

    def items() -> Iterator[int]:
        started.append(1)
        yield 1

    ahead = ahead_of(items())
    assert (started, _threads()) == ([], [])
    assert list(ahead) == [1]
