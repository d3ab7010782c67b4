"""The floor: the same pages through the same work in one bare loop, without the SDK and without the tap.

Reads `{"url", "token", "api_version"}` as JSON on standard input, writes RECORD lines to standard output, and its count
of rows and calls to standard error.
"""

from __future__ import annotations

import json
import sys

import msgspec
import requests

from microdecisions import values
from tap_salesforce_temporal.actors import Actor
from tap_salesforce_temporal.normalise import Extraction, field_change
from tap_salesforce_temporal.reading.rest import QueryPage
from tap_salesforce_temporal.sources import Source

SOURCE = Source(
    stream="opportunity_field_history",
    sobject="OpportunityFieldHistory",
    kind="field_history",
    cursor="CreatedDate",
    fields=("Id", "Field", "OldValue", "NewValue", "CreatedById", "CreatedDate", "DataType", "OpportunityId"),
    parent="Opportunity",
    parent_field="OpportunityId",
)


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


def main() -> None:
    """Run the loop."""
    asked = json.load(sys.stdin)
    session = requests.Session()
    session.trust_env = False
    session.headers["Authorization"] = f"Bearer {asked['token']}"
    row_type = field_change.row_type("OpportunityId")
    decoder: msgspec.json.Decoder[QueryPage[field_change.FieldHistoryRow]]
    decoder = values.page_decoder(QueryPage[row_type])  # type: ignore[valid-type]
    encoder = msgspec.json.Encoder()
    extraction = Extraction("00D000000000001EAA", "2026-01-01T00:00:00.000000Z", "floor", "rest")
    actors = Actors()
    out = sys.stdout.buffer
    statement = f"SELECT {', '.join(SOURCE.fields)} FROM {SOURCE.sobject}"  # noqa: S608  # constants above
    answer = session.get(
        f"{asked['url']}/services/data/v{asked['api_version']}/queryAll", params={"q": statement}, timeout=130
    )
    rows = calls = 0
    while True:
        answer.raise_for_status()
        page = decoder.decode(answer.content)
        events = field_change.field_changes(page.rows, SOURCE, actors, extraction)
        out.write(encoder.encode_lines([Line(SOURCE.stream, event, extraction.extracted_at) for event in events]))
        rows += len(events)
        calls += 1
        if page.next_url is None:
            break
        answer = session.get(asked["url"] + page.next_url, timeout=130)
    out.flush()
    print(json.dumps({"rows": rows, "calls": calls}), file=sys.stderr)


if __name__ == "__main__":
    main()
