"""The check of the catalog notices every kind of difference; it is run as the demo runs it, on a catalog of JSON."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

CHECK = Path(__file__).parents[1] / "demo" / "figures.py"
Json = dict[str, Any]

STATUS = {"field": "Status", "type": "picklist"}
TRUTH: list[Json] = [
    {"at": "2024-01-01T10:00:00Z", "actor": "u1", "action": "create", "object": "Case", "record": "c1", "changes": []},
    {
        "at": "2024-01-20T10:00:00Z", "actor": "u1", "action": "update", "object": "Case", "record": "c1",
        "changes": [{**STATUS, "old": "New", "new": "Closed"}],
    },
    {
        "at": "2024-01-30T10:00:00Z", "actor": "u2", "action": "update", "object": "Case", "record": "c1",
        "changes": [{**STATUS, "old": "Closed", "new": "New"}],
    },
    {"at": "2024-01-31T10:00:00Z", "actor": "u1", "action": "delete", "object": "Case", "record": "c1"},
]  # fmt: skip
LAST = 1_706_608_800_000  # 30 January 2024, 10:00, in milliseconds
NAMES = (
    "Last change", "Last changed field", "Last changed by", "Changes", "Deletes", "Changes in 7 days",
    "Changes in 30 days", "Stage changes", "Approval decisions", "Approvals rejected", "Quality score", "Ledger",
)  # fmt: skip


def catalog() -> dict[str, Json]:
    """What the truth above must become, seen on 1 February 2024."""
    shared: Json = {"Last change": LAST, "Last changed by": "u2", "Changes in 7 days": 1, "Changes in 30 days": 2}
    case: Json = {**shared, "Last changed field": "Status", "Changes": 3, "Deletes": 1, "Quality score": 95}
    field: Json = {**shared, "Changes": 2, "Quality score": 100}
    return {
        "connection": asset("Connection", "sf", Ledger=note("2024-02-01T12:00:00.000000Z")),
        "case": asset("SalesforceObject", "Case", **case),
        "status": asset("SalesforceField", "Status", objectQualifiedName="q/Case", **field),
        "reason": asset("SalesforceField", "Reason", objectQualifiedName="q/Case"),
        "schema": asset("Schema", "SALESFORCE"),
        "table": asset("Table", "CASE_HISTORY", schemaQualifiedName="q/SALESFORCE"),
        "foreign": asset("Table", "CASE_HISTORY", schemaQualifiedName="q/OTHER"),
        "process": asset("Process", "p", inputs=[{"guid": "Case"}], outputs=[{"guid": "CASE_HISTORY"}]),
    }


def note(as_of: str) -> str:
    return json.dumps({"ledger": "l", "generation": 1, "as_of": as_of})


def asset(kind: str, name: str, **more: object) -> Json:
    attributes: Json = {"name": name, "apiName": name, "qualifiedName": f"q/{name}"}
    attributes |= {f"set.{key}" if key in NAMES else key: value for key, value in more.items()}
    guid = name if more.get("schemaQualifiedName") != "q/OTHER" else "elsewhere"
    return {"typeName": kind, "guid": guid, "attributes": attributes}


class Catalog:
    """A server of the few answers that the check asks for."""

    def __init__(self) -> None:
        self.assets: dict[str, Json] = {}
        self.page = "<h2>Salesforce Activity</h2> <td>3</td>"
        shown = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                sets = {"displayName": "Salesforce Activity", "name": "set"}
                names = [{"displayName": name, "name": name} for name in NAMES]
                is_page = "/page/" in self.path
                body = (
                    shown.page if is_page else json.dumps({"businessMetadataDefs": [{**sets, "attributeDefs": names}]})
                )
                self._answer(body)

            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                kinds = asked["dsl"]["query"]["bool"]["filter"][0]["terms"]["__typeName.keyword"]
                self._answer(
                    json.dumps({"entities": [one for one in shown.assets.values() if one["typeName"] in kinds]})
                )

            def _answer(self, body: str) -> None:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)


@pytest.fixture
def shown() -> Iterator[Catalog]:
    made = Catalog()
    thread = Thread(target=made.server.serve_forever)
    thread.start()
    made.assets = copy.deepcopy(catalog())
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


def check(shown: Catalog, folder: Path) -> subprocess.CompletedProcess[str]:
    (folder / "truth.jsonl").write_text("".join(json.dumps(line) + "\n" for line in TRUTH), encoding="utf-8")
    (folder / "meta.json").write_text(
        json.dumps({"tracked_fields": {"Case": ["Status"]}, "clock": "2024-02-01T00:00:00+00:00"}), encoding="utf-8"
    )
    command = [sys.executable, str(CHECK), str(folder), "--atlan", f"http://127.0.0.1:{shown.server.server_port}"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_figures_that_equal_the_count_are_equal(shown: Catalog, tmp_path: Path) -> None:
    done = check(shown, tmp_path)
    assert done.returncode == 0, done.stderr
    said = "14 figures on 1 objects and 1 fields in Atlan (4 velocities above 0), 1 lineage processes  equal"
    assert said in done.stdout


def put(name: str, key: str, value: object) -> Callable[[Catalog], None]:
    def damage(shown: Catalog) -> None:
        shown.assets[name]["attributes"][key] = value

    return damage


def lose(name: str) -> Callable[[Catalog], None]:
    def damage(shown: Catalog) -> None:
        del shown.assets[name]

    return damage


def show_nothing(shown: Catalog) -> None:
    shown.page = "Salesforce Activity"


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (put("case", "set.Changes", 4), "Case: Changes is 4, not 3"),
        (put("case", "set.Deletes", 2), "Case: Deletes is 2, not 1"),
        (put("case", "set.Deletes", None), "Case: Deletes is None, not 1"),
        (put("case", "set.Changes in 7 days", 2), "Changes in 7 days is 2, not 1"),
        (put("case", "set.Changes in 30 days", 3), "Changes in 30 days is 3, not 2"),
        (put("case", "set.Stage changes", 1), "Stage changes is 1, not 0"),
        (put("case", "set.Approval decisions", 1), "Approval decisions is 1, not 0"),
        (put("case", "set.Quality score", 96), "Quality score is 96"),
        (put("case", "set.Last change", LAST + 1000), "Last change is"),
        (put("case", "set.Last changed by", "u1"), "the last change is of"),
        (put("case", "set.Last changed field", "Reason"), "the last change is of"),
        (put("status", "set.Changes", 3), "Case.Status: Changes is 3, not 2"),
        (put("reason", "set.Changes", 1), "Case.Reason: Changes is 1, not 0"),
        (lose("connection"), "no note of a ledger"),
        (put("connection", "set.Ledger", note("2024-02-02T00:00:01.000000Z")), "the org's clock showed 2024-02-01"),
        (put("connection", "set.Ledger", note("2024-01-31T23:59:59.000000Z")), "figures are as of 2024-01-31 23:59"),
        (lose("process"), "no lineage leads from Case to case_history"),
        (put("process", "outputs", [{"guid": "elsewhere"}]), "no lineage leads from Case to case_history"),
        (put("process", "inputs", [{"guid": "sf"}]), "lineage leads from None to case_history, without any event"),
        (show_nothing, "the page of Case does not show its 3 changes"),
    ],
)
def test_every_difference_in_the_catalog_is_noticed(
    damage: Callable[[Catalog], None], words: str, shown: Catalog, tmp_path: Path
) -> None:
    damage(shown)
    done = check(shown, tmp_path)
    assert done.returncode == 1
    assert words in done.stderr
    assert "DIFFERENT" in done.stdout
