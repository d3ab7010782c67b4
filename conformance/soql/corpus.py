"""The SOQL corpus, the small org that it asks, and statements damaged on purpose."""

from __future__ import annotations

import json
import random
import re
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import yaml

from localcloud.clock import OrgClock
from localcloud.salesforce.fields import flag, ident, number, picklist, text
from localcloud.salesforce.org import Org
from localcloud.salesforce.queries import Queries
from localcloud.salesforce.schema import OBJECTS
from localcloud.salesforce.sobject import DECIMAL_TYPES, Field, SObject

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path(__file__).resolve().parent.parent.parent / "localcloud/tests/salesforce/soql_corpus"
NOW = datetime(2024, 5, 15, 12, 0, tzinfo=UTC)
SITE = SObject(
    "Site__c",
    "a0S",
    (
        ident(),
        flag("IsDeleted"),
        text("Name", 80, name_field=True),
        Field("Tags__c", "multipicklist", length=4099, values=("Red", "Green", "Blue")),
        number("Floor__c", "double", 18, 2),
        picklist("Kind__c", "Yard", "Office", "Depot"),
        flag("Open__c"),
    ),
    label="Site",
)
"""A custom object with a multi-select picklist, which no object of a new org has."""
DOCUMENTED = frozenset(
    {
        "BIG_OBJECT_UNSUPPORTED_OPERATION",
        "EXCEEDED_ID_LIMIT",
        "EXTERNAL_OBJECT_UNSUPPORTED_EXCEPTION",
        "INVALID_FIELD",
        "INVALID_OPERATION",
        "INVALID_QUERY_FILTER_OPERATOR",
        "INVALID_TYPE",
        "MALFORMED_QUERY",
        "NUMBER_OUTSIDE_VALID_RANGE",
        "QUERY_TIMEOUT",
        "QUERY_TOO_COMPLICATED",
    }
)
"""The error codes that a query may answer with ("Core Data Types Used in API Calls", ExceptionCode)."""


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One statement: the section of the reference that it stands for, and what it must give.

    Exactly one of `rows` (values in order), `total` (of a COUNT()), `count` (of records) and `error` is set;
    `keys` are the names in each record, `message` is part of the error's.
    """

    section: str
    soql: str
    rows: list[Any] | None = None
    keys: list[str] | None = None
    total: int | None = None
    count: int | None = None
    error: str | None = None
    message: str = ""
    version: float = 60.0
    all_rows: bool = False


def entries() -> list[Entry]:
    """All statements of the corpus, in a fixed order."""
    files = sorted(path for path in FOLDER.glob("*.yaml") if path.name != "rows.yaml")
    return [msgspec.convert(entry, Entry) for path in files for entry in yaml.safe_load(path.read_text("utf-8"))]


def create_org(path: Path) -> Org:
    """A new org in a folder, with the objects and the clock of the corpus; its rows come with an `Asker`."""
    return Org.create(path, clock=OrgClock(NOW, real=lambda: 0.0), objects=(*OBJECTS, SITE))


class Asker:
    """Fills an org with the rows of the corpus, and asks it.

    Args:
        org: A new org.
    """

    def __init__(self, org: Org) -> None:
        self._org = org
        self._queries = Queries(org)
        self._ids: dict[str, str] = {}
        rows: dict[str, dict[str, dict[str, Any]]] = yaml.safe_load((FOLDER / "rows.yaml").read_text("utf-8"))
        for sobject, records in rows.items():
            for place, label in enumerate(records):
                self._ids[label] = org.new_id(sobject, place)
        for sobject, records in rows.items():
            org.load(sobject, [self._row(sobject, label, record) for label, record in records.items()])
        self._labels = {identifier: label for label, identifier in self._ids.items()}

    def _row(self, name: str, label: str, record: dict[str, Any]) -> dict[str, Any]:
        sobject = self._org.schema.get(name)
        assert sobject is not None, name
        row: dict[str, Any] = {"Id": self._ids[label]}
        for field_name, value in record.items():
            type_ = sobject.by_name[field_name.lower()].type
            if type_ == "reference":
                row[field_name] = self._ids[value]
            else:
                row[field_name] = Decimal(value) if type_ in DECIMAL_TYPES else value
        return row

    def text(self, entry: Entry) -> str:
        """The statement with ids for labels such as `{A1}`; `{x9}` stands for nine letters."""

        def replace(match: re.Match[str]) -> str:
            label = match.group(1)
            return "x" * int(label[1:]) if label[0] == "x" else self._ids[label]

        return re.sub(r"\{(\w+)\}", replace, entry.soql)

    def ask(self, statement: str, *, version: float = 60.0, all_rows: bool = False) -> dict[str, Any]:
        """The decoded answer.

        Raises:
            ApiError: The org refuses the statement.
        """
        page = self._queries.run(statement, self._org.schema, version, all_rows=all_rows)
        answer: dict[str, Any] = json.loads(page.body)
        return answer

    def values(self, records: list[dict[str, Any]]) -> list[Any]:
        """Each record without its attributes: a bare value or a list of them; labels stand for ids."""
        found = [[self._value(value) for name, value in record.items() if name != "attributes"] for record in records]
        return [record[0] if len(record) == 1 else record for record in found]

    def _value(self, value: Any) -> Any:
        if isinstance(value, dict):
            if "records" in value:
                return self.values(value["records"])
            return [self._value(inner) for name, inner in value.items() if name != "attributes"]
        return self._labels.get(value, value) if isinstance(value, str) else value


# Damaged statements

_TOKEN = re.compile(r"\s+|[\w.]+|'(?:[^'\\]|\\.)*'|.", re.DOTALL)
_CHARACTERS = "'\"\\()%_,.:;=<>!+-*/?$#@{}[]|&~`^ \t\n\r\f\0\x0b\x7fazAZ059é日\u00a0\u2028\ufeff\U0001f600\ud800"
_NASTY = (
    "NULL", "TRUE", "''", "'\\'", "'\\u0000'", "(SELECT Id FROM Account)", "((((", "))))", ",,",
    "LAST_N_DAYS:999999999", "N_YEARS_AGO:2024", "9" * 60, "1.5e400", "0x1", "--", "/*", "USD5", "USD-", "2024-13-45",
    "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00", "rowid", "_visible_at", "sqlite_master", "t0", "COUNT()",
    "FIELDS(ALL)", "LIMIT 200", "ALL ROWS", "NOT", "%s", "%", "GROUPING(Id)", "FORMAT(",
    "DISTANCE(BillingAddress,GEOLOCATION(90,180),'km')", "Parent.Parent.Parent.Parent.Parent", "json_each", "x'00'",
    "?1", ":x", "FOR UPDATE", "WITH", "TYPEOF", "END",
)  # fmt: skip


def mutations(statements: list[str], *, seed: int) -> Iterator[str]:
    """Damaged statements without end, the same for the same seed.

    Each begins as one of the corpus and goes through one to five edits of tokens or characters: dropped,
    doubled, swapped, replaced (by one of its kind, mostly), inserted, cut, or joined with the end of another
    statement.
    """
    editor = _Editor(statements, random.Random(seed))  # noqa: S311 - the same on every run
    while True:
        yield editor.damaged()


class _Editor:
    def __init__(self, statements: list[str], chance: random.Random) -> None:
        self._statements = statements
        self._chance = chance
        self._words: dict[str, list[str]] = {}
        for token in sorted({token for statement in statements for token in _TOKEN.findall(statement)}):
            self._words.setdefault(_kind(token), []).append(token)
        self._all = [word for kind, words in self._words.items() if kind != "space" for word in words]

    def damaged(self) -> str:
        statement = self._chance.choice(self._statements)
        for _ in range(self._chance.choice((1, 1, 1, 1, 2, 2, 3, 5))):
            if self._chance.random() < 0.15:
                statement = self._characters(statement)
            else:
                statement = "".join(self._tokens(_TOKEN.findall(statement) or [""]))
        return statement

    def _tokens(self, tokens: list[str]) -> list[str]:
        chance = self._chance
        at = chance.randrange(len(tokens))
        match chance.randrange(14):
            case 0:
                del tokens[at]
            case 1:
                tokens.insert(at, tokens[at])
            case 2:
                other = chance.randrange(len(tokens))
                tokens[at], tokens[other] = tokens[other], tokens[at]
            case 3:
                tokens[at] = chance.choice(self._all)
            case 4:
                tokens.insert(at, f" {chance.choice(self._all)} ")
            case 5:
                tokens.insert(at, f" {chance.choice(_NASTY)} ")
            case 6:
                tokens = tokens[:at] + _TOKEN.findall(chance.choice(self._statements))[at:]
            case 7:
                end = min(len(tokens), at + chance.randint(1, 8))
                tokens[at:end] = ["(", *tokens[at:end], ")"] if chance.random() < 0.5 else []
            case _:
                tokens[at] = chance.choice(self._words[_kind(tokens[at])])
        return tokens

    def _characters(self, statement: str) -> str:
        chance = self._chance
        at = chance.randint(0, len(statement))
        end = min(len(statement), at + chance.randint(0, 3))
        return statement[:at] + "".join(chance.choices(_CHARACTERS, k=chance.randint(0, 3))) + statement[end:]


def _kind(token: str) -> str:
    if token.isspace():
        return "space"
    if token[:1] == "'" or token[:1].isdigit():
        return "value"
    if token.upper() in _KEYWORDS:
        return "keyword"
    if token[:1].isalpha():
        return "date" if "_" in token and token.isupper() else "name"
    return "operator"


_KEYWORDS = frozenset(
    {
        "ALL", "AND", "ASC", "AVG", "BY", "CALENDAR_MONTH", "CALENDAR_QUARTER", "CALENDAR_YEAR", "CONVERTCURRENCY",
        "CONVERTTIMEZONE", "COUNT", "COUNT_DISTINCT", "CUBE", "DAY_IN_WEEK", "DAY_ONLY", "DESC", "DISTANCE", "ELSE",
        "END", "EXCLUDES", "FIELDS", "FIRST", "FISCAL_YEAR", "FOR", "FORMAT", "FROM", "GEOLOCATION", "GROUP",
        "GROUPING", "HAVING", "HOUR_IN_DAY", "IN", "INCLUDES", "LAST", "LIKE", "LIMIT", "MAX", "MIN", "NOT", "NULL",
        "NULLS", "OFFSET", "OR", "ORDER", "REFERENCE", "ROLLUP", "ROWS", "SCOPE", "SELECT", "SUM", "THEN", "TOLABEL",
        "TRUE", "FALSE", "TYPEOF", "UPDATE", "USING", "VIEW", "WHEN", "WHERE", "WITH",
    }
)  # fmt: skip
