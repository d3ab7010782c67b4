"""The ledger as the target uses it: events in, figures' sums out, one commit for what belongs together.

An event is known by 80 bits of BLAKE2b of its id: among a billion events the chance that any two share them is one in
2.4 million, and a shared digest would cost one count. Beside the digest stand what the event counted as and when it was
read, so that a later version of the same event (a row that Salesforce changed, or that turned out to be no change)
takes the place of the earlier one instead of being added: the counts are those of the latest versions, whatever the
order in which they came. Of two versions read within the same quarter of an hour the one that comes later holds.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, Self

import sqlalchemy as sa

from target_atlan_metadata import counting
from target_atlan_metadata.counting import COLUMNS, content_of, contributions, is_change, is_counted, quarter_of
from target_atlan_metadata.ledger import retention
from target_atlan_metadata.ledger.activity import activities
from target_atlan_metadata.ledger.database import Database, said
from target_atlan_metadata.ledger.deletes import SightingStore
from target_atlan_metadata.ledger.intake import Intake, Place, Received
from target_atlan_metadata.ledger.latest import LatestStore
from target_atlan_metadata.ledger.tables import CELL, DAILY, LINK, SEEN, WRITTEN, add, chunks, many, put

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from types import TracebackType

    from target_atlan_metadata.activity import CellActivity
    from target_atlan_metadata.decision import Decision
    from target_atlan_metadata.ledger.database import Absent

__all__ = ["Ledger", "Received"]

_BATCH: Final = 20_000  # events that are looked up and written at once
_LOOKUP: Final = 2_000  # digests in one question
_MOST_DAYS: Final = 60_000  # buckets kept in memory before they are written


class Ledger:
    """Counts every primary event once.

    Args:
        url: SQLAlchemy URL of its database.
        closed_values: Values that end a record's life, by `Object.Field`.
        keep_names: Whether names of actors are kept beside their ids.
        wait_seconds: How long to wait for another run that has it.
        absent: What to do where there is none.

    Raises:
        ConfigurationError: the URL cannot be used.
        LedgerError: it cannot be opened, or another run has it.
    """

    def __init__(
        self,
        url: str,
        *,
        closed_values: Mapping[str, Iterable[str]] = counting.CLOSED_VALUES,
        keep_names: bool = False,
        wait_seconds: int = 10,
        absent: Absent = "make",
    ) -> None:
        self._closed = {name: frozenset(values) for name, values in closed_values.items()}
        self._keep_names = keep_names
        self._database = Database(url, wait_seconds=wait_seconds, absent=absent)
        self._connection = self._database.connection
        self._start()

    def _start(self) -> None:
        with said():
            self._facts = self._database.meta()
            rows = self._connection.execute(sa.select(CELL.c.object, CELL.c.field, CELL.c.cell))
            self._links = {(stream, name) for stream, name in self._connection.execute(sa.select(LINK))}
            self._cells: dict[Place, int] = {(name, field or None): cell for name, field, cell in rows}
        self._intake = Intake(
            self._cells,
            self._closed,
            keep_names=self._keep_names,
            org=self._facts.get("org", ""),
            kept_from=int(self._facts.get("kept_from", "0")),
            # A ledger without this fact is of a time when deletes were forgotten too.
            deletes_from=int(self._facts.get("deletes_from", self._facts.get("kept_from", "0"))),
        )
        self._has_news = False
        self._touched: set[int] = set()
        self._difference: Counter[int] = Counter()  # by content
        self._deleted: Counter[tuple[int, int]] = Counter()  # by cell and day
        self._new_links: set[tuple[str, str]] = set()
        self._latest = LatestStore(self._connection)
        self._store = SightingStore(self._connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the ledger free; what is not committed is lost."""
        self._database.close()

    @property
    def received(self) -> Received:
        """What became of the events so far."""
        return self._intake.received

    @property
    def ledger_id(self) -> str:
        """The ledger's own id, made with it."""
        return self._facts["ledger_id"]

    @property
    def generation(self) -> int:
        """How often what the ledger says was told to Atlan."""
        return int(self._facts["generation"])

    @property
    def is_empty(self) -> bool:
        """Whether no event was ever counted."""
        return not self._cells

    @property
    def is_ahead(self) -> bool:
        """Whether it has taken more since Atlan was told its generation: an older copy would not be noticed yet."""
        return self._facts.get("ahead") == "yes"

    def add(self, decisions: Sequence[Decision], stream: str | None = None) -> None:
        """Take events; they count from the next commit on.

        Args:
            decisions: The events.
            stream: Name of the stream that they came in, where it says which table holds them.

        Raises:
            InputError: an event is of another org, or cannot be placed.
            LedgerError: the database refused.
        """
        self._intake.take(decisions)
        if stream is not None:
            links = {(stream, decision.record_type) for decision in decisions if decision.record_type is not None}
            spelled = {(stream, self._intake.spelling(name)) for _, name in links - self._links}
            self._new_links |= spelled - self._links
        if len(self._intake.events) >= _BATCH or len(self._intake.sightings) >= _BATCH:
            self.flush()

    def flush(self) -> None:
        """Write what was taken into the open transaction, so that memory stays bounded."""
        with said():
            if self._intake.org != self._facts.get("org", ""):
                self._facts["org"] = self._intake.org
                self._database.remember(org=self._intake.org)
            many(self._connection, CELL, self._intake.new_cells)
            self._intake.new_cells.clear()
            many(self._connection, LINK, sorted(self._new_links))
            self._links |= self._new_links
            self._new_links = set()
            self._write_events()
            self._write_sightings()
            if len(self._difference) + len(self._deleted) >= _MOST_DAYS:
                self._write_days()
            self._latest.keep_small()

    def commit(self) -> None:
        """Make everything taken so far last; cells that changed are dirty from now on."""
        self.settle()
        with said():
            self._connection.commit()

    def settle(self) -> None:
        """Bring the sums up to everything taken so far, without making it last."""
        self.flush()
        with said():
            self._write_days()
            self._latest.write()
            self._mark_dirty()
            if self._has_news and not self.is_ahead:
                self._remember(ahead="yes")
            self._has_news = False

    def activities(self, today: int, quality_days: int, *, dirty_objects: bool = False) -> list[CellActivity]:
        """Sum up what happened to each object and field, as committed.

        Args:
            today: Day to which windows extend, by `counting.day_number`.
            quality_days: How many days the quality score looks at.
            dirty_objects: Only the cells of objects of which Atlan has not been told everything.
        """
        with said():
            return list(activities(self._connection, today, quality_days, dirty_objects=dirty_objects))

    def clean(self, cells: Iterable[CellActivity]) -> None:
        """Note that Atlan was told of cells; one that changed since then stays dirty."""
        is_same = sa.and_(CELL.c.cell == sa.bindparam("b_cell"), CELL.c.dirty == sa.bindparam("b_dirty"))
        statement = CELL.update().values(dirty=0).where(is_same)
        rows = [{"b_cell": cell.cell, "b_dirty": cell.dirty} for cell in cells if cell.dirty]
        with said():
            if rows:
                self._connection.execute(statement, rows)
            self._connection.commit()

    def told(self) -> dict[str, bytes]:
        """Digest of what Atlan was last told, by the GUID of an asset."""
        with said():
            rows = self._connection.execute(sa.select(WRITTEN.c.asset, WRITTEN.c.digest))
            return {asset: bytes(digest) for asset, digest in rows}

    def tell(self, digests: Mapping[str, bytes]) -> None:
        """Note what Atlan was told of assets, by GUID."""
        with said():
            put(self._connection, WRITTEN, list(digests.items()))
            self._connection.commit()

    @property
    def org(self) -> str:
        """Id of the org whose events it counts; empty while there is none."""
        return self._intake.org

    @property
    def may_take_over(self) -> bool:
        """Whether it was filled to take the place of another ledger."""
        return self._facts.get("take_over") == "yes"

    def allow_take_over(self) -> None:
        """Note, with the next commit, that its figures may take the place of another ledger's."""
        with said():
            self._remember(take_over="yes")

    def noted(self) -> None:
        """Note at once that Atlan has its generation: an older copy is noticed, and no place is left to take."""
        with said():
            self._remember(ahead="no", take_over="no")
            self._connection.commit()

    def links(self) -> list[tuple[str, str]]:
        """Which stream had events of which object, in order."""
        return sorted(self._links)

    def next_generation(self) -> int:
        """Count one more telling of Atlan, before it is told."""
        return self.at_generation(self.generation + 1)

    def at_generation(self, number: int) -> int:
        """Go on from a number of tellings, such as that of a ledger whose place this one takes."""
        with said():
            self._remember(generation=str(number))
            self._connection.commit()
        return number

    def retain(self, today: int, *, event_ids_days: int | None, daily_days: int | None) -> None:
        """Forget what is older than is to be kept; no count changes by that.

        Args:
            today: By `counting.day_number`.
            event_ids_days: Days of event ids to keep; None for all. Older events are no longer counted when they come.
                Those of deletes are all kept.
            daily_days: Days to keep apart; None for all. Older ones are kept as one sum.
        """
        with said():
            if event_ids_days is not None and today - event_ids_days > self._intake.kept_from:
                self._intake.kept_from = today - event_ids_days
                retention.forget_events(self._connection, self._intake.kept_from)
                self._database.remember(
                    kept_from=str(self._intake.kept_from), deletes_from=str(self._intake.deletes_from)
                )
            if daily_days is not None:
                retention.fold_days(self._connection, today - daily_days)
            self._connection.commit()

    def _remember(self, **facts: str) -> None:
        self._facts |= facts
        self._database.remember(**facts)

    def _write_events(self) -> None:
        pending, self._intake.events = self._intake.events, {}
        keys = sorted(pending)
        known: dict[bytes, int] = {}
        for chunk in chunks(keys, _LOOKUP):
            question = sa.select(SEEN.c.event, SEEN.c.mark).where(SEEN.c.event.in_(chunk))
            known.update((bytes(key), mark) for key, mark in self._connection.execute(question))
        new: list[tuple[bytes, int]] = []
        changed: list[tuple[bytes, int]] = []
        latest, difference = self._latest, self._difference
        for key in keys:
            mark, at, actor_id, actor_name = pending[key]
            before = known.get(key)
            if before is None:
                new.append((key, mark))
            elif before == mark:
                self._intake.received.known += 1
                if is_change(content := content_of(mark)):
                    latest.replace(counting.cell_of(content), (at, key, actor_id, actor_name))
                continue
            elif quarter_of(before) > quarter_of(mark):
                self._intake.received.known += 1
                continue
            else:
                changed.append((key, mark))
                self._take_back(key, before)
            content = content_of(mark)
            is_same = before is not None and content_of(before) == content
            self._intake.received.known += is_same
            self._has_news |= not is_same
            if not is_counted(content):
                self._intake.received.secondary += not is_same
                continue
            difference[content] += 1
            if is_change(content):
                latest.add(counting.cell_of(content), (at, key, actor_id, actor_name))
        many(self._connection, SEEN, new)
        put(self._connection, SEEN, changed)

    def _take_back(self, key: bytes, mark: int) -> None:
        content = content_of(mark)
        if is_counted(content):
            self._difference[content] -= 1
            if is_change(content):
                self._latest.remove(counting.cell_of(content), key)

    def _write_sightings(self) -> None:
        sightings, self._intake.sightings = self._intake.sightings, {}
        if sightings:
            for (name, day), number in self._store.add(sightings).items():
                self._deleted[self._cells[name, None], day] += number
            known = self._store.take_known()
            self._intake.received.known += known
            self._has_news |= known < len(sightings)

    def _write_days(self) -> None:
        buckets: dict[tuple[int, int], list[int]] = {}
        for content, number in self._difference.items():
            if number:
                bucket = buckets.setdefault(counting.place_of(content), [0] * len(COLUMNS))
                for column, one in contributions(content):
                    bucket[column] += one * number
        for place, number in self._deleted.items():
            buckets.setdefault(place, [0] * len(COLUMNS))[-1] += number
        self._difference.clear()
        self._deleted.clear()
        changed = sorted(key for key, bucket in buckets.items() if any(bucket))
        self._touched.update(cell for cell, _ in changed)
        add(self._connection, DAILY, [(*place, *buckets[place]) for place in changed])

    def _mark_dirty(self) -> None:
        touched = {*self._touched, *self._latest.take_touched()}
        self._touched.clear()
        if touched:
            statement = CELL.update().values(dirty=CELL.c.dirty + 1).where(CELL.c.cell == sa.bindparam("b_cell"))
            self._connection.execute(statement, [{"b_cell": cell} for cell in sorted(touched)])
