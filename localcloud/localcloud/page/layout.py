"""The frame of each page, and the pieces that several of them use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from localcloud.page.html import Content, Html, element, together
from localcloud.page.style import CSS, SCRIPT

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = "/__localcloud__/page"
LINKS = (("/", "Overview"), (f"{ROOT}/bin", "Recycle bin"), (f"{ROOT}/requests", "Requests"))
"""The navigation of an org's page: addresses and names."""


class Frame(msgspec.Struct, frozen=True):
    """What each page shows and needs beside its own content.

    `secret` stands in every form; `nonce` lets our own style and script pass; `seen` says up to where this page
    knows what happened; `real` is what it stands in for, and `links` are the navigation: addresses and names.
    """

    org: str
    now: str
    secret: str
    nonce: str
    seen: str
    real: str = "Salesforce"
    links: tuple[tuple[str, str], ...] = LINKS


def document(frame: Frame, title: str, place: str, *content: Content) -> bytes:
    """A whole page.

    Args:
        frame: What it stands in.
        title: Its heading.
        place: The link of the navigation that leads here.
        content: What stands below the heading.
    """
    navigation = [
        element("a", name, href=link, aria_current="page" if link == place else None) for link, name in frame.links
    ]
    page = element(
        "html",
        element(
            "head",
            element("meta", charset="utf-8"),
            element("meta", name="viewport", content="width=device-width, initial-scale=1"),
            element("title", f"{title} - {frame.org}"),
            element("link", rel="icon", href="data:,"),
            element("style", Html(CSS), nonce=frame.nonce),
        ),
        element(
            "body",
            element("a", "Skip to the content", href="#content", class_="skip"),
            element(
                "header",
                element("p", frame.org, class_="name"),
                element(
                    "p", f"A stand-in on this machine: no real {frame.real} is touched. Its clock shows ", frame.now
                ),
                element("nav", navigation, aria_label="Main"),
            ),
            element("main", element("h1", title), content, id="content"),
            element("script", Html(SCRIPT), nonce=frame.nonce),
            data_seen=frame.seen,
        ),
        lang="en",
    )
    return ("<!doctype html>" + page).encode("utf-8", "replace")


def section(name: str, heading: str, *content: Content, live: bool = False) -> Html:
    """A part of a page; a live one is put in anew when something happens."""
    title = element("h2", heading, id=f"{name}-heading")
    return element("section", title, content, id=name, aria_labelledby=f"{name}-heading", data_live=live)


def table(heads: Sequence[str], rows: Sequence[Sequence[Content]], *, caption: str | None = None) -> Html:
    """A table; the first cell of a row is its heading. A heading that begins with `#` is one of numbers."""
    kinds = ["number" if head.startswith("#") else None for head in heads]
    top = [element("th", head.lstrip("#"), scope="col", class_=kind) for head, kind in zip(heads, kinds, strict=True)]
    body = [
        element(
            "tr",
            element("th", row[0], scope="row"),
            [element("td", cell, class_=kind) for cell, kind in zip(row[1:], kinds[1:], strict=True)],
        )
        for row in rows
    ]
    return element(
        "table",
        element("caption", caption) if caption else None,
        element("thead", element("tr", top)),
        element("tbody", body),
    )


def figures(pairs: Sequence[tuple[str, Content]]) -> Html:
    """A row of named figures."""
    return element(
        "dl", [element("div", element("dt", name), element("dd", value)) for name, value in pairs], class_="figures"
    )


def button(frame: Frame, text: str, *, about: str, danger: bool = False, **fields: str) -> Html:
    """A form of one button that acts.

    Args:
        frame: Holds the secret.
        text: What stands on it.
        about: What it is about, for those who hear the page.
        danger: Whether something goes away.
        fields: What is sent.
    """
    return element(
        "form",
        hidden(frame, fields),
        element("button", text, type="submit", class_="danger" if danger else None, aria_label=f"{text} {about}"),
        method="post",
        action=f"{ROOT}/act",
    )


def hidden(frame: Frame, fields: dict[str, str]) -> Html:
    """The hidden fields of a form."""
    pairs = {"secret": frame.secret, **fields}
    return together([element("input", type="hidden", name=name, value=value) for name, value in pairs.items()])


def record_link(sobject: str, key: str, text: str) -> Html:
    """A link to a record's page."""
    return element("a", text, href=f"{ROOT}/record/{sobject}/{key}")


def moment(text: str) -> Html:
    """An instant of the org as people read it: `2026-03-02 09:00:00`."""
    return element("time", readable(text), class_="line")


def readable(text: str) -> str:
    """An instant in stored form, to the second and without its letters."""
    return text[:19].replace("T", " ")
