"""Metadata as rows: definitions, permissions and channels, for the Tooling API and, in part, the data API."""

from __future__ import annotations

import re
import sqlite3
from typing import TYPE_CHECKING

import msgspec

from localcloud.salesforce import describe, tooling_rows
from localcloud.salesforce.errors import ApiError, SoqlError
from localcloud.salesforce.functions import register
from localcloud.salesforce.pubsub import settings as pubsub_settings
from localcloud.salesforce.queries import PAGE_ROWS, Page
from localcloud.salesforce.schema.metadata import DEFINITIONS, PERMISSIONS, TOOLING
from localcloud.salesforce.sobject import Schema
from localcloud.salesforce.soql.compiler import compile_soql
from localcloud.salesforce.soql.parser import parse
from localcloud.salesforce.storage import HIDDEN_DELETED, converter, create_statements
from localcloud.salesforce.wire import Answer

if TYPE_CHECKING:
    from localcloud.salesforce.org import Org
    from localcloud.salesforce.sobject import SObject
    from localcloud.salesforce.wire import Call

_DATA_API = (*DEFINITIONS, *PERMISSIONS)
_TOOLING_API = (*DEFINITIONS, *TOOLING)
_MENTIONED = re.compile("|".join(sobject.name for sobject in _DATA_API), re.IGNORECASE)


class Tooling:
    """Answers questions about the metadata of an org, as one user sees it.

    The rows are made anew whenever what the user sees, or a channel, has changed. Sources: Tooling API
    guide, "EntityDefinition", "FieldDefinition", "EntityParticle", "SOQL Operation Limitations",
    "PlatformEventChannel", "PlatformEventChannelMember".

    Args:
        org: The org.
    """

    def __init__(self, org: Org) -> None:
        self._org = org
        self._db: sqlite3.Connection | None = None
        self._made_of: tuple[object, ...] = ()
        self._described: tuple[Schema, Schema] = (org.schema, Schema([*org.schema, *_DATA_API]))

    def close(self) -> None:
        """Forget the rows."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def with_metadata(self, seen: Schema) -> Schema:
        """What the data API describes: the user's objects and those whose rows are metadata."""
        if self._described[0] is not seen:
            self._described = (seen, Schema([*seen, *_DATA_API]))
        return self._described[1]

    def asks(self, statement: str) -> bool:
        """Whether a statement of the data API is about metadata."""
        if _MENTIONED.search(statement) is None:
            return False
        try:
            name = parse(statement).source.text.lower()
        except SoqlError:
            return False
        return any(sobject.name.lower() == name for sobject in _DATA_API)

    def run(self, statement: str, seen: Schema, version: float) -> Page:
        """The answer of the data API to a statement about metadata.

        Raises:
            SoqlError: The statement is not right, or has more rows than one batch.
        """
        total, records = self._select(statement, Schema(_DATA_API), seen, version)
        return Page(f'{{"totalSize":{total},"done":true,"records":[{",".join(records)}]}}'.encode(), len(records))

    def answer(self, steps: list[str], call: Call, seen: Schema, version: float) -> Answer:
        """The answer to a call under `/services/data/vXX.X/tooling`.

        Raises:
            ApiError: There is no such resource, or the statement is not right.
        """
        schema = Schema(_TOOLING_API)
        match steps:
            case []:
                root = f"/services/data/v{version:.1f}/tooling"
                return Answer(200, msgspec.json.encode({name: f"{root}/{name}" for name in ("query", "sobjects")}))
            case ["query" | "queryAll"]:
                return self._query(call.parameter("q") or "", schema, seen, version)
            case ["sobjects"]:
                return Answer(200, _moved(describe.describe_global(schema, version), version))
            case ["sobjects", name, "describe"] if found := schema.get(name):
                return Answer(200, _moved(describe.describe(found, schema, version), version))
        raise ApiError(404, "NOT_FOUND", "The requested resource does not exist")

    def _query(self, statement: str, schema: Schema, seen: Schema, version: float) -> Answer:
        total, records = self._select(statement, schema, seen, version)
        name = parse(statement).source.text
        found = schema.get(name)
        head = {
            "size": len(records),
            "totalSize": total,
            "done": True,
            "queryLocator": None,
            "entityTypeName": found.name if found else name,
        }
        start = msgspec.json.encode(head).decode()[:-1]
        return Answer(200, _moved(f'{start},"records":[{",".join(records)}]}}'.encode(), version), len(records))

    def _select(self, statement: str, schema: Schema, seen: Schema, version: float) -> tuple[int, list[str]]:
        plan = compile_soql(statement, schema, version, self._org.clock.now())
        db = self._rows(seen)
        if plan.kind == "count":
            return int(db.execute(plan.sql).fetchone()[0]), []
        found = [row[0] for row in db.execute(plan.sql)]
        if len(found) > PAGE_ROWS:
            raise SoqlError(
                "EXCEEDED_ID_LIMIT",
                f"{plan.sobject} does not support queryMore(), use LIMIT to restrict the results to a single batch",
            )
        if plan.kind == "groups":
            return len(found), found
        return len(found), [row[0] for row in db.execute(plan.page_sql, (str(found),))]

    def _rows(self, seen: Schema) -> sqlite3.Connection:
        channels = pubsub_settings.load(self._org.db)
        made_of = (seen, channels)
        if self._db is not None and made_of == self._made_of:
            return self._db
        self.close()
        db = self._db = sqlite3.connect(":memory:", check_same_thread=False)
        register(db)
        rows = tooling_rows.rows(self._org, seen, channels)
        for sobject in (*_DATA_API, *TOOLING):
            _fill(db, sobject, rows.get(sobject.name, []))
        self._made_of = made_of
        return db


def _fill(db: sqlite3.Connection, sobject: SObject, rows: list[tooling_rows.Row]) -> None:
    table, *_ = create_statements(sobject)  # without its indexes: rows of metadata share one id
    db.execute(table)
    plan = [(field.name, converter(field)) for field in sobject.fields]
    names = [*(name for name, _ in plan), HIDDEN_DELETED]
    marks = ", ".join("?" * len(names))
    listed = ", ".join(f'"{name}"' for name in names)
    values = [[*(convert(row.get(name)) for name, convert in plan), 0] for row in rows]
    db.executemany(f'INSERT INTO "{sobject.name}" ({listed}) VALUES ({marks})', values)


def _moved(body: bytes, version: float) -> bytes:
    """An answer of the data API with the addresses of the Tooling API."""
    root = f"/services/data/v{version:.1f}/".encode()
    return body.replace(root + b"sobjects", root + b"tooling/sobjects")
