"""What changed between two instants: getDeleted and getUpdated, with their horizons and refusals.

Source: REST API Developer Guide, "sObject Get Deleted" and "sObject Get Updated"; SOAP API Developer Guide,
"getDeleted()", "GetDeletedResult" and "Data Replication".
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from localcloud.salesforce.errors import ApiError
from localcloud.salesforce.ledger import forget_deleted
from localcloud.salesforce.storage import instant_text

if TYPE_CHECKING:
    from localcloud.salesforce.org import Org
    from localcloud.salesforce.sobject import SObject

Instant = Annotated[datetime, msgspec.Meta(tz=True)]
Count = Annotated[int, msgspec.Meta(ge=0)]

DELETED_DAYS = 15
UPDATED_DAYS = 30
MOST_IDS = 600_000
_MINUTE = timedelta(minutes=1)
_LOG_REST = timedelta(hours=2)
_SETTINGS = "replication"


class OpenTransaction(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A long transaction that is not committed yet: what it deleted and changed is not to be seen.

    Attributes:
        since: When it began; nothing later is covered.
        ids: The records it touched, which no answer names while it is open.
    """

    since: Instant
    ids: tuple[str, ...] = ()


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How an org answers getDeleted and getUpdated; kept with the org.

    Attributes:
        id_limit: The most ids of one answer.
        before_horizon: What a start before `earliestDateAvailable` gets: `refuse` answers
            INVALID_REPLICATION_DATE, as the page of getDeleted says; `answer` gives what is left.
        behind_open: What an end after `latestDateCovered` gets while a long transaction is open: `answer`
            as the page of GetDeletedResult says, or `refuse` as that of getDeleted says.
        open_transaction: A long transaction that is open.
    """

    id_limit: Count = MOST_IDS
    before_horizon: Literal["refuse", "answer"] = "refuse"
    behind_open: Literal["refuse", "answer"] = "answer"
    open_transaction: OpenTransaction | None = None


class ReplicationControl(msgspec.Struct, forbid_unknown_fields=True):
    """What a tester may turn; what is left out stays as it is.

    Attributes:
        id_limit: See `Settings`.
        before_horizon: See `Settings`.
        behind_open: See `Settings`.
        open_transaction: Opens a long transaction.
        close_transaction: Commits it.
        trim_log_to: Lets the background process run that trims the delete log: above so many entries, the
            oldest go, of those that are two hours old.
        reset: First puts all settings back; trimmed entries stay gone.
    """

    id_limit: Count | None = None
    before_horizon: Literal["refuse", "answer"] | None = None
    behind_open: Literal["refuse", "answer"] | None = None
    open_transaction: OpenTransaction | None = None
    close_transaction: bool = False
    trim_log_to: Count | None = None
    reset: bool = False


class DeletedRecord(msgspec.Struct, frozen=True, rename="camel"):
    """One deletion, as the answer tells it."""

    deleted_date: str
    id: str


class GetDeletedResult(msgspec.Struct, frozen=True, rename="camel"):
    """The answer of getDeleted."""

    deleted_records: list[DeletedRecord]
    earliest_date_available: str
    latest_date_covered: str


class GetUpdatedResult(msgspec.Struct, frozen=True, rename="camel"):
    """The answer of getUpdated."""

    ids: list[str]
    latest_date_covered: str


class Replication:
    """Answers getDeleted and getUpdated.

    Args:
        org: The org.
    """

    def __init__(self, org: Org) -> None:
        self._org = org

    @property
    def settings(self) -> Settings:
        """How the org answers now."""
        row = self._org.db.execute("SELECT value FROM settings WHERE key = ?", (_SETTINGS,)).fetchone()
        return msgspec.json.decode(row[0], type=Settings) if row else Settings()

    def control(self, asked: ReplicationControl) -> None:
        """Do what a tester asks."""
        changes = {
            name: value
            for name in ("id_limit", "before_horizon", "behind_open", "open_transaction")
            if (value := getattr(asked, name)) is not None
        }
        if asked.close_transaction:
            changes["open_transaction"] = None
        kept = msgspec.structs.replace(Settings() if asked.reset else self.settings, **changes)
        with self._org.lock, self._org.db:
            self._org.db.execute(
                "INSERT OR REPLACE INTO settings VALUES (?, ?)", (_SETTINGS, msgspec.json.encode(kept).decode())
            )
        if asked.trim_log_to is not None:
            self.trim_log(asked.trim_log_to)

    def trim_log(self, limit: int) -> int:
        """Run the process that trims the delete log; returns how many entries went.

        Entries of the last two hours stay; of the others the oldest go until the log is down to the limit.
        A later getDeleted that starts before the newest of them is refused.
        """
        until = instant_text(self._org.clock.now() - _LOG_REST)
        with self._org.lock, self._org.db:
            total = self._org.db.execute("SELECT count(*) FROM delete_log").fetchone()[0]
            return forget_deleted(
                self._org.db,
                "SELECT object, id FROM delete_log WHERE deleted < ? ORDER BY deleted, id LIMIT ?",
                (until, max(total - limit, 0)),
            )

    def deleted(self, sobject: SObject, start: str | None, end: str | None) -> GetDeletedResult:
        """The records of an object deleted in [start, end), whose seconds are ignored.

        Args:
            sobject: The object.
            start: ISO 8601, with a time zone or in UTC.
            end: Likewise, more than a minute later.

        Raises:
            ApiError: INVALID_REPLICATION_DATE, the span or its start cannot be answered for;
                EXCEEDED_ID_LIMIT, there are too many; INVALID_TYPE_FOR_OPERATION, the object has no log.
        """
        settings, span, covered = self._span(sobject, start, end)
        earliest = self._earliest(sobject)
        if span[0] < earliest and settings.before_horizon == "refuse":
            raise _refused(f"startDate before earliest date available: {instant_text(earliest)}")
        found = self._org.db.execute(
            "SELECT deleted, id FROM delete_log WHERE object = ? AND deleted >= ? AND deleted < ? "
            "AND id NOT IN (SELECT value FROM json_each(?)) ORDER BY deleted, id LIMIT ?",
            (
                sobject.name,
                instant_text(max(span[0], earliest)),
                instant_text(span[1]),
                _hidden(settings),
                settings.id_limit + 1,
            ),
        ).fetchall()
        _check_count(len(found), settings)
        return GetDeletedResult(
            [DeletedRecord(deleted, key) for deleted, key in found], instant_text(earliest), instant_text(covered)
        )

    def updated(self, sobject: SObject, start: str | None, end: str | None) -> GetUpdatedResult:
        """The records of an object made or changed in [start, end) that are there; see `deleted`.

        Raises:
            ApiError: INVALID_REPLICATION_DATE, also for a start of more than 30 days ago;
                EXCEEDED_ID_LIMIT; INVALID_TYPE_FOR_OPERATION.
        """
        settings, span, covered = self._span(sobject, start, end)
        if span[0] < self._org.clock.now() - timedelta(days=UPDATED_DAYS):
            raise _refused(f"startDate cannot be more than {UPDATED_DAYS} days ago")
        stamp = "SystemModstamp" if "systemmodstamp" in sobject.by_name else "CreatedDate"
        found = self._org.db.execute(
            f'SELECT "Id" FROM "{sobject.name}" WHERE "{stamp}" >= ? AND "{stamp}" < ? AND "IsDeleted" = 0 '
            'AND ("_visible_at" IS NULL OR "_visible_at" <= ?) '
            'AND "Id" NOT IN (SELECT value FROM json_each(?)) ORDER BY "Id" LIMIT ?',
            (
                instant_text(span[0]),
                instant_text(span[1]),
                self._org.clock.now_ms(),
                _hidden(settings),
                settings.id_limit + 1,
            ),
        ).fetchall()
        _check_count(len(found), settings)
        return GetUpdatedResult([key for (key,) in found], instant_text(covered))

    def _span(
        self, sobject: SObject, start: str | None, end: str | None
    ) -> tuple[Settings, tuple[datetime, datetime], datetime]:
        """The settings, the span asked for in whole minutes, and up to where it is covered."""
        if not sobject.replicateable:
            message = f"entity type {sobject.name} is not replicateable"
            raise ApiError(400, "INVALID_TYPE_FOR_OPERATION", message)
        first, last = _instant("start", start), _instant("end", end)
        if last - first <= _MINUTE:
            raise _refused("endDate must be at least one minute greater than startDate")
        settings, first, last = self.settings, _minute(first), _minute(last)
        covered = min(last, _minute(self._org.clock.now()))
        if settings.open_transaction is not None:
            covered = min(covered, _minute(settings.open_transaction.since.astimezone(UTC)))
            if covered < last and settings.behind_open == "refuse":
                raise _refused(f"endDate after latest date covered: {instant_text(covered)}")
        return settings, (first, last), covered

    def _earliest(self, sobject: SObject) -> datetime:
        """Since when the delete log of an object is whole."""
        today = self._org.clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
        horizon = today - timedelta(days=DELETED_DAYS)
        row = self._org.db.execute("SELECT until FROM forgotten_deletes WHERE object = ?", (sobject.name,)).fetchone()
        if row is None:
            return horizon
        return max(horizon, _minute(datetime.fromisoformat(row[0])) + _MINUTE)


def _hidden(settings: Settings) -> str:
    return json.dumps(settings.open_transaction.ids if settings.open_transaction else ())


def _check_count(found: int, settings: Settings) -> None:
    if found > settings.id_limit:
        raise ApiError(400, "EXCEEDED_ID_LIMIT", f"exceeded {settings.id_limit} ids; use a smaller span of time")


def _minute(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)


def _instant(name: str, text: str | None) -> datetime:
    if text is None:
        raise ApiError(400, "MISSING_ARGUMENT", f"Required parameter {name} is missing")
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise _refused(f"{text} is not a valid value for the type xsd:dateTime") from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.astimezone(UTC)


def _refused(message: str) -> ApiError:
    return ApiError(400, "INVALID_REPLICATION_DATE", message)
