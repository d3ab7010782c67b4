"""Items come in order from a thread that runs ahead a little and ends when nobody listens."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from microdecisions.errors import InterruptedRunError
from microdecisions.pages import StopFlag
from tap_salesforce_temporal.reading.prefetch import fetched_ahead


def _threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "fetch-ahead"]


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    yield
    for thread in _threads():
        thread.join(10)
    assert _threads() == []


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_items_come_in_order(depth: int) -> None:
    assert list(fetched_ahead(iter(range(500)), StopFlag(), depth=depth)) == list(range(500))
    assert list(fetched_ahead(iter(()), StopFlag())) == []
    assert list(fetched_ahead(iter([None, None]), StopFlag())) == [None, None]


def test_an_error_comes_after_the_items_before_it() -> None:
    def items() -> Iterator[int]:
        yield from range(5)
        raise ZeroDivisionError("from the thread")

    received: list[int] = []
    with pytest.raises(ZeroDivisionError, match="from the thread"):
        received.extend(fetched_ahead(items(), StopFlag(), depth=2))
    assert received == list(range(5))


def test_an_exception_that_is_no_error_comes_through_too() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise KeyboardInterrupt

    ahead = fetched_ahead(items(), StopFlag())
    assert next(ahead) == 1
    with pytest.raises(KeyboardInterrupt):
        next(ahead)


def test_the_thread_runs_ahead_by_a_bounded_number_of_items() -> None:
    made = []
    third = threading.Event()

    def items() -> Iterator[int]:
        for number in range(100):
            made.append(number)
            if number == 3:
                third.set()
            yield number

    ahead = fetched_ahead(items(), StopFlag(), depth=2)
    assert next(ahead) == 0
    assert third.wait(10)  # ahead of the consumer, that has taken one
    assert len(made) <= 1 + 2 + 1  # taken, waiting, in hand
    assert next(ahead) == 1
    ahead.close()  # type: ignore[attr-defined]


def test_the_next_item_is_made_while_the_consumer_works_on_this_one() -> None:
    made = threading.Event()

    def items() -> Iterator[int]:
        yield 0
        made.set()
        yield 1

    ahead = fetched_ahead(items(), StopFlag())
    assert next(ahead) == 0
    assert made.wait(10)
    assert list(ahead) == [1]


def test_the_thread_ends_when_the_consumer_leaves() -> None:
    def endless() -> Iterator[int]:
        number = 0
        while True:
            yield (number := number + 1)

    ahead = fetched_ahead(endless(), StopFlag())
    assert next(ahead) == 1
    (thread,) = _threads()
    assert thread.daemon  # an item that hangs must not keep the process
    ahead.close()  # type: ignore[attr-defined]
    thread.join(10)
    assert not thread.is_alive()


def test_the_thread_ends_when_the_consumer_fails() -> None:
    def consume() -> None:
        for item in fetched_ahead(iter(range(1_000)), StopFlag()):
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

    ahead = fetched_ahead(items(), stop)
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

    ahead = fetched_ahead(items(), StopFlag())
    assert (started, _threads()) == ([], [])
    assert list(ahead) == [1]
