"""The org's page by plain HTTP: what it shows, what it refuses, and that its forms work without a script."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import closing
from html import unescape
from html.parser import HTMLParser
from typing import Any

import pytest

from localcloud.page.reading import Reader as PageReader
from localcloud.page.style import CSS
from localcloud.salesforce.org import Org

Serve = Callable[..., Any]
ROOT = "/__localcloud__/page"


class Reader(HTMLParser):
    """Reads a page as a careful reader would: elements, forms, ids, and whether all that opens closes."""

    VOID = frozenset({"br", "hr", "img", "input", "link", "meta"})

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


def page(client: Any, path: str) -> Reader:
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    return Reader(answer.text)


def secret(client: Any) -> str:
    fields = page(client, f"{ROOT}/object/Account").all("input")
    return next(field["value"] for field in fields if field["name"] == "secret")


def press(client: Any, headers: dict[str, str] | None = None, /, **fields: str) -> Any:
    url = f"{client.server.url}{ROOT}/act"
    return client.http.post(url, data=fields, headers=headers, allow_redirects=False, timeout=30)


def count(client: Any, statement: str) -> int:
    total: int = client.query(statement).json()["totalSize"]
    return total


def test_the_first_page_shows_objects_with_counts_and_what_was_asked(own_org: Org, serve: Serve) -> None:
    client = serve(own_org)
    client.server.control(fail=[{"pattern": "limits"}])
    client.get("limits")
    client.query("SELECT Name FROM Account WHERE Name < 'b'")
    shown = " ".join(page(client, "/").texts)
    assert own_org.settings.name in shown
    assert "2024-03-15 12:00:00 UTC" in shown
    assert re.search(r"\bAccount\s+2\s+1\b", shown), "two live accounts, one deleted"
    assert re.search(r"\bOpportunity\s+3\s+1\b", shown)
    assert "SELECT Name FROM Account WHERE Name < 'b'" in shown
    assert "fail 503" in shown
    assert re.search(r"API calls spent\s+1 of 100,000", shown), "a request that was struck costs nothing"


def test_counts_follow_what_happens(own_org: Org, serve: Serve) -> None:
    client = serve(own_org)
    page(client, "/")
    press(client, secret=secret(client), action="delete", object="Account", id=own_org.new_id("Account", 1))
    assert re.search(r"\bAccount\s+1\s+2\b", " ".join(page(client, "/").texts))


def test_a_large_org_is_not_counted_at_every_change(own_org: Org) -> None:
    now = [0.0]

    def slow() -> float:
        now[0] += 0.5  # each look at the clock: counting takes half a second
        return now[0]

    def accounts(reader: PageReader) -> int:
        return next(one.live for one in reader.counts() if one.name == "Account")

    with closing(PageReader(own_org, monotonic=slow)) as reader:
        before = accounts(reader)
        own_org.load("Account", [{"Name": "One more"}])
        assert accounts(reader) == before
        now[0] += 5
        assert accounts(reader) == before + 1


@pytest.mark.parametrize(
    "path", ["/", f"{ROOT}/object/Account", f"{ROOT}/record/Account/ID", f"{ROOT}/bin", f"{ROOT}/requests"]
)
def test_each_page_is_well_formed_and_labelled(own_org: Org, serve: Serve, path: str) -> None:
    client = serve(own_org)
    client.server.control(insert=[{"object": "Account", "rows": [{"Name": "Nasty \"<&>' name"}]}])
    press(client, secret=secret(client), action="delete", object="Account", id=own_org.new_id("Account", 1))
    shown = page(client, path.replace("ID", own_org.new_id("Account", 0)))
    assert shown.open == []
    ids = [attributes["id"] for _, attributes in shown.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert len(shown.all("h1")) == 1
    assert shown.all("html") == [{"lang": "en"}]
    labels = {label["for"] for label in shown.all("label")}
    seen = [one for tag in ("input", "select", "textarea") for one in shown.all(tag) if one.get("type") != "hidden"]
    assert {one["id"] for one in seen} == labels
    assert all("scope" in head for head in shown.all("th"))
    assert all(section["aria-labelledby"] in ids for section in shown.all("section"))


def test_text_of_the_org_is_never_markup(own_org: Org, serve: Serve) -> None:
    client = serve(own_org)
    name = "<script>alert('x')</script>"
    client.server.control(insert=[{"object": "Account", "rows": [{"Name": name, "Industry": "</td><b>"}]}])
    client.query(f"SELECT Id FROM Account WHERE Name = '{name}'".replace("'x'", "x"))
    record = client.records("SELECT Id FROM Account WHERE Industry = '</td><b>'")[0]["Id"]
    for path in ("/", f"{ROOT}/object/Account", f"{ROOT}/record/Account/{record}", f"{ROOT}/requests"):
        text = client.get(path).text
        assert "<script>alert" not in text
        assert "</td><b>" not in text
    assert name in unescape(client.get(f"{ROOT}/record/Account/{record}").text)


def test_a_form_deletes_edits_and_undeletes_without_a_script(own_org: Org, serve: Serve) -> None:
    client = serve(own_org)
    record = own_org.new_id("Opportunity", 0)
    same = {"secret": secret(client), "object": "Opportunity", "id": record}
    answer = press(client, **same, action="update", field="StageName", value="Qualification", then="record")
    assert answer.status_code == 303
    assert answer.headers["Location"] == f"{ROOT}/record/Opportunity/{record}?done=update"
    shown = " ".join(page(client, answer.headers["Location"]).texts)
    assert "Saved." in shown
    assert "Prospecting" in shown, "its history shows what it was"
    assert press(client, **same, action="delete", then="object").headers["Location"].endswith("Opportunity?done=delete")
    assert count(client, f"SELECT COUNT() FROM Opportunity WHERE Id = '{record}'") == 0
    assert "One" in " ".join(page(client, f"{ROOT}/bin").texts)
    assert press(client, **same, action="undelete", then="bin").headers["Location"] == f"{ROOT}/bin?done=undelete"
    assert count(client, f"SELECT COUNT() FROM Opportunity WHERE Id = '{record}'") == 1


def test_what_the_org_refuses_is_said_on_the_page(own_org: Org, serve: Serve) -> None:
    client = serve(own_org)
    same = {"secret": secret(client), "object": "Opportunity", "id": own_org.new_id("Opportunity", 0)}
    answer = press(client, **same, action="update", field="CloseDate", value="some day")
    assert answer.status_code == 409
    assert "value not of required type: some day" in " ".join(Reader(answer.text).texts)
    answer = press(client, **{**same, "object": "Nothing"}, action="update", field="X", value="1")
    assert answer.status_code == 409
    assert press(client, **same, action="merge").status_code == 400


@pytest.mark.parametrize("given", [None, "", "guessed", "é"])
def test_a_form_without_the_secret_of_the_page_does_nothing(own_org: Org, serve: Serve, given: str | None) -> None:
    client = serve(own_org)
    fields = {"action": "delete", "object": "Account", "id": own_org.new_id("Account", 0)}
    answer = press(client, **fields, **({} if given is None else {"secret": given}))
    assert answer.status_code == 403
    assert count(client, "SELECT COUNT() FROM Account") == 2


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://elsewhere.example"}, {"Origin": "null"}, {"Host": "rebound.example"}]
)
def test_a_foreign_site_cannot_act_even_with_the_secret(own_org: Org, serve: Serve, headers: dict[str, str]) -> None:
    client = serve(own_org)
    fields = {"action": "delete", "object": "Account", "id": own_org.new_id("Account", 0)}
    assert press(client, headers, secret=secret(client), **fields).status_code == 403
    assert count(client, "SELECT COUNT() FROM Account") == 2


@pytest.mark.parametrize("path", ["/", f"{ROOT}/bin", "/__localcloud__/journal"])
def test_a_name_that_was_led_here_is_told_nothing(own_org: Org, serve: Serve, path: str) -> None:
    client = serve(own_org)
    answer = client.get(path, headers={"Host": "rebound.example:8180"})
    assert answer.status_code == 403
    assert own_org.settings.name not in answer.text
    for host in ("localhost:1", "[::1]:1", "127.0.0.1"):
        assert client.get(path, headers={"Host": host}).status_code == 200


def test_only_our_own_script_and_style_may_run(own_org: Org, serve: Serve) -> None:
    client = serve(own_org)
    first, second = client.get("/"), client.get("/")
    rules = first.headers["Content-Security-Policy"]
    assert "default-src 'none'" in rules
    assert "frame-ancestors 'none'" in rules
    nonce = re.search(r"script-src 'nonce-([^']+)'", rules)
    assert nonce is not None
    assert [one["nonce"] for one in Reader(first.text).all("script")] == [nonce.group(1)]
    assert second.headers["Content-Security-Policy"] != rules, "a nonce is good for one page"


@pytest.mark.parametrize(
    "path",
    ["object/Nothing", "record/Account/001000000000zzzAAA", "record/Nothing/1", "elsewhere", "object", "record/a/b/c"],
)
def test_a_page_that_is_not_there_is_404(own_org: Org, serve: Serve, path: str) -> None:
    client = serve(own_org)
    answer = client.get(f"{ROOT}/{path}")
    assert answer.status_code == 404
    assert "no such page" in answer.text


def test_the_page_costs_no_api_call_and_is_not_in_the_journal(own_org: Org, serve: Serve) -> None:
    client = serve(own_org)
    before = client.server.journal()
    page(client, "/")
    page(client, f"{ROOT}/object/Account")
    after = client.server.journal()
    assert (after.total, after.api_calls) == (before.total, before.api_calls)


def luminance(colour: str) -> float:
    full = colour if len(colour) == 7 else "#" + "".join(2 * digit for digit in colour[1:])
    parts = [int(full[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_text_stands_out_from_its_ground_by_day_and_by_night() -> None:
    """WCAG 2.1, success criterion 1.4.3: a contrast of 4.5 to 1 at least."""
    for scheme in re.findall(r":root \{([^}]*)\}", CSS):
        colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{3,6})", scheme))
        assert len(colours) == 11
        for ink, ground in [
            *((ink, ground) for ink in ("ink", "soft", "blue", "red", "green") for ground in ("paper", "ground")),
            *((name, f"{name}-soft") for name in ("blue", "red", "green")),
        ]:
            one, other = sorted((luminance(colours[ink]), luminance(colours[ground])), reverse=True)
            assert (one + 0.05) / (other + 0.05) >= 4.5, (ink, ground, scheme)
