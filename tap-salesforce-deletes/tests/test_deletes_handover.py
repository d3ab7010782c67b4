"""The bounded hand-over between threads: order, room by weight, and an end for those who wait."""

from __future__ import annotations

import threading

from tap_salesforce_deletes.handover import Handover


def test_items_come_in_their_order_and_all_at_once() -> None:
    queue: Handover[int] = Handover(10)
    for number in range(5):
        assert queue.put(number)
    assert queue.take(1.0) == [0, 1, 2, 3, 4]
    assert queue.take(0.0) == []


def test_who_brings_more_than_there_is_room_for_waits_until_something_is_taken() -> None:
    queue: Handover[str] = Handover(10)
    queue.put("first", 6)
    done = threading.Event()

    def bring() -> None:
        queue.put("second", 6)
        done.set()

    thread = threading.Thread(target=bring)
    thread.start()
    assert not done.wait(0.05)
    assert queue.take(1.0) == ["first"]
    assert done.wait(5.0)
    assert queue.take(1.0) == ["second"]
    thread.join()


def test_an_item_that_is_heavier_than_all_of_the_room_is_let_in_alone() -> None:
    queue: Handover[str] = Handover(10)
    assert queue.put("heavy", 1_000)
    assert queue.take(1.0) == ["heavy"]


def test_closing_lets_those_who_wait_go_and_takes_no_more() -> None:
    queue: Handover[str] = Handover(1)
    queue.put("first")
    said: list[bool] = []
    thread = threading.Thread(target=lambda: said.append(queue.put("second")))
    thread.start()
    queue.close()
    thread.join(5.0)
    assert said == [False]
    assert queue.put("third") is False
    assert queue.take(0.0) == []
