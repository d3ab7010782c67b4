"""Reading event logs: XES, XES.gz and CSV give the same cases; a bad file gives one sentence and leaves nothing."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from localcloud.seed import SeedError, seed_org
from localcloud.seed.event_log import read_cases

if TYPE_CHECKING:
    from pathlib import Path

XES = """<?xml version="1.0" encoding="UTF-8"?>
<log xes.version="1.0" xmlns="http://www.xes-standard.org/">
  <global scope="event"><string key="concept:name" value="none"/></global>
  <trace>
    <string key="concept:name" value="one"/>
    <string key="AMOUNT_REQ" value="5000"/>
    <event>
      <string key="concept:name" value="Begin &amp; wait"/>
      <string key="org:resource" value="7"/>
      <string key="lifecycle:transition" value="COMPLETE"/>
      <date key="time:timestamp" value="2024-01-01T01:00:00.900+01:00"/>
    </event>
    <event>
      <string key="concept:name" value="End"/>
      <date key="time:timestamp" value="2024-01-01T00:00:01Z"/>
    </event>
  </trace>
  <trace><string key="concept:name" value="empty"/></trace>
</log>
"""
CSV = (
    "amount,case,activity,resource,timestamp\r\n"
    "5,one,Begin,7,2024-01-01T01:00:00+01:00\r\n"
    ",one,End,,2024-01-01T00:00:01\r\n"
)


def test_xes_gives_cases_with_utc_times_floored_to_the_second(tmp_path: Path) -> None:
    log = tmp_path / "log.xes"
    log.write_text(XES)
    (case,) = read_cases(log)
    assert (case.name, case.attributes["AMOUNT_REQ"]) == ("one", "5000")
    assert [event.activity for event in case.events] == ["Begin & wait", "End"]
    assert [event.at for event in case.events] == [
        datetime(2024, 1, 1, 0, 0, 0, tzinfo=UTC),
        datetime(2024, 1, 1, 0, 0, 1, tzinfo=UTC),
    ]
    assert [event.resource for event in case.events] == ["7", None]
    assert [event.lifecycle for event in case.events] == ["complete", "complete"]


def test_packed_xes_gives_the_same_cases(tmp_path: Path) -> None:
    plain, packed = tmp_path / "log.xes", tmp_path / "log.xes.gz"
    plain.write_text(XES)
    packed.write_bytes(gzip.compress(XES.encode()))
    assert list(read_cases(plain)) == list(read_cases(packed))


def test_csv_gives_cases_whatever_the_order_of_its_columns(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_bytes(b"\xef\xbb\xbf" + CSV.encode())
    (case,) = read_cases(log)
    assert [(event.activity, event.resource) for event in case.events] == [("Begin", "7"), ("End", None)]
    assert case.events[0].at == datetime(2024, 1, 1, tzinfo=UTC)


BAD = {
    "missing": ("log.xes", None, "There is no event log at"),
    "unknown kind": ("log.parquet", b"PAR1", "is not an event log"),
    "empty": ("log.xes", b"", "is damaged or not what its name says"),
    "not xml": ("log.xes", b"\x00\x01\x02", "is damaged or not what its name says"),
    "cut short": ("log.xes", XES[:-60].encode(), "is damaged or not what its name says"),
    "another xml": ("log.xes", b"<html><body/></html>", "its root is <html>"),
    "no cases": ("log.xes", b"<log></log>", "holds no case"),
    "not packed": ("log.xes.gz", XES.encode(), "is damaged or not what its name says"),
    "packed and cut short": ("log.xes.gz", gzip.compress(XES.encode())[:-30], "is damaged or not what its name says"),
    "no time": ("log.xes", XES.replace("time:timestamp", "time").encode(), "an event without time:timestamp"),
    "no such time": ("log.xes", XES.replace("T00:00:01Z", "T25:00").encode(), "a time that is not ISO 8601"),
    "columns": ("log.csv", b"case,activity,timestamp\na,b,2024-01-01\n", "lacks the columns resource, amount"),
    "short row": ("log.csv", CSV.replace(",7,", ",").encode(), "line 2, has fewer values"),
    "not text": ("log.csv", b"case,activity,timestamp,resource,amount\n\xff\xfe,,,,\n", "is damaged"),
    "only a header": ("log.csv", b"case,activity,timestamp,resource,amount\n", "holds no case"),
    "no amount": ("log.csv", CSV.replace("\n5,", "\nmuch,").encode(), "an amount that is not a number: 'much'"),
}


@pytest.mark.parametrize(("name", "content", "sentence"), BAD.values(), ids=BAD)
def test_a_bad_file_gives_one_sentence_and_leaves_nothing(
    tmp_path: Path, name: str, content: bytes | None, sentence: str
) -> None:
    log, place = tmp_path / name, tmp_path / "place"
    place.mkdir()
    if content is not None:
        log.write_bytes(content)
    with pytest.raises(SeedError) as error:
        seed_org(place / "org", event_log=log, as_="opportunity")
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)
    assert list(place.iterdir()) == []


def test_an_approval_needs_activities_of_an_approval(tmp_path: Path) -> None:
    log = tmp_path / "log.xes"
    log.write_text(XES)
    with pytest.raises(SeedError, match="no activity like"):
        seed_org(tmp_path / "org", event_log=log, as_="approval")
    assert not (tmp_path / "org").exists()


def test_a_log_needs_to_be_told_what_its_cases_become(tmp_path: Path) -> None:
    with pytest.raises(SeedError, match="go together"):
        seed_org(tmp_path / "org", event_log=tmp_path / "log.xes")


def test_an_org_is_never_overwritten(tmp_path: Path) -> None:
    seed_org(tmp_path / "org", events=50)
    before = (tmp_path / "org" / "truth.jsonl").read_bytes()
    with pytest.raises(SeedError, match="holds an org already"):
        seed_org(tmp_path / "org", events=60)
    assert (tmp_path / "org" / "truth.jsonl").read_bytes() == before
