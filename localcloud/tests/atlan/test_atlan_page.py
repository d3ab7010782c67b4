"""The catalog's page by plain HTTP: an asset with its custom metadata and lineage, as a person would look for it."""

from __future__ import annotations

import json
import re
from html import unescape
from html.parser import HTMLParser
from typing import Any

import requests

ROOT = "/__localcloud__/page"


class Reader(HTMLParser):
    """Reads a page: its texts, its links, and whether all that opens closes."""

    VOID = frozenset({"br", "hr", "img", "input", "link", "meta"})

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.texts: list[str] = []
        self.links: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attrs if name == "href"]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append(data.strip())

    @property
    def text(self) -> str:
        return " ".join(self.texts)


def page(catalog: Any, path: str, **parameters: str) -> Reader:
    answer = requests.get(catalog.server.url + path, params=parameters, timeout=30)
    assert answer.status_code == 200, answer.text
    assert "script-src 'nonce-" in answer.headers["Content-Security-Policy"]
    return Reader(answer.text)


def test_the_first_page_says_what_is_catalogued_and_what_was_asked(catalog: Any) -> None:
    catalog.search({"term": {"__typeName.keyword": "Table"}})
    shown = page(catalog, "/")
    assert "no real Atlan is touched" in shown.text
    assert "2026-03-02 12:00:00 UTC" in shown.text
    assert re.search(rf"\bSalesforceObject {len(catalog.server.assets('SalesforceObject'))}\b", shown.text)
    assert "POST /api/meta/search/indexsearch" in shown.text


def test_an_asset_is_found_by_a_part_of_its_name(catalog: Any) -> None:
    shown = page(catalog, "/", q="opportunity_field")
    table = catalog.asset("Table", "OPPORTUNITY_FIELD_HISTORY")
    assert f"{ROOT}/asset/{table.guid}" in shown.links
    stage = catalog.asset("SalesforceField", "StageName")
    assert f"{ROOT}/asset/{stage.guid}" in page(catalog, "/", q="stagename").links
    assert "Nothing has that in its name." in page(catalog, "/", q="zzz").text


def test_an_asset_shows_custom_metadata_announcement_and_lineage(catalog: Any) -> None:
    made = catalog.define(Last="date", Count="int", Busy="boolean")
    last, count, busy = (one["name"] for one in made["attributeDefs"])
    source, table = catalog.asset("SalesforceObject", "Opportunity"), catalog.asset("Table", "OPPORTUNITY_HISTORY")
    entity = catalog.update_of(
        source, businessAttributes={made["name"]: {last: 1_772_452_800_000, count: 1234, busy: True}}
    )
    entity["attributes"] |= {
        "announcementTitle": "Burst",
        "announcementMessage": "12 deletes",
        "announcementType": "issue",
    }
    flow: dict[str, Any] = {"qualifiedName": "default/x/1/flow", "name": "Load <b>"}
    flow["inputs"] = [{"typeName": source.type_name, "guid": source.guid}]
    flow["outputs"] = [{"typeName": "Table", "guid": table.guid}]
    assert catalog.merge(entity, {"typeName": "Process", "guid": "-1", "attributes": flow}).status_code == 200
    shown = page(catalog, f"{ROOT}/asset/{source.guid}")
    assert "Activity" in shown.texts
    assert "Last 2026-03-02 12:00:00 Count 1234 Busy true" in shown.text
    assert "Burst 12 deletes" in shown.text
    assert "Leads to Name Type In Steps Load <b> Process 1" in shown.text
    assert f"{ROOT}/asset/{table.guid}" in shown.links
    upstream = page(catalog, f"{ROOT}/asset/{table.guid}")
    assert "Comes from" in upstream.texts
    assert f"{ROOT}/asset/{source.guid}" in upstream.links


def test_an_object_leads_to_its_fields(catalog: Any) -> None:
    case = catalog.asset("SalesforceObject", "Case")
    fields = [one for one in catalog.server.assets("SalesforceField") if one.references["object"] == (case.guid,)]
    shown = page(catalog, f"{ROOT}/asset/{case.guid}")
    assert {f"{ROOT}/asset/{one.guid}" for one in fields} <= set(shown.links)
    assert f"{len(fields)} parts" in shown.texts


def test_sets_of_custom_metadata_are_listed_with_their_ids(catalog: Any) -> None:
    made = catalog.define(Count="int")
    shown = page(catalog, f"{ROOT}/sets")
    assert {"Activity", "Data Stewardship", made["name"], made["attributeDefs"][0]["name"]} <= set(shown.texts)


def test_names_are_text_and_never_markup(catalog: Any) -> None:
    attributes = {"qualifiedName": "q", "name": "<script>alert(1)</script>", "description": "<i>x</i>"}
    (guid,) = catalog.server.control(add=[{"type_name": "Table", "attributes": attributes}]).added
    for path in ("/", f"{ROOT}/asset/{guid}"):
        text = requests.get(catalog.server.url + path, timeout=30).text
        assert "<script>alert" not in text
        assert "<i>x" not in text
        assert "<script>alert(1)</script>" in unescape(text)


def test_a_page_that_is_not_there_says_so(catalog: Any) -> None:
    for path in (f"{ROOT}/asset/nothing", f"{ROOT}/record/Account/1"):
        answer = requests.get(catalog.server.url + path, timeout=30)
        assert answer.status_code == 404
        assert "There is no such page." in answer.text
    assert requests.post(f"{catalog.server.url}{ROOT}/act", timeout=30).status_code == 405


def test_the_page_hears_of_requests(catalog: Any) -> None:
    catalog.ask("GET", "entity/guid/nothing")
    news = requests.get(f"{catalog.server.url}{ROOT}/news", params={"seen": "0"}, timeout=30)
    assert news.text == "1"


def test_foreign_names_are_refused(catalog: Any) -> None:
    answer = requests.get(f"{catalog.server.url}/", headers={"Host": "attacker.example"}, timeout=30)
    assert answer.status_code == 403


def test_an_attribute_is_on_the_page_of_assets_of_its_connections_only(catalog: Any) -> None:
    """pyatlan `AttributeDef.Options.applicable_connections`: assets within one of these have it available."""
    made = catalog.define(Here="int", There="int", Anywhere="int")
    case = catalog.asset("SalesforceObject", "Case")
    lists = [[case.attributes["connectionQualifiedName"]], ["default/salesforce/1"], []]
    for attribute, listed in zip(made["attributeDefs"], lists, strict=True):
        attribute["options"]["applicableConnections"] = json.dumps(listed)
    catalog.ask("PUT", "types/typedefs/", {"businessMetadataDefs": [made]})
    values = {one["name"]: 1 for one in made["attributeDefs"]}
    assert catalog.ask("POST", f"entity/guid/{case.guid}/businessmetadata/{made['name']}", values).status_code == 204
    shown = page(catalog, f"{ROOT}/asset/{case.guid}").text
    assert ["Here" in shown, "There" in shown, "Anywhere" in shown] == [True, False, True]
    assert catalog.server.custom_metadata("Activity", case.guid) == {"Here": 1, "There": 1, "Anywhere": 1}
