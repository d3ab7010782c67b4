"""The reconciler on answers that are written out: their forms, their golden events, the edges of windows."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from microdecisions import timestamps
from microdecisions.describe import FieldDescription, ObjectDescription, SalesforceMetadata
from microdecisions.errors import SalesforceError
from microdecisions.event import MicroDecisionEvent
from tap_salesforce_deletes.reconcile.reconciler import Reconciled, Reconciler

NOW = datetime(2026, 3, 2, 8, 0, 30, tzinfo=UTC)
READ_AT = "2026-03-02T09:00:00.000000Z"
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def told_by(pages: Iterator[Reconciled]) -> list[MicroDecisionEvent]:
    return [event for page in pages for event in page.events]


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ({"deletedRecords": [], "earliestDateAvailable": "x", "latestDateCovered": "y"}, "cannot be read"),
        ({"deletedRecords": []}, "not what the API promises"),
    ],
)
def test_an_answer_of_another_form_is_one_sentence(answer: object, sentence: str) -> None:
    class Odd:
        org_id = "00D5g000004AbcDEAS"

        def server_time(self) -> datetime:
            return NOW

        def get_json(self, *_: object, kind: Any) -> Any:
            try:
                return msgspec.json.decode(msgspec.json.encode(answer), type=kind)
            except msgspec.ValidationError:
                raise SalesforceError("not what the API promises") from None

    session: Any = Odd()
    reconciler = Reconciler(session, "v", enrich=False, now=lambda: READ_AT, log=logging.getLogger())
    with pytest.raises(SalesforceError, match=sentence):
        told_by(reconciler.reconcile("Account", NOW - HOUR))


class Scripted:
    """A session that gives one answer of the log, one description, and one page of the bin."""

    org_id = "00D5g000004AbcDEAS"
    api_version = "60.0"

    def server_time(self) -> datetime:
        return datetime(2026, 1, 3, 11, tzinfo=UTC)

    def get_json(self, *_: object, kind: Any) -> Any:
        answer = {
            "deletedRecords": [{"id": "0015g00000XyZaB", "deletedDate": "2026-01-03T10:00:01.000+0000"}],
            "earliestDateAvailable": "2025-12-19T00:00:00.000+0000",
            "latestDateCovered": "2026-01-03T11:00:00.000+0000",
        }
        return msgspec.json.decode(msgspec.json.encode(answer), type=kind)

    def get_bytes(self, *_: object) -> Any:
        row = (
            b'{"attributes":{"type":"Account","url":"/x"},"Id":"0015g00000XyZaBAAV","Name":"half \\ud83d",'
            b'"SystemModstamp":"2026-01-03T10:00:01.000+0000","LastModifiedById":"0055g000007UserAAC",'
            b'"OwnerId":"0055g000007OwneAAC","MasterRecordId":"0015g00000XyZaCAAV","AnnualRevenue":0.10,"Fax":null}'
        )

        class Answer(msgspec.Struct):
            body: bytes

        return Answer(b'{"totalSize":1,"done":true,"records":[%b]}' % row)


def test_rows_of_log_and_bin_become_their_golden_events(monkeypatch: pytest.MonkeyPatch) -> None:
    session: Any = Scripted()
    fields = tuple(
        FieldDescription(name=name, type="string")
        for name in ("Id", "IsDeleted", "SystemModstamp", "LastModifiedById", "OwnerId", "AnnualRevenue", "Fax")
    )
    account = ObjectDescription(name="Account", queryable=True, fields=fields)
    monkeypatch.setattr(SalesforceMetadata, "describe", lambda *_: account)
    reconciler = Reconciler(
        session,
        "tap-salesforce-deletes 0.1.0",
        enrich=True,
        now=lambda: "2026-01-31T12:00:00.000000Z",
        log=logging.getLogger("reconcile"),
    )
    events = told_by(reconciler.reconcile("Account", datetime(2026, 1, 3, 10, tzinfo=UTC)))
    golden = msgspec.json.decode((Path(__file__).parent / "golden" / "log_and_bin.json").read_bytes())
    assert [event.to_dict() for event in events] == golden


class Log:
    """A delete log whose windows begin and end in one of the ways that its documentation leaves open."""

    org_id = "00D5g000004AbcDEAS"

    def __init__(self, *, from_start: bool, to_end: bool, most: int) -> None:
        self._from_start, self._to_end, self._most = from_start, to_end, most
        self.rows: list[tuple[str, datetime]] = []
        self.now = NOW

    def server_time(self) -> datetime:
        return self.now

    def get_json(self, _: str, window: dict[str, str], kind: Any) -> Any:
        start, end = (timestamps.parse(window[name]) for name in ("start", "end"))
        assert end - start > MINUTE
        found = [
            {"id": key, "deletedDate": timestamps.to_text(at)}
            for key, at in self.rows
            if start < at < end or (at == start and self._from_start) or (at == end and self._to_end)
        ]
        if len(found) > self._most:
            raise SalesforceError("too many", code="EXCEEDED_ID_LIMIT")
        answer = {"deletedRecords": found, "earliestDateAvailable": "2026-01-01T00:00:00Z"}
        covered = {"latestDateCovered": timestamps.to_text(min(end, self.now.replace(second=0)))}
        return msgspec.json.decode(msgspec.json.encode({**answer, **covered}), type=kind)


@pytest.mark.parametrize("from_start", [True, False])
@pytest.mark.parametrize("to_end", [True, False])
@pytest.mark.parametrize("most", [12, 1_000])
def test_a_delete_on_the_edge_of_a_window_is_told_once_whichever_window_it_is_in(
    from_start: bool, to_end: bool, most: int
) -> None:
    log = Log(from_start=from_start, to_end=to_end, most=most)
    session: Any = log
    begin = NOW.replace(second=0)
    log.rows = [(f"{number:015d}AAA", begin + timedelta(seconds=20 * number)) for number in range(1, 100)]
    reconciler = Reconciler(session, "v", enrich=False, now=lambda: READ_AT, log=logging.getLogger("reconcile"))
    told: list[str] = []
    since = begin
    for minutes in (1, 2, 10, 11, 40):
        log.now = NOW + minutes * MINUTE
        pages = list(reconciler.reconcile("Account", since))
        assert [page.complete_to for page in pages][-1] == begin + minutes * MINUTE
        assert not any(page.gap for page in pages)
        told += [str(event.record_id) for event in told_by(iter(pages))]
        since = begin + minutes * MINUTE
    assert told == [key for key, _ in log.rows]
