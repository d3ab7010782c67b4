"""Every login of the tap, end to end: what it reads, how it renews, what it keeps, and what it never shows."""

from __future__ import annotations

import json
import logging
import re
import signal
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from localcloud.salesforce.login import load_credentials
from localcloud.salesforce.server import Running
from localcloud.tls import certificates
from microdecisions.errors import CertificateError
from microdecisions.redaction import known_secrets
from microdecisions.session import open_session
from microdecisions.settings import LoginSettings, load
from tests.conftest import copy_at_now
from tests.harness import CLIENT_ID, USERNAME, Json, TapRun, run_tap, take, tap_command
from tests.in_process import catalog_of, many_cases, run_here

Serve = Callable[..., Running]
ROWS = 201
MANY = 60_000  # more answers of a query than are fetched ahead
STREAM = "case_history"
LOGIN_PATHS = re.compile(r"/services/oauth2/token|/services/Soap/u/64\.0")
FLOWS = ("jwt_bearer", "client_credentials", "refresh_token", "username_password", "soap")


@pytest.fixture(autouse=True)
def _forget_secrets() -> Iterator[None]:
    yield
    known_secrets.clear()


@pytest.fixture
def org(empty_org: Path) -> Path:
    """An org with a little history."""
    many_cases(empty_org, ROWS)
    return empty_org


@pytest.fixture(scope="module")
def many_rows(blank_org: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An org that takes a run some time to read; to be copied."""
    path = copy_at_now(blank_org, tmp_path_factory.mktemp("many") / "org")
    many_cases(path, MANY)
    return path


@pytest.fixture
def long_org(many_rows: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may change."""
    return copy_at_now(many_rows, tmp_path / "org")


def credentials(flow: str, org: Path) -> Json:
    """What a flow logs in with."""
    secrets = load_credentials(org)
    app = {"client_id": CLIENT_ID, "client_secret": secrets.client_secret}
    person = {"username": USERNAME, "password": secrets.password, "security_token": secrets.security_token}
    flows: dict[str, Json] = {
        "jwt_bearer": {"client_id": CLIENT_ID, "username": USERNAME, "private_key_path": str(org / "jwt.key")},
        "client_credentials": {"auth_flow": "client_credentials", **app},
        "refresh_token": {"auth_flow": "refresh_token", "refresh_token": secrets.refresh_token, **app},
        "username_password": {"auth_flow": "username_password", **app, **person},
        "soap": {"auth_flow": "username_password", "login_api": "soap", **person},
    }
    return flows[flow]


def secrets_of(org: Path) -> list[str]:
    """Everything in an org that must never be shown."""
    secrets = load_credentials(org)
    told = (secrets.client_secret, secrets.password, secrets.security_token, secrets.refresh_token)
    return [*(secret for secret in told if secret), (org / "jwt.key").read_text().splitlines()[1]]


def logins(server: Running) -> int:
    return sum(LOGIN_PATHS.fullmatch(request.path) is not None for request in server.journal().requests)


def rotating(serve: Serve, org: Path, **login: object) -> Running:
    server = serve(org)
    server.control(login={"rotate_refresh_tokens": True, **login})
    return server


def start_tap(work: Path, config: Json) -> subprocess.Popen[str]:
    work.mkdir(exist_ok=True)
    command = tap_command(work, config, catalog=catalog_of(STREAM))
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def end_of(tap: subprocess.Popen[str]) -> TapRun:
    output, log = tap.communicate(timeout=120)
    run = TapRun(tap.returncode, log)
    for line in output.split("\n")[:-1]:
        take(run, line)
    return run


# --- every flow ---


@pytest.mark.parametrize("flow", FLOWS)
def test_a_login_reads_everything_and_shows_no_secret_at_any_level(
    flow: str, serve: Serve, org: Path, tmp_path: Path
) -> None:
    server = rotating(serve, org)
    work = tmp_path / "work"
    work.mkdir()
    config = {"login_url": server.url, **credentials(flow, org)}
    kept = tmp_path / "kept"
    if flow == "refresh_token":
        config["refresh_token_path"] = str(kept)
    before = secrets_of(org)
    run = run_tap(work, config, catalog=catalog_of(STREAM), LOGLEVEL="DEBUG")
    assert run.code == 0, run.log
    assert len(run.by_id(STREAM)) == ROWS
    assert "DEBUG" in run.log
    shown = run.log + json.dumps([run.states, run.schemas, run.records])
    shown += "".join(file.read_text() for file in work.iterdir() if file.name != "config.json")
    assert not [secret for secret in {*before, *secrets_of(org)} if secret in shown]
    assert not re.search(r"00D\w{12,15}!|eyJ[\w-]{20,}\.|5Aep861", shown)
    assert not re.search(r"(?i)bearer [\w!.]{10,}", shown)
    ends = {"soap": "retires in Summer '27", "username_password": "retire in early 2027"}
    assert [kind for kind, words in ends.items() if words in run.log] == [kind for kind in ends if kind == flow]
    assert ("64.0" in run.log) is (flow == "soap")
    assert kept.exists() is (flow == "refresh_token")


@pytest.mark.parametrize("flow", FLOWS)
def test_a_session_that_ends_in_mid_run_costs_one_new_login(
    flow: str, serve: Serve, long_org: Path, tmp_path: Path
) -> None:
    server = rotating(serve, long_org)
    config = {"login_url": server.url, **credentials(flow, long_org)}
    if flow == "refresh_token":
        config["refresh_token_path"] = str(tmp_path / "kept")
    run = run_here(config, STREAM, on_first_record=lambda: server.control(expire_sessions=True))
    assert run.code == 0, run.log
    assert len(run.by_id(STREAM)) == MANY
    assert logins(server) == 2


def test_a_ready_token_that_ends_in_mid_run_is_no_success_and_the_next_one_goes_on(
    serve: Serve, long_org: Path
) -> None:
    server = serve(long_org)

    def ready() -> Json:
        form = {"grant_type": "client_credentials", **credentials("client_credentials", long_org)}
        return {"auth_flow": "access_token", "access_token": token(server, form), "instance_url": server.url}

    run = run_here(ready(), STREAM, on_first_record=lambda: server.control(expire_sessions=True))
    assert run.code == 2
    assert "set a new `access_token`" in run.log
    rest = run_here(ready(), STREAM, state=run.state if run.states else None)
    assert rest.code == 0, rest.log
    assert len(run.by_id(STREAM) | rest.by_id(STREAM)) == MANY


def token(server: Running, form: Json) -> str:
    """An access token, fetched as a person would with a tool of their own."""
    import requests  # noqa: PLC0415

    with requests.Session() as http:
        http.trust_env = False
        answer = http.post(f"{server.url}/services/oauth2/token", data=form, timeout=30).json()
    return str(answer["access_token"])


@pytest.mark.parametrize("domain", ["login", "test", "acme", "acme--uat.sandbox"])
def test_a_domain_is_reached_by_proxy_and_private_authority_in_every_flow(
    domain: str, serve: Serve, empty_org: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = certificates(empty_org)
    server = serve(empty_org, tls_cert=files.certificate, tls_key=files.key, proxy_port=0)
    for name in ("HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", str(server.proxy))
    common = domain in {"login", "test"}
    flows = [flow for flow in FLOWS if not (common and flow == "client_credentials")]
    for flow in flows:
        config = {"domain": domain, **credentials(flow, empty_org)}
        with open_session(load(LoginSettings, {**config, "ca_bundle": str(files.authority)})) as session:
            assert session.instance_url == server.url
            assert session.get_json("limits")
        with open_session(load(LoginSettings, config)) as session, pytest.raises(CertificateError, match="`ca_bundle`"):
            session.login()
    assert logins(server) == len(flows)


@pytest.mark.parametrize(
    ("flow", "changes", "policy", "words"),
    [
        ("client_credentials", {"client_secret": "wrong-secret"}, {}, ("invalid_client", "`client_secret`")),
        ("client_credentials", {"client_id": "another.app"}, {}, ("invalid_client_id", "`client_id`")),
        ("client_credentials", {}, {"run_as_user": False}, ("Run As user",)),
        ("refresh_token", {"refresh_token": "5Aep861wrong"}, {}, ("invalid_grant", "authorise the app again")),
        ("refresh_token", {}, {"revoke_refresh_token": True}, ("authorise the app again", "`refresh_token`")),
        ("refresh_token", {"client_secret": None}, {}, ("`client_secret` is missing",)),
        ("username_password", {"password": "wrong-password"}, {}, ("`password`", "`client_credentials`")),
        ("username_password", {"security_token": None}, {}, ("`security_token`",)),
        ("username_password", {}, {"username_password_flow": False}, ("blocked", "Summer '23", "`jwt_bearer`")),
        ("soap", {"password": "<wrong> & odd"}, {}, ("INVALID_LOGIN", "Summer '27")),
        ("soap", {"security_token": None}, {}, ("LOGIN_MUST_USE_SECURITY_TOKEN", "`security_token`")),
        ("soap", {}, {"soap_login": False}, ("INVALID_OPERATION", "`client_credentials`", "Summer '27")),
    ],
    ids=str,
)
def test_a_refused_login_is_one_sentence_after_one_try(
    flow: str, changes: Json, policy: Json, words: tuple[str, ...], serve: Serve, empty_org: Path
) -> None:
    server = serve(empty_org)
    config = {"login_url": server.url, **credentials(flow, empty_org), **changes}
    server.control(login=policy)
    run = run_here({name: value for name, value in config.items() if value is not None}, STREAM)
    assert run.code == 2
    for word in words:
        assert word in run.log
    assert run.log.endswith(".")
    assert logins(server) == 1  # tries lock users out
    assert not [value for name, value in changes.items() if value and name != "client_id" and value in run.log]


# --- rotation ---


def test_a_run_that_is_killed_between_rotation_and_use_loses_nothing(serve: Serve, org: Path, tmp_path: Path) -> None:
    server = rotating(serve, org)
    kept = tmp_path / "kept"
    config = {"login_url": server.url, **credentials("refresh_token", org), "refresh_token_path": str(kept)}
    first = run_here(config, STREAM)
    assert first.code == 0, first.log
    one = kept.read_text()

    server.control(fail=[{"pattern": "services/data", "status": 503, "times": 1, "retry_after": 200}])
    tap = start_tap(tmp_path / "killed", config)
    assert tap.stderr is not None
    assert any("Trying GET" in line for line in tap.stderr)  # logged in; its first request waits
    tap.send_signal(signal.SIGKILL)
    end_of(tap)
    assert kept.read_text() != one

    third = run_here(config, STREAM)
    assert third.code == 0, third.log
    assert first.by_id(STREAM).keys() == third.by_id(STREAM).keys()
    assert json.loads(kept.read_text())["refresh_token"] == load_credentials(org).refresh_token
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert not list(tmp_path.glob("*.part"))


def test_two_runs_at_once_take_turns_and_a_third_goes_on(serve: Serve, org: Path, tmp_path: Path) -> None:
    server = rotating(serve, org, refresh_seconds=0.2)
    config = {
        "login_url": server.url,
        **credentials("refresh_token", org),
        "refresh_token_path": str(tmp_path / "kept"),
    }
    taps = [start_tap(tmp_path / name, config) for name in ("one", "two")]
    for run in [end_of(tap) for tap in taps]:
        assert run.code == 0, run.log
        assert len(run.by_id(STREAM)) == ROWS
    assert logins(server) == 2
    assert run_here(config, STREAM).code == 0


def test_a_renewal_in_mid_run_goes_on_from_what_another_run_left(serve: Serve, long_org: Path, tmp_path: Path) -> None:
    server = rotating(serve, long_org)
    config = {
        "login_url": server.url,
        **credentials("refresh_token", long_org),
        "refresh_token_path": str(tmp_path / "kept"),
    }

    def meanwhile() -> None:
        with open_session(load(LoginSettings, config)) as other:
            other.login()
        server.control(expire_sessions=True)

    run = run_here(config, STREAM, on_first_record=meanwhile)
    assert run.code == 0, run.log
    assert len(run.by_id(STREAM)) == MANY
    assert logins(server) == 3


def test_without_a_file_the_run_is_whole_and_says_that_the_next_one_will_not_be(
    serve: Serve, long_org: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = rotating(serve, long_org)
    config = {"login_url": server.url, **credentials("refresh_token", long_org)}
    with caplog.at_level(logging.WARNING):
        run = run_here(config, STREAM, on_first_record=lambda: server.control(expire_sessions=True))
    assert run.code == 0, run.log
    assert len(run.by_id(STREAM)) == MANY
    assert caplog.text.count("the next run will be refused") == 1
    again = run_here(config, STREAM)
    assert again.code == 2
    assert "`refresh_token_path`" in again.log
    assert "5Aep861" not in caplog.text + again.log
