"""A ledger that is lost, old, or another's never takes the place of what Atlan shows without being asked."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from asking_atlan import put_values
from event_making import record, record_line, schema_line, state_line
from running_target import Runs, carried

from localcloud.atlan.running import Running
from target_atlan_metadata.errors import AtlanError, LedgerLostError
from target_atlan_metadata.ledger import Ledger
from target_atlan_metadata.rebuild import fill
from target_atlan_metadata.target import TargetAtlanMetadata

NOW = datetime.now(UTC).replace(microsecond=0)
HOUR = timedelta(hours=1)
OLDER = "This ledger is an older copy"


def changes(*numbers: int, **more: Any) -> list[str]:
    return [schema_line(), *(record_line(number, at=NOW - HOUR, **more) for number in numbers)]


def other(runs: Runs) -> dict[str, Any]:
    return {"ledger_url": f"sqlite:///{runs.folder / 'other.db'}"}


def copy(runs: Runs, source: str, to: str) -> None:
    for end in ("", "-wal", "-shm"):
        (runs.folder / f"{to}{end}").unlink(missing_ok=True)
        if (runs.folder / f"{source}{end}").exists():
            shutil.copy(runs.folder / f"{source}{end}", runs.folder / f"{to}{end}")


def write_note(atlan: Running, text: str | None) -> None:
    """Put a text in the place of the ledger's note on the connection, or none."""
    connection = next(one for one in atlan.assets("Connection") if one.attributes["connectorName"] == "salesforce")
    put_values(atlan, connection.guid, {"Ledger": text})


def test_a_lost_ledger_is_refused_with_both_ways_out(runs: Runs, atlan: Running) -> None:
    runs(changes(1, 2))
    with pytest.raises(LedgerLostError) as refused:
        runs(changes(3), **other(runs))
    assert "`target-atlan-metadata rebuild`" in str(refused.value)
    assert "`allow_ledger_change`" in str(refused.value)
    assert carried(atlan, "Case")["Changes"] == 2
    runs(changes(3), **other(runs), allow_ledger_change=True)
    assert carried(atlan, "Case")["Changes"] == 1


def test_a_second_writer_is_refused_with_both_ways_out(runs: Runs) -> None:
    runs(changes(1), dry_run=False)
    runs(changes(2), **other(runs), allow_ledger_change=True)
    with pytest.raises(LedgerLostError) as refused:
        runs(changes(3))
    assert "Share one ledger by `ledger_url`" in str(refused.value)
    assert "`custom_metadata_name` of its own" in str(refused.value)


def test_an_older_copy_of_the_ledger_is_noticed(runs: Runs) -> None:
    runs(changes(1))
    copy(runs, "ledger.db", "copy.db")
    runs(changes(2))
    copy(runs, "copy.db", "ledger.db")
    with pytest.raises(LedgerLostError, match=OLDER):
        runs(changes(3))


def test_a_note_that_someone_changed_is_refused_and_can_be_written_over(runs: Runs, atlan: Running) -> None:
    runs(changes(1))
    write_note(atlan, "changed by hand")
    with pytest.raises(LedgerLostError, match="was changed by someone"):
        runs(changes(2))
    assert runs(changes(2), allow_ledger_change=True).counted == 1
    assert runs(changes(2)).writes == 0
    assert carried(atlan, "Case")["Changes"] == 2


def test_a_new_ledger_does_not_wipe_figures_whose_note_is_gone(runs: Runs, atlan: Running) -> None:
    runs([*changes(1, 2), *changes(3, record_type="Lead")])
    write_note(atlan, None)
    with pytest.raises(LedgerLostError, match="figures that this ledger did not write"):
        runs(changes(4), **other(runs))
    assert (carried(atlan, "Case")["Changes"], carried(atlan, "Lead")["Changes"]) == (2, 1)
    assert runs(changes(4)).cleared == 0  # the ledger that wrote them goes on
    write_note(atlan, None)
    assert runs(changes(4), **other(runs), allow_ledger_change=True).cleared == 2
    assert (carried(atlan, "Case")["Changes"], carried(atlan, "Lead")) == (1, {})


def test_a_copy_from_before_a_run_that_wrote_no_figure_is_noticed(runs: Runs, atlan: Running) -> None:
    """What it counted waits for a crawl: it is known to the newer ledger alone."""
    waiting = {"record_type": "Shipment__c", "field_name": "Amount__c"}
    runs(changes(1))
    copy(runs, "ledger.db", "copy.db")
    assert runs(changes(2, 3, **waiting)).written == 0
    copy(runs, "copy.db", "ledger.db")
    with pytest.raises(LedgerLostError, match=OLDER):
        runs(changes(4, **waiting))
    assert runs(changes(2, 3, 4, **waiting), allow_ledger_change=True).unresolved == {"Shipment__c": 3}


def test_an_older_copy_is_noticed_though_the_note_is_gone(runs: Runs, atlan: Running) -> None:
    runs(changes(1))
    copy(runs, "ledger.db", "copy.db")
    runs(changes(2, 3))
    copy(runs, "copy.db", "ledger.db")
    write_note(atlan, None)
    with pytest.raises(LedgerLostError, match="figures that this ledger did not write"):
        runs([])
    assert carried(atlan, "Case")["Changes"] == 3


def test_a_note_that_could_not_be_written_is_made_good(runs: Runs, atlan: Running, naps: list[float]) -> None:
    waiting = {"record_type": "Shipment__c", "field_name": "Amount__c"}
    runs(changes(1))
    copy(runs, "ledger.db", "copy.db")
    atlan.control(fail=[{"pattern": "POST /api/meta/entity/bulk", "status": 503, "times": None}])
    with pytest.raises(AtlanError):
        runs(changes(2, 3, **waiting))
    assert naps
    atlan.control(reset=True)
    assert (runs([]).written, runs([]).writes) == (0, 0)
    copy(runs, "copy.db", "ledger.db")
    with pytest.raises(LedgerLostError, match=OLDER):
        runs(changes(4, **waiting))


def test_a_replay_raises_no_generation(runs: Runs) -> None:
    runs(changes(1))
    copy(runs, "ledger.db", "copy.db")
    assert runs(changes(1)).writes == 0
    copy(runs, "copy.db", "ledger.db")
    assert runs(changes(1)).writes == 0


class Slow:
    """Input that comes in pieces."""

    def __init__(self, runs: Runs, *pieces: list[str]) -> None:
        self._runs = runs
        self._pieces = ["".join(f"{line}\n" for line in piece) for piece in pieces]

    def read(self, _size: int) -> str:
        """The next piece; before the last one the ledger is copied."""
        if len(self._pieces) == 1:
            copy(self._runs, "ledger.db", "copy.db")
        return self._pieces.pop(0) if self._pieces else ""


def test_a_copy_made_in_the_middle_of_a_run_is_an_older_one(runs: Runs, atlan: Running) -> None:
    minutes = count(0, 61)
    target = TargetAtlanMetadata(config=runs.config, monotonic=lambda: next(minutes))
    target.listen(Slow(runs, changes(1), [*changes(2, 3, record_type="Lead"), state_line(1)]))  # type: ignore[arg-type]
    assert carried(atlan, "Lead")["Changes"] == 2
    copy(runs, "copy.db", "ledger.db")
    with pytest.raises(LedgerLostError, match=OLDER):
        runs([])
    assert carried(atlan, "Lead")["Changes"] == 2


def test_a_rebuilt_ledger_takes_over_once_also_when_its_first_write_fails(
    runs: Runs, atlan: Running, naps: list[float]
) -> None:
    runs([*changes(1, 2), *changes(3, record_type="Lead")])
    file = runs.folder / "events.jsonl"
    file.write_text(json.dumps(record(1, at=NOW - HOUR)))
    with Ledger(other(runs)["ledger_url"]) as ledger:
        fill(ledger, [file])
    atlan.control(fail=[{"pattern": "POST /api/meta/entity/bulk", "status": 503, "times": None, "skip": 1}])
    with pytest.raises(AtlanError):  # the note is written, figures are not
        runs([], **other(runs))
    assert naps
    atlan.control(reset=True)
    runs(changes(4), allow_ledger_change=True)
    with pytest.raises(LedgerLostError, match="another pipeline"):
        runs([], **other(runs))
    assert (carried(atlan, "Case")["Changes"], carried(atlan, "Lead")["Changes"]) == (3, 1)


def test_a_dry_run_says_that_a_run_would_be_refused(runs: Runs, caplog: pytest.LogCaptureFixture) -> None:
    runs(changes(1))
    with caplog.at_level("WARNING"):
        runs(changes(2, record_type="Lead"), **other(runs), dry_run=True)
    assert "A run would end here: The ledger is new, but Atlan has figures of another one" in caplog.text
