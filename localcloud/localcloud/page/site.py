"""Leads requests of a browser to the pages, and their clicks to the org's actions."""

from __future__ import annotations

import asyncio
import secrets
from hmac import compare_digest
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol, cast
from urllib.parse import parse_qsl, quote

from aiohttp import web

from localcloud import lifecycle
from localcloud.page.answering import answer
from localcloud.page.layout import LINKS, ROOT, Frame, document, readable, section
from localcloud.page.overview import Overview, Spent, Topic, overview, requests_table
from localcloud.page.reading import Reader
from localcloud.page.records import bin_page, message, object_page, record_page
from localcloud.salesforce.actions import Action, ActionError
from localcloud.salesforce.status import Spending, Status, status
from localcloud.salesforce.storage import instant_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from localcloud.journal import Journal
    from localcloud.page.html import Content
    from localcloud.salesforce.actions.documents import Kind
    from localcloud.salesforce.control import Controller
    from localcloud.salesforce.limits import Usage
    from localcloud.salesforce.org import Org
    from localcloud.salesforce.pubsub.bus import ShownEvent, TopicSummary
    from localcloud.salesforce.sobject import SObject
    from localcloud.scenario import Player

_EVENTS = 8
_REQUESTS = 15
_MANY_REQUESTS = 500
_LONGEST_FORM = 2**20
_LIMITS = (
    "DailyApiRequests",
    "DailyBulkV2QueryJobs",
    "DailyBulkV2QueryFileStorageMB",
    "DailyDeliveredPlatformEvents",
)
_DONE = {"delete": "Deleted.", "undelete": "Restored from the recycle bin.", "update": "Saved."}


class Events(Protocol):
    """What carries the org's events."""

    def topics(self) -> list[TopicSummary]:
        """The topics that events are on."""

    def last_events(self, topic: str, n: int) -> list[ShownEvent]:
        """The newest events of a topic, newest first."""


class Page:
    """The org's page.

    Args:
        org: The org.
        journal: What it was asked.
        controller: Acts on records.
        player: Plays the scenario.
        usage: What was used of the org's limits.
        events: Carries its events.
        addresses: Where the org is served: HTTP, and Pub/Sub if it is.
    """

    def __init__(
        self,
        org: Org,
        journal: Journal,
        controller: Controller,
        player: Player,
        usage: Usage,
        events: Events,
        addresses: Callable[[], tuple[str, str | None]],
    ) -> None:
        self._org = org
        self._journal = journal
        self._controller = controller
        self._player = player
        self._usage = usage
        self._events = events
        self._secret = secrets.token_urlsafe(32)
        self._reader = Reader(org)
        self._addresses = addresses

    def close(self) -> None:
        """Close what it reads from."""
        self._reader.close()

    def status(self) -> Status:
        """How the org stands, as numbers."""
        name = "DailyApiRequests"
        spent = Spending(int(self._usage.used(name)), self._usage.maximum(name), self._journal.total)
        return status(self._org, self._reader, spent)

    async def handle(self, request: web.BaseRequest, seen: str) -> web.StreamResponse:
        """Answer a request whose sender the console has let pass.

        Args:
            request: `/`, or something under `/__localcloud__/page`.
            seen: Up to where the page will know what happened.
        """
        if request.method == "POST":
            if request.path != f"{ROOT}/act" or (request.content_length or 0) > _LONGEST_FORM:
                return answer(self._missing(self._frame(seen)), HTTPStatus.NOT_FOUND, "")
            form = dict(parse_qsl((await request.read()).decode("utf-8", "replace"), keep_blank_values=True))
            return await asyncio.to_thread(self._act, form, seen)
        if request.method not in {"GET", "HEAD"}:
            return web.Response(status=HTTPStatus.METHOD_NOT_ALLOWED)
        return await asyncio.to_thread(self._show, request.path, request.query.get("done", ""), seen)

    def _show(self, path: str, done: str, seen: str) -> web.Response:
        frame = self._frame(seen)
        notice = message(_DONE[done]) if done in _DONE else None
        page = self._page(frame, path, notice)
        if page is None:
            return answer(self._missing(frame), HTTPStatus.NOT_FOUND, frame.nonce)
        return answer(page, HTTPStatus.OK, frame.nonce)

    def _page(self, frame: Frame, path: str, notice: Content) -> bytes | None:
        match path.removeprefix(ROOT).strip("/").split("/"):
            case [""]:
                return self._overview(frame)
            case ["requests"]:
                page = self._journal.newest(_MANY_REQUESTS)
                shown = requests_table(page.requests, f"The newest {len(page.requests)} of {page.total:,}")
                return document(frame, "Requests", path, section("requests", "Journal", shown, live=True))
            case ["bin"]:
                return bin_page(frame, self._reader.bin(), notice)
            case ["object", name]:
                sobject = self._org.schema.get(name)
                return None if sobject is None else self._object(frame, sobject, notice)
            case ["record", name, key]:
                sobject = self._org.schema.get(name)
                return None if sobject is None else self._record(frame, sobject, key, notice)
        return None

    def _overview(self, frame: Frame) -> bytes:
        topics = [Topic(one, self._events.last_events(one.name, _EVENTS)) for one in self._events.topics()]
        limits = [Spent(name, self._usage.used(name), self._usage.maximum(name)) for name in _LIMITS]
        counts, journal = self._reader.counts(), self._journal.newest(_REQUESTS)
        return overview(frame, Overview(*self._addresses(), counts, topics, journal, limits, self._player.state()))

    def _object(self, frame: Frame, sobject: SObject, notice: Content) -> bytes:
        live = self._reader.newest(sobject, deleted=False)
        deleted = self._reader.newest(sobject, deleted=True) if sobject.can_undelete else []
        return object_page(frame, sobject, live, deleted, notice)

    def _record(self, frame: Frame, sobject: SObject, key: str, notice: Content) -> bytes | None:
        record = self._reader.record(sobject, key)
        return None if record is None else record_page(frame, sobject, record, notice)

    def _act(self, form: dict[str, str], seen: str) -> web.Response:
        frame = self._frame(seen)
        if not compare_digest(form.get("secret", "").encode(), self._secret.encode()):
            notice = message("This form is not of this page: load the page again.", bad=True)
            return answer(document(frame, "Refused", "", notice), HTTPStatus.FORBIDDEN, frame.nonce)
        kind, name, key = form.get("action", ""), form.get("object", ""), form.get("id", "")
        if kind not in _DONE:
            return answer(self._missing(frame), HTTPStatus.BAD_REQUEST, frame.nonce)
        values = {form.get("field", ""): form.get("value", "")} if kind == "update" else {}
        try:
            outcome = self._controller.act(Action(cast("Kind", kind), object=name, ids=(key,), values=values))
            refused = [fault.message for one in outcome.errors for fault in one.errors]
        except ActionError as error:
            refused = [str(error)]
        where = self._after(form.get("then", ""), name, key)
        if refused:
            page = self._page(frame, where, message(f"Refused: {' '.join(refused)}", bad=True))
            return answer(page or self._missing(frame), HTTPStatus.CONFLICT, frame.nonce)
        return web.Response(status=HTTPStatus.SEE_OTHER, headers={"Location": f"{where}?done={kind}"})

    def _after(self, then: str, name: str, key: str) -> str:
        """Where a click leads back to."""
        match then:
            case "bin":
                return f"{ROOT}/bin"
            case "object":
                return f"{ROOT}/object/{quote(name, safe='')}"
        return f"{ROOT}/record/{quote(name, safe='')}/{quote(key, safe='')}"

    def _frame(self, seen: str) -> Frame:
        now = f"{readable(instant_text(self._org.clock.now()))} UTC."
        catalog = lifecycle.find("atlan", self._org.path)
        links = LINKS if catalog is None else (*LINKS, (f"{catalog.url}/", "Catalog"))
        return Frame(self._org.settings.name, now, self._secret, secrets.token_urlsafe(12), seen, links=links)

    def _missing(self, frame: Frame) -> bytes:
        return document(frame, "Not there", "", message("There is no such page.", bad=True))
