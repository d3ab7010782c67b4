"""The clients: how each is configured, started and read. None of their code is touched."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conformance.place import ENVIRONMENTS, HISTORIES
from conformance.verdict import Verdict, judge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from conformance.place import Place
    from conformance.verdict import Value

HERE = Path(__file__).resolve().parent
TIMEOUT_S = 300
API_VERSION = "62.0"
MY_DOMAIN = "conformance.my"
BULK_PAGE = 5_000
START = "2020-01-01T00:00:00Z"
DAMAGED = 100_000


@dataclass(frozen=True)
class Run:
    """One client doing one thing; `name` is `name version mode`."""

    name: str
    do: Callable[[], Verdict]


class ClientError(Exception):
    """A client ended with an error; the message holds its last words."""


def runs(place: Place) -> Iterator[Run]:
    """All runs against one org, in the order in which they are done."""
    yield from SimpleSalesforce(place).runs()
    yield from SingerTap(place).runs()
    yield from Airbyte(place).runs()
    yield from PubSub(place).runs()


def checks() -> Iterator[Run]:
    """What needs no org: generated code and parsers of others beside our own."""
    if (HERE / "descriptors.py").exists():
        for package in ("sfprotostash", "aiosfpubsub"):
            command = [str(python_of(package)), str(HERE / "descriptors.py"), package]
            yield Run(f"{package} {version_of(package)} descriptors", partial(_script, command))
    parsers = json.loads((HERE / "soql" / "package.json").read_text())["dependencies"]
    name = "@jetstreamapp/soql-parser-js"
    command = [sys.executable, "-m", "conformance.soql.run"]
    yield Run(f"{name.partition('/')[2]} {parsers[name]} statements", partial(_script, command))
    command = [sys.executable, "-m", "conformance.soql.fuzz", "--statements", str(DAMAGED)]
    yield Run(f"localcloud {version('localcloud')} damaged statements", partial(_script, command))


class SimpleSalesforce:
    """simple-salesforce: every login it knows, every way to read."""

    name = "simple-salesforce"

    def __init__(self, place: Place) -> None:
        self._place = place
        secrets = place.credentials
        user = {"username": place.username, "version": API_VERSION}
        app = {"consumer_key": place.client_id, "version": API_VERSION}
        self._logins: dict[str, dict[str, str]] = {
            "JWT": user | app | {"privatekey_file": str(place.folder / "jwt.key"), "domain": "login"},
            "client credentials": app | {"consumer_secret": secrets.client_secret, "domain": MY_DOMAIN},
            "SOAP": user | {"password": secrets.password, "security_token": secrets.security_token},
            "username-password": user
            | app
            | {"consumer_secret": secrets.client_secret, "password": secrets.password + secrets.security_token},
        }

    def runs(self) -> Iterator[Run]:
        """Reads of both kinds over each login."""
        reads = (
            ("query_all", "query_all", "JWT", False),
            ("queryAll", "query_all_deleted", "SOAP", True),
            ("query_all_iter", "query_all_iter", "client credentials", True),
            ("Bulk 2.0 query", "bulk2", "username-password", False),
            ("Bulk 2.0 queryAll", "bulk2_all", "client credentials", True),
        )
        for mode, read, login, deleted in reads:
            yield self._run(f"{mode} {login}", partial(self._query, read, login, deleted=deleted))
        yield self._run("getDeleted JWT", partial(self._deleted, "JWT"))

    def _run(self, mode: str, do: Callable[[], Verdict]) -> Run:
        return Run(f"{self.name} {version_of(self.name)} {mode}", do)

    def _query(self, read: str, login: str, *, deleted: bool) -> Verdict:
        expected: dict[str, Mapping[str, Value]] = {}
        arrived: list[Mapping[str, Value]] = []
        for name, fields in HISTORIES.items():
            soql = f"SELECT Id, {', '.join(fields)} FROM {name}"  # noqa: S608 - SOQL of our own names
            expected |= self._place.holds(name, deleted=deleted)
            arrived += self._ask(login, read=read, object=name, soql=soql, page=BULK_PAGE)
        return judge(expected, arrived, faithful=True)

    def _deleted(self, login: str) -> Verdict:
        place = self._place
        ids = place.act(action="delete", object="Opportunity", where="Id != null", count=60)
        now = datetime.fromisoformat(place.control()["now"]).astimezone(UTC)
        arrived = self._ask(
            login,
            read="deleted",
            object="Opportunity",
            start=(now - timedelta(hours=1)).isoformat(),
            end=(now + timedelta(minutes=1)).isoformat(),
        )
        return judge({identity: {} for identity in ids}, arrived, faithful=True)

    def _ask(self, login: str, **asked: object) -> list[dict[str, Any]]:
        script = HERE / "clients" / "with_simple_salesforce.py"
        request = json.dumps({"login": self._logins[login], **asked})
        done = _run(self._place, self.name, [str(python_of(self.name)), str(script)], request)
        return _json_lines(done)


class SingerTap:
    """singer-io's tap-salesforce over REST: discovery, then a full sync, logged in by a rotating refresh token."""

    name = "tap-salesforce"

    def __init__(self, place: Place) -> None:
        self._place = place

    def runs(self) -> Iterator[Run]:
        """One full sync."""
        yield Run(f"{self.name} {version_of(self.name)} REST full", self._full)

    def _full(self) -> Verdict:
        place = self._place
        config = place.work / "singer.json"
        options = {"start_date": START, "api_type": "REST", "select_fields_by_default": "true"}
        _write(config, _app(place) | options)
        place.control(login={"rotate_refresh_tokens": True})  # the tap keeps each new one in its configuration
        try:
            return self._sync(config)
        finally:
            place.control(login={"rotate_refresh_tokens": False})

    def _sync(self, config: Path) -> Verdict:
        place = self._place
        tap = str(python_of(self.name).with_name("tap-salesforce"))
        catalog = json.loads(_run(place, self.name, [tap, "--config", str(config), "--discover"]))
        for stream in catalog["streams"]:
            for entry in stream["metadata"]:
                if not entry["breadcrumb"]:
                    entry["metadata"]["selected"] = stream["tap_stream_id"] in HISTORIES
        file = place.work / "singer-catalog.json"
        _write(file, catalog)
        done = _run(place, self.name, [tap, "--config", str(config), "--properties", str(file)])
        records = [message["record"] for message in _json_lines(done) if message.get("type") == "RECORD"]
        return judge(_all_histories(place), records, faithful=False)


class Airbyte:
    """Airbyte's source-salesforce: Bulk API 2.0 by its own choice; all rows, and by increments."""

    name = "airbyte-source-salesforce"

    def __init__(self, place: Place) -> None:
        self._place = place

    def runs(self) -> Iterator[Run]:
        """One sync of each kind."""
        yield Run(f"{self.name} {version_of(self.name)} full", self._full)
        yield Run(f"{self.name} {version_of(self.name)} incremental", self._incremental)

    def _full(self) -> Verdict:
        records, _ = self._read("full_refresh")
        return judge(_all_histories(self._place), records, faithful=False)

    def _incremental(self) -> Verdict:
        """All rows up to now; then more rows, and from the state that was left only these."""
        place = self._place
        place.control(clock={"set": datetime.now(UTC).isoformat()})  # it asks for slices up to its own now
        records, state = self._read("incremental")
        before = len(_all_histories(place))
        stages = ("Prospecting", "Qualification")
        for stage in stages:
            place.act(action="update", object="Opportunity", where="Id != null", count=40, values={"StageName": stage})
        more, _ = self._read("incremental", state)
        verdict = judge(_all_histories(place), [*records, *more], faithful=False)
        if not more or len(records) != before:
            verdict.why.append(f"{before} rows were there, {len(records)} came; then {len(more)} of {verdict.expected}")
            verdict.ok = False
        return verdict

    def _read(self, mode: str, state: list[dict[str, Any]] | None = None) -> tuple[list[dict[str, Any]], list[Any]]:
        """The records of one sync, and the state that it leaves."""
        place = self._place
        config = place.work / "airbyte.json"
        criteria = [{"criteria": "exacts", "value": name} for name in HISTORIES]
        options = {"start_date": START, "is_sandbox": False, "auth_type": "Client", "streams_criteria": criteria}
        _write(config, _app(place) | options | {"stream_slice_step": "P180D"})
        source = str(python_of(self.name).with_name("source-salesforce"))
        said = _json_lines(_run(place, self.name, [source, "discover", "--config", str(config)]))
        (found,) = (message["catalog"]["streams"] for message in said if message.get("type") == "CATALOG")
        chosen = {"sync_mode": mode, "destination_sync_mode": "append"}
        keys = {"cursor_field": ["CreatedDate"], "primary_key": [["Id"]]}
        streams = [{"stream": stream, **chosen, **keys} for stream in found if stream["name"] in HISTORIES]
        catalog, kept = place.work / "airbyte-catalog.json", place.work / "airbyte-state.json"
        _write(catalog, {"streams": streams})
        _write(kept, state or [])
        command = [source, "read", "--config", str(config), "--catalog", str(catalog), "--state", str(kept)]
        messages = _json_lines(_run(place, self.name, command))
        states = [message["state"] for message in messages if message.get("type") == "STATE"]
        last = {
            one["stream"]["stream_descriptor"]["name"]: {"type": one["type"], "stream": one["stream"]} for one in states
        }
        return [one["record"]["data"] for one in messages if one.get("type") == "RECORD"], list(last.values())


class PubSub:
    """aiosfpubsub and pysfpubsub: SOAP login, then change events over gRPC."""

    names = ("aiosfpubsub", "pysfpubsub")
    topic = "/data/AccountChangeEvent"

    def __init__(self, place: Place) -> None:
        self._place = place
        self._expected: dict[str, Mapping[str, Value]] = {}

    def runs(self) -> Iterator[Run]:
        """The same topic, read by each from the earliest event on."""
        for name in self.names:
            yield Run(f"{name} {version_of(name)} subscribe SOAP", partial(self._subscribe, name))

    def _subscribe(self, name: str) -> Verdict:
        place = self._place
        if not self._expected:
            self._expected = self._changes()
        secrets = place.credentials
        client = {
            "url": "https://login.salesforce.com",
            "username": place.username,
            "password": secrets.password + secrets.security_token,
            "grpc_host": "api.pubsub.salesforce.com",
            "grpc_port": 7443,
        }
        asked = {"package": name, "client": client, "topic": self.topic, "records": len(self._expected)}
        script = HERE / "clients" / "with_pubsub.py"
        done = _run(place, name, [str(python_of(name)), str(script)], json.dumps(asked))
        return judge(self._expected, _json_lines(done), faithful=True)

    def _changes(self) -> dict[str, Mapping[str, Value]]:
        """Let records change, one transaction each, and say what events that makes."""
        place = self._place
        expected: dict[str, Mapping[str, Value]] = {}
        made = place.act(action="create", object="Account", count=400, values={"Name": "Conformance {n}"})
        acts = (
            ("CREATE", made),
            ("UPDATE", place.act(action="update", object="Account", ids=made[:200], values={"Industry": "Energy"})),
            ("DELETE", place.act(action="delete", object="Account", ids=made[:100])),
            ("UNDELETE", place.act(action="undelete", ids=made[:50])),
        )
        for kind, ids in acts:
            expected |= {f"{kind} {identity}": {"entity": "Account"} for identity in ids}
        return expected


def _app(place: Place) -> dict[str, object]:
    """The app's part of a configuration, with the refresh token of this moment."""
    secrets = place.credentials
    names = {"client_id": place.client_id, "client_secret": secrets.client_secret}
    return names | {"refresh_token": secrets.refresh_token}


def _all_histories(place: Place) -> dict[str, Mapping[str, Value]]:
    return {identity: row for name in HISTORIES for identity, row in place.holds(name).items()}


def python_of(stranger: str) -> Path:
    """The interpreter of a stranger's own environment."""
    return Path(ENVIRONMENTS / stranger / "bin" / "python")


def version_of(stranger: str) -> str:
    """The version that is pinned, which is what is installed."""
    lines = (HERE / "constraints" / f"{stranger}.txt").read_text().splitlines()
    return next(line for line in lines if line.startswith(f"{stranger}==")).partition("==")[2]


def run_stranger(place: Place, stranger: str, command: list[str], request: str) -> list[dict[str, Any]]:
    """Run a stranger to its end; returns the JSON objects that it wrote.

    Raises:
        ClientError: It ended with an error.
    """
    return _json_lines(_run(place, stranger, command, request))


def _run(place: Place, stranger: str, command: list[str], request: str = "") -> str:
    """Run a stranger to its end; returns its standard output."""
    done = subprocess.run(
        command,
        input=request,
        env=place.environment(stranger),
        cwd=place.work / "home" / stranger,
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="surrogateescape",
        timeout=TIMEOUT_S,
        check=False,
    )
    if done.returncode:
        words = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        raise ClientError(f"exit code {done.returncode}: {' | '.join(words[-6:])[-600:]}")
    return done.stdout


def _script(command: list[str]) -> Verdict:
    """A check of its own: exit code 0 is good, and the figures are in the JSON of its last line."""
    done = subprocess.run(command, cwd=HERE.parent, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    lines = [line for line in done.stdout.splitlines() if line.strip()] or [""]
    text = lines[-1].removeprefix("RESULT ")
    figures: dict[str, Any] = json.loads(text) if text.startswith("{") else {}
    compared = int(figures.get("statements", figures.get("expected", 0)))
    alike = compared - int(figures.get("unexplained", compared - int(figures.get("got", 0))))
    verdict = Verdict(compared, alike, ok=done.returncode == 0 and compared == alike > 0)
    if not verdict.ok:
        verdict.why.append(" | ".join([*lines[-6:], *done.stderr.splitlines()[-6:]])[-600:])
    return verdict


def _json_lines(text: str) -> list[dict[str, Any]]:
    """The JSON objects of an output, one a line; numbers with a fraction keep their digits."""
    return [json.loads(line, parse_float=str) for line in text.split("\n") if line.startswith("{")]


def _write(path: Path, content: object) -> None:
    path.touch(mode=0o600)
    path.write_text(json.dumps(content))
