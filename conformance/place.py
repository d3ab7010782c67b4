"""The org that the strangers meet: seeded, served over TLS with its proxy, and what it holds."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import sqlite3
import ssl
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from demo import expected
from localcloud.salesforce.cost import QuerySettings
from localcloud.salesforce.login import Credentials, load_credentials
from localcloud.salesforce.org import Org
from localcloud.salesforce.storage import instant_text
from localcloud.seed import seed_generated
from localcloud.tls import certificates, trusting

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conformance.verdict import Value

ENVIRONMENTS = Path(__file__).resolve().parent.parent / ".envs" / "conformance"
PATIENCE_S = 60.0
_ACCESS_TOKEN = re.compile(r"00D\w{12}![\w.-]+")
HISTORIES = {
    "OpportunityFieldHistory": ("OpportunityId", "CreatedById", "CreatedDate", "Field", "OldValue", "NewValue"),
    "CaseHistory": ("CaseId", "CreatedById", "CreatedDate", "Field", "OldValue", "NewValue"),
}
"""The objects that are read, and the fields of them that are compared."""


@dataclass
class Place:
    """An org that is being served.

    Attributes:
        folder: Its folder.
        url: Its https address.
        proxy: The address of its proxy.
        client_id: The app.
        username: The user.
        work: A folder for what clients leave behind.
    """

    folder: Path
    url: str
    proxy: str
    client_id: str
    username: str
    work: Path

    @property
    def credentials(self) -> Credentials:
        """What one logs in with at this moment."""
        return load_credentials(self.folder)

    def holds(self, name: str, *, deleted: bool = True) -> dict[str, dict[str, Value]]:
        """The rows of a history object by id, with the values that were put in.

        Args:
            name: The object.
            deleted: Whether rows of deleted parents and of more than 18 months are among them, as `queryAll`
                sees them.
        """
        fields = HISTORIES[name]
        columns = ", ".join(f'"{column}"' for column in fields)
        condition = "" if deleted else f' WHERE "IsDeleted" = 0 AND "CreatedDate" >= \'{self._history_since()}\''
        with contextlib.closing(sqlite3.connect(f"file:{self.folder}/org.sqlite?mode=ro", uri=True)) as db:
            rows = db.execute(f'SELECT "Id", {columns} FROM "{name}"{condition}')  # noqa: S608 - our own names
            return {
                row[0]: {column: _value(column, value) for column, value in zip(fields, row[1:], strict=True)}
                for row in rows
            }

    def _history_since(self) -> str:
        """Since when `query` finds field history, by the org's clock, as the org writes instants."""
        with Org.open(self.folder) as org:
            since = QuerySettings().history_since(org.clock.now())
        return instant_text(since) if since else ""

    def differs_from_truth(self, name: str) -> int:
        """How many rows of a history object the truth log does not tell of, or tells of otherwise.

        The truth log was written before any row was, and demo/expected.py reads it by its own rules.
        """
        stream = expected.history_stream(name.removesuffix("FieldHistory").removesuffix("History"))
        tracked = expected.tracked_fields(self.folder)
        told = expected.expected_events(expected.read_truth(self.folder / "truth.jsonl"), tracked)[stream]
        decided: Counter[tuple[object, ...]] = Counter()
        for event, times in told.required.items():
            decided[event[1:3] + event[4:8]] += times
        parent = HISTORIES[name][0]
        stored: Counter[tuple[object, ...]] = Counter()
        for row in self.holds(name).values():
            at, values = expected.second(str(row["CreatedDate"])), (row["OldValue"], row["NewValue"])
            stored[at, row["CreatedById"], row[parent], row["Field"], *map(_canonical, values)] += 1
        return ((decided - stored) + (stored - decided)).total()

    def control(self, **switches: object) -> dict[str, Any]:
        """Send a control request."""
        context = ssl.create_default_context(cafile=str(self.folder / "tls" / "ca.pem"))
        request = urllib.request.Request(f"{self.url}/__localcloud__/control", json.dumps(switches).encode())  # noqa: S310
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        with opener.open(request, timeout=300) as answer:
            told: dict[str, Any] = json.load(answer)
            return told

    def act(self, **action: object) -> list[str]:
        """Let something be done to records of the org; returns their ids.

        Raises:
            RuntimeError: Not all of it could be done.
        """
        (outcome,) = self.control(act=[action])["acted"]
        if outcome.get("failed") or not outcome.get("ids"):
            raise RuntimeError(f"the org did not {action['action']}: {outcome}")
        ids: list[str] = outcome["ids"]
        return ids

    def environment(self, stranger: str) -> dict[str, str]:
        """The variables of a stranger's process: our proxy and authority, and nothing of this one's.

        A copy of the stranger's own certifi with the authority added stands first on its path, for what
        reads certifi's file whatever the variables say.
        """
        packages = _site_packages(stranger)
        trust = self.work / "trust" / stranger
        bundle = trust / "certifi" / "cacert.pem"
        if not bundle.exists():
            shutil.copytree(packages / "certifi", trust / "certifi")
            trusting(packages / "certifi" / "cacert.pem", self.folder / "tls" / "ca.pem", bundle)
        home = self.work / "home" / stranger
        home.mkdir(parents=True, exist_ok=True)
        proxies = dict.fromkeys(("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"), self.proxy)
        files = dict.fromkeys(("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"), str(bundle))
        return {
            **proxies,
            **files,
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(home),
            "TMPDIR": str(home),
            "LANG": "C.UTF-8",
            "TZ": "UTC",
            "PYTHONPATH": str(trust),
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def redact(self, text: str) -> str:
        """The text without any secret of the org."""
        kept = self.credentials
        for secret in (kept.client_secret, kept.password, kept.security_token, kept.refresh_token):
            text = text.replace(secret or "***", "***")
        return _ACCESS_TOKEN.sub("***", text)


@contextlib.contextmanager
def serve(work: Path, *, events: int, seed: int = 7, org: Path | None = None) -> Iterator[Place]:
    """Make an org and serve it while the context lasts.

    Args:
        work: An empty folder.
        events: Events that the org is to hold, about.
        seed: The same seed makes the same org.
        org: An org to work on a copy of, instead of making one.

    Raises:
        RuntimeError: The server did not start; the message holds its last words.
    """
    folder = work / "org"
    if org is not None:
        shutil.copytree(org, folder, ignore=shutil.ignore_patterns("warehouse", "run", "logs", "tls"))
    else:
        seed_generated(folder, events=events, seed=seed)
    with Org.open(folder) as opened:
        settings = opened.settings
    certificates(folder)
    ready, log = work / "ready", work / "server.log"
    command = [sys.executable, "-m", "localcloud.salesforce.server", "--org", str(folder), "--tls"]
    command += ["--proxy-port", "0", "--ready-file", str(ready)]
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL)
    try:
        url, proxy = _addresses(process, ready, log)
        yield Place(folder, url, proxy, settings.client_id, settings.username, work)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _addresses(process: subprocess.Popen[bytes], ready: Path, log: Path) -> tuple[str, str]:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and process.poll() is None:
        if ready.exists():
            lines = ready.read_text().splitlines()
            (proxy,) = (line.removeprefix("proxy ") for line in lines if line.startswith("proxy "))
            return f"https://{lines[0]}", f"http://{proxy}"
        time.sleep(0.05)
    raise RuntimeError(f"the mock org's server did not start: {log.read_text(errors='replace')[-2000:]}")


def _site_packages(stranger: str) -> Path:
    (found,) = (ENVIRONMENTS / stranger).glob("lib/python3*/site-packages")
    return found


def _canonical(value: Value) -> str | None:
    """A value as the truth log writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, Decimal)):
        text = f"{value:f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    return None if value is None else str(value)


def _value(column: str, stored: Value) -> Value:
    """A stored value: those of mixed type are kept as JSON tokens, the others as text."""
    if stored is None or column not in {"OldValue", "NewValue"}:
        return stored
    value: Value = json.loads(str(stored), parse_float=Decimal)
    return value
