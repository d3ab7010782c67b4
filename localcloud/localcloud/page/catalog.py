"""The catalog's pages: assets to look for, one asset with its custom metadata and lineage, and what was asked."""

from __future__ import annotations

import secrets
from collections import Counter
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING

from localcloud.atlan.lineage import Lineage
from localcloud.atlan.types import DATASETS, PROCESSES, TYPES
from localcloud.page.answering import answer
from localcloud.page.html import Content, Html, element
from localcloud.page.layout import ROOT, Frame, document, figures, readable, section, table
from localcloud.page.overview import requests_table
from localcloud.salesforce.storage import instant_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from aiohttp import web

    from localcloud.atlan.assets import Asset
    from localcloud.atlan.definitions import AttributeDef
    from localcloud.atlan.store import Store
    from localcloud.atlan.types import Value
    from localcloud.journal import Journal

_SHOWN = 200
_REQUESTS = 15
_MANY_REQUESTS = 500
_LINEAGE_DEPTH = 5
_LINKS = (("/", "Catalog"), (f"{ROOT}/sets", "Custom metadata"), (f"{ROOT}/requests", "Requests"))
_FIRST = ("SalesforceObject", "SalesforceField", "Table", "View", "DbtModel", "Process", "Connection")
_HIDDEN = frozenset({"name", "qualifiedName", "announcementTitle", "announcementMessage", "announcementType"})


class CatalogPage:
    """The pages of a catalog.

    Args:
        store: The catalog's memory.
        journal: What it was asked.
    """

    def __init__(self, store: Store, journal: Journal) -> None:
        self._store = store
        self._journal = journal
        self._lineage = Lineage(store)

    def show(self, path: str, wanted: str) -> web.Response:
        """Answer a request.

        Args:
            path: `/`, or something under `/__localcloud__/page`.
            wanted: What is looked for: a part of a name, or empty.
        """
        now = f"{readable(instant_text(self._store.clock.now()))} UTC."
        frame = Frame(
            "Mock Atlan", now, "", secrets.token_urlsafe(12), str(self._journal.total), real="Atlan", links=_LINKS
        )
        page: bytes | None = None
        match path.removeprefix(ROOT).strip("/").split("/"):
            case [""]:
                page = self._overview(frame, wanted.strip())
            case ["asset", guid]:
                found = self._store.get(guid)
                page = None if found is None else self._asset(frame, found)
            case ["sets"]:
                page = self._sets(frame, path)
            case ["requests"]:
                newest = self._journal.newest(_MANY_REQUESTS)
                shown = requests_table(newest.requests, f"The newest {len(newest.requests)} of {newest.total:,}")
                page = document(frame, "Requests", path, section("requests", "Journal", shown, live=True))
        if page is None:
            missing = document(frame, "Not there", "", element("p", "There is no such page.", class_="notice bad"))
            return answer(missing, HTTPStatus.NOT_FOUND, frame.nonce)
        return answer(page, HTTPStatus.OK, frame.nonce)

    def _overview(self, frame: Frame, wanted: str) -> bytes:
        form = element(
            "form",
            element(
                "div", element("label", "Part of a name", for_="q"), element("input", id="q", name="q", value=wanted)
            ),
            element("button", "Look for it", type="submit"),
            method="get",
            action="/",
            class_="row",
        )
        newest = self._journal.newest(_REQUESTS)
        requests = requests_table(newest.requests, f"The newest {len(newest.requests)} of {newest.total:,}")
        return document(
            frame,
            "Catalog",
            "/",
            self._figures(),
            section("look", "Assets", form, self._found(wanted)),
            section("requests", "Requests", requests, live=True),
        )

    def _figures(self) -> Html:
        counts = Counter(one.type_name for one in self._store.assets() if one.active)
        pairs: list[tuple[str, Content]] = [(name, f"{counts[name]:,}") for name in TYPES if counts[name]]
        return section("figures", "What is catalogued", figures(pairs), live=True)

    def _found(self, wanted: str) -> Html:
        """Assets whose name has the wanted text in it; without any, the objects and the tables."""
        text = wanted.lower()
        found = [
            one
            for one in self._store.assets()
            if one.active
            and (
                text in one.name.lower() or text in str(one.attributes.get("apiName", "")).lower()
                if text
                else one.type_name in {"SalesforceObject", "Table", "View", "DbtModel"}
            )
        ]
        found.sort(key=lambda one: (_rank(one), one.name.lower(), one.qualified_name))
        if not found:
            return element("p", "Nothing has that in its name.", class_="quiet")
        rows = [
            (_link(one), one.type_name, _above(one), ", ".join(self._set_names(one)), _announced(one))
            for one in found[:_SHOWN]
        ]
        caption = f"{len(rows):,} of {len(found):,}" if len(found) > _SHOWN else f"{len(found):,}"
        return table(("Name", "Type", "In", "Custom metadata", "Announcement"), rows, caption=caption)

    def _set_names(self, asset: Asset) -> list[str]:
        return sorted(name for name, _ in self._sets_of(asset))

    def _sets_of(self, asset: Asset) -> list[tuple[str, list[tuple[AttributeDef, Value]]]]:
        """What people see on an asset: the values of each set, by its name."""
        shown = []
        for name, values in asset.custom_metadata.items():
            found = self._store.definitions.get(name)
            if found is None:
                continue
            seen = [one for one in found.attribute_defs if one.name in values and one.is_shown_on(asset)]
            if seen:
                shown.append((found.display_name, [(one, values[one.name]) for one in seen]))
        return shown

    def _asset(self, frame: Frame, asset: Asset) -> bytes:
        head = element(
            "div",
            element("span", asset.type_name, class_="tag"),
            element("code", asset.qualified_name),
            None if asset.active else element("span", "archived", class_="tag bad"),
            class_="row",
        )
        announced = asset.attributes.get("announcementTitle")
        notice = None
        if announced:
            said = (element("strong", str(announced)), " ", str(asset.attributes.get("announcementMessage") or ""))
            bad = str(asset.attributes.get("announcementType")) in {"issue", "warning"}
            notice = element("p", said, class_="notice bad" if bad else "notice")
        left = (section("custom", "Custom metadata", self._custom(asset), live=True), self._lineage_of(asset))
        return document(
            frame,
            asset.name,
            "",
            notice,
            head,
            element(
                "div", element("div", left), element("div", _properties(asset), self._parts(asset)), class_="columns"
            ),
        )

    def _custom(self, asset: Asset) -> Content:
        parts: list[Content] = []
        for name, values in self._sets_of(asset):
            rows = [(one.display_name, _shown(one, value)) for one, value in values]
            parts += [element("h3", name), table(("Attribute", "Value"), rows)]
        return parts or element("p", "There is none.", class_="quiet")

    def _lineage_of(self, asset: Asset) -> Html | None:
        if asset.type_name not in DATASETS | PROCESSES:
            return None
        parts: list[Content] = []
        sides: tuple[tuple[str, Iterable[tuple[Asset, int]]], ...] = (
            ("Comes from", self._lineage.walk(asset, _LINEAGE_DEPTH, "INPUT")),
            ("Leads to", self._lineage.walk(asset, _LINEAGE_DEPTH, "OUTPUT")),
        )
        for heading, way in sides:
            rows = [(_link(one), one.type_name, _above(one), str(level)) for one, level in way if one.active]
            if rows:
                parts += [element("h3", heading), table(("Name", "Type", "In", "#Steps"), rows)]
        return section("lineage", "Lineage", parts or element("p", "Nothing is known.", class_="quiet"), live=True)

    def _parts(self, asset: Asset) -> Html | None:
        """What belongs to it: the fields of an object, the tables of a schema, ..."""
        below = {"object", "organization", "database", "atlanSchema", "table"}
        parts = [
            one
            for one in self._store.assets()
            if one.active and any(asset.guid in one.references.get(name, ()) for name in below)
        ]
        if not parts:
            return None
        parts.sort(key=lambda one: one.name.lower())
        rows = [
            (_link(one), str(one.attributes.get("apiName") or ""), ", ".join(self._set_names(one))) for one in parts
        ]
        return section("parts", f"{len(parts)} parts", table(("Name", "API name", "Custom metadata"), rows))

    def _sets(self, frame: Frame, path: str) -> bytes:
        parts: list[Content] = []
        for at, one in enumerate(sorted(self._store.definitions, key=lambda one: one.display_name)):
            holders = sum(one.name in asset.custom_metadata for asset in self._store.assets())
            rows = [
                (
                    each.display_name,
                    each.type_name,
                    element("code", each.name),
                    element("span", "archived", class_="tag bad") if each.archived else "",
                )
                for each in one.attribute_defs
            ]
            about = element("p", element("code", one.name), f" on {holders:,} assets")
            shown = table(("Attribute", "Type", "Id", "State"), rows)
            parts.append(section(f"set-{at}", one.display_name, about, shown))
        return document(frame, "Custom metadata", path, parts)


def _link(asset: Asset) -> Html:
    return element("a", asset.name, href=f"{ROOT}/asset/{asset.guid}")


def _rank(asset: Asset) -> int:
    return _FIRST.index(asset.type_name) if asset.type_name in _FIRST else len(_FIRST)


def _above(asset: Asset) -> str:
    """Where an asset lies, in words: the connection, and the schema of a table."""
    names = [asset.attributes.get(name) for name in ("connectionName", "databaseName", "schemaName", "tableName")]
    return " / ".join(str(name) for name in names if name)


def _announced(asset: Asset) -> Content:
    title = asset.attributes.get("announcementTitle")
    return element("span", str(title), class_="tag bad") if title else ""


def _properties(asset: Asset) -> Html:
    rows: Sequence[tuple[str, str]] = [
        *((name, _text(value)) for name, value in sorted(asset.attributes.items()) if name not in _HIDDEN),
        ("created", f"{_moment(asset.created_at)} by {asset.created_by}"),
        ("updated", f"{_moment(asset.updated_at)} by {asset.updated_by}"),
        ("GUID", asset.guid),
    ]
    return section("properties", "Properties", table(("Name", "Value"), rows), live=True)


def _shown(attribute: AttributeDef, value: Value) -> str:
    if attribute.type_name == "date" and isinstance(value, int):
        return _moment(value)
    return _text(value)


def _text(value: Value) -> str:
    if isinstance(value, list):
        return ", ".join(str(one) for one in value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _moment(at_ms: int) -> str:
    try:
        return readable(datetime.fromtimestamp(at_ms / 1_000, UTC).isoformat())
    except (OverflowError, ValueError, OSError):
        return str(at_ms)
