"""The floors: the same bytes through the same work in one bare loop, without the SDK and without the tap.

    python benchmarks/floor.py rest|bulk2

Reads `{"url", "token", "api_version", "ca_bundle"}` as JSON on standard input, writes RECORD lines to standard output.
"""

from __future__ import annotations

import io
import json
import sys
import time
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec
import requests

from microdecisions import values
from microdecisions.actors import Actor
from tap_salesforce_temporal.normalise import Extraction, field_change
from tap_salesforce_temporal.reading.cells import rows_of
from tap_salesforce_temporal.reading.rest import QueryPage
from tap_salesforce_temporal.sources import Source

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE = Source(
    stream="opportunity_field_history",
    sobject="OpportunityFieldHistory",
    kind="field_history",
    cursor="CreatedDate",
    fields=("Id", "Field", "OldValue", "NewValue", "CreatedById", "CreatedDate", "DataType", "OpportunityId"),
    parent="Opportunity",
    parent_field="OpportunityId",
)
STATEMENT = f"SELECT {', '.join(SOURCE.fields)} FROM {SOURCE.sobject}"  # noqa: S608 - constants above
TIMEOUT_S = 300
Rows = list[field_change.FieldHistoryRow]


class Line(msgspec.Struct, gc=False, tag_field="type", tag="RECORD"):
    """A RECORD message."""

    stream: str
    record: msgspec.Struct
    time_extracted: str


class Actors(dict[str | None, Actor]):
    """Every user is known by its id alone."""

    def __missing__(self, user_id: str | None) -> Actor:
        self[user_id] = actor = Actor(user_id, "user", None)
        return actor


def rest(session: requests.Session, asked: dict[str, str], row_type: type[Any]) -> Iterator[Rows]:
    """Pages by queryAll."""
    decoder: msgspec.json.Decoder[QueryPage[field_change.FieldHistoryRow]]
    decoder = values.page_decoder(QueryPage[row_type])  # type: ignore[valid-type]
    path: str | None = f"/services/data/v{asked['api_version']}/queryAll"
    options: dict[str, Any] = {"params": {"q": STATEMENT}}
    while path is not None:
        answer = session.get(asked["url"] + path, timeout=TIMEOUT_S, **options)
        answer.raise_for_status()
        page = decoder.decode(answer.content)
        yield page.rows
        path, options = page.next_url, {}


def bulk2(session: requests.Session, asked: dict[str, str], row_type: type[Any]) -> Iterator[Rows]:
    """Sets of results of one job."""
    root = f"{asked['url']}/services/data/v{asked['api_version']}/jobs/query"
    job = session.post(root, json={"operation": "queryAll", "query": STATEMENT}, timeout=TIMEOUT_S).json()
    pause = 0.2
    while (state := session.get(f"{root}/{job['id']}", timeout=TIMEOUT_S).json()["state"]) != "JobComplete":
        if state in {"Failed", "Aborted"}:
            sys.exit(f"the job ended as {state}")
        time.sleep(pause)
        pause *= 2
    locator = ""
    while locator != "null":
        options = {"maxRecords": "50000", **({"locator": locator} if locator else {})}
        answer = session.get(f"{root}/{job['id']}/results", params=options, timeout=TIMEOUT_S)
        answer.raise_for_status()
        rows = rows_of(io.BytesIO(answer.content), row_type)
        while page := list(islice(rows, 2_000)):
            yield page
        locator = answer.headers["Sforce-Locator"]


def main() -> None:
    """Run the loop."""
    asked = json.load(sys.stdin)
    session = requests.Session()
    session.trust_env = False
    session.verify = asked["ca_bundle"]
    session.headers["Authorization"] = f"Bearer {asked['token']}"
    row_type = field_change.row_type("OpportunityId")
    encoder = msgspec.json.Encoder()
    api = sys.argv[1]
    extraction = Extraction(
        "00D000000000001EAA", "2026-01-01T00:00:00.000000Z", "floor", "rest" if api == "rest" else "bulk"
    )
    actors = Actors()
    out = sys.stdout.buffer
    for rows in {"rest": rest, "bulk2": bulk2}[api](session, asked, row_type):
        events = field_change.field_changes(rows, SOURCE, actors, extraction)
        out.write(encoder.encode_lines([Line(SOURCE.stream, event, extraction.extracted_at) for event in events]))
    out.flush()


if __name__ == "__main__":
    main()
