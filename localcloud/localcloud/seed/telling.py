"""Where decisions come from while rows are made of them: a truth log that is there, or one that is being written.

A big made-up org is told by a process of its own: it writes the truth log, and the rows that follow are made
meanwhile, always behind what is written. Both ways give the same org.

    python -m localcloud.seed.telling < order.json    # writes the truth, says on stdout how far it is
"""

from __future__ import annotations

import subprocess
import sys
from itertools import islice, takewhile
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self

import msgspec

from localcloud.salesforce.filling import without_collection
from localcloud.salesforce.ids import make_id
from localcloud.seed.decisions import Decision, Expectation, instant_text, read_truth, write_truth
from localcloud.seed.errors import SeedError
from localcloud.seed.generator import Plan, generate

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType

_BATCH = 2_000


class Order(msgspec.Struct, frozen=True):
    """What the teller is to tell: the plan, the truth log, and of each object its key prefix and first number."""

    plan: Plan
    truth: str
    series: dict[str, tuple[str, int]]


class Totals(msgspec.Struct, frozen=True):
    """What an `Expectation` has counted, apart from the deleted records."""

    streams: dict[str, int]
    also: dict[str, int]
    decisions: int
    archived: list[tuple[str, str]]


class Told(msgspec.Struct, frozen=True):
    """How far the teller is.

    Attributes:
        size: Bytes of the truth log that are written.
        deleted: Records, met by now for the first time, that some decision deletes.
        totals: All counts, with the last message.
    """

    size: int
    deleted: list[str]
    totals: Totals | None = None


class Written:
    """A truth log that is written before anything is read of it.

    Args:
        truth: Where to write it.
        decisions: In time order.

    Attributes:
        expectation: What was counted.
        deleted: Records that some decision deletes.
        total: How many decisions there are.
    """

    def __init__(self, truth: Path, decisions: Iterable[Decision]) -> None:
        self._truth = truth
        self.expectation = Expectation()
        with without_collection():
            write_truth(truth, decisions, self.expectation)
        self.deleted = self.expectation.deleted
        self.total: int | None = self.expectation.decisions

    def __iter__(self) -> Iterator[Decision]:
        return read_truth(self._truth)


class Telling:
    """A truth log that another process writes while it is read.

    Args:
        plan: What is told.
        truth: Where it is written.
        series: Of each object its key prefix and the number of its first id.

    Attributes:
        expectation: What was counted, once all is read.
        deleted: Records that some decision deletes, each known before its first decision comes.
        total: Not known.
    """

    def __init__(self, plan: Plan, truth: Path, series: dict[str, tuple[str, int]]) -> None:
        self._order = Order(plan, str(truth), series)
        self._truth = truth
        self.expectation = Expectation()
        self.deleted: set[str] = set()
        self.total: int | None = None

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "localcloud.seed.telling"]
        self._process = subprocess.Popen(  # noqa: S603 - this interpreter, this module
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def __iter__(self) -> Iterator[Decision]:
        """The decisions, in time order.

        Raises:
            SeedError: The other process failed.
        """
        send, messages = self._process.stdin, self._process.stdout
        assert send is not None  # noqa: S101 - it was asked for
        assert messages is not None  # noqa: S101
        send.write(msgspec.json.encode(self._order))
        send.close()
        self._process.stdin = None
        decoder, told = msgspec.json.Decoder(Decision), Told(0, [])
        self._truth.touch()
        with self._truth.open("rb") as lines:
            for message in messages:
                told = msgspec.json.decode(message, type=Told)
                self.deleted.update(told.deleted)
                yield from decoder.decode_lines(lines.read(told.size - lines.tell()))
        if told.totals is None:
            said = self._process.communicate()[1].decode(errors="replace").strip()
            raise SeedError(f"The decisions of the org could not be told: {said.splitlines()[-1:] or 'no reason'}.")
        expectation = self.expectation
        expectation.streams, expectation.also = told.totals.streams, told.totals.also
        expectation.decisions, expectation.archived = told.totals.decisions, told.totals.archived
        expectation.deleted = self.deleted


def tell(order: Order, out: IO[bytes]) -> None:
    """Write the truth log of an order; after each batch, say how far it is."""
    truth, expectation = Path(order.truth), Expectation()
    doomed: set[str] = set()
    said: set[str] = set()

    def new_id(sobject: str, n: int) -> str:
        prefix, first = order.series[sobject]
        return make_id(prefix, first + n)

    def say(totals: Totals | None = None) -> None:
        message = Told(truth.stat().st_size if truth.exists() else 0, sorted(doomed - said), totals)
        said.update(doomed)
        out.write(msgspec.json.encode(message) + b"\n")
        out.flush()

    last = instant_text(order.plan.end)
    stories = generate(order.plan, new_id, doomed=doomed)
    decisions = takewhile(lambda decision: decision.at <= last, stories)
    while batch := list(islice(decisions, _BATCH)):
        write_truth(truth, batch, expectation)
        say()
    say(Totals(expectation.streams, expectation.also, expectation.decisions, expectation.archived))


if __name__ == "__main__":
    with without_collection():
        tell(msgspec.json.decode(sys.stdin.buffer.read(), type=Order), sys.stdout.buffer)
