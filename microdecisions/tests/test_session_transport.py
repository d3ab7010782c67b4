"""The wire: certificates, unreachable hosts, proxies, cookies, netrc, and that no secret shows anywhere."""

from __future__ import annotations

import ipaddress
import logging
import socket
import ssl
import traceback
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

from microdecisions.errors import CertificateError, ConfigurationError, LoginError, MicroDecisionError, UnreachableError
from microdecisions.redaction import RedactingFilter
from microdecisions.retries import Clocks
from microdecisions.session import open_session
from microdecisions.settings import LoginSettings, load
from microdecisions.transport import Request, Transport, TransportFault

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def transport() -> Any:
    made = Transport(ca_bundle=None, connect_timeout=5, read_timeout=5, user_agent="test")
    yield made
    made.close()


@pytest.fixture
def certificate(key: Any, pem: str, tmp_path: Path) -> Path:
    """A self-signed certificate of 127.0.0.1 with its key behind it, as one PEM file."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "server.pem"
    path.write_text(made.public_bytes(serialization.Encoding.PEM).decode() + pem)
    return path


@pytest.fixture
def tls_org(org: Any, certificate: Path) -> Any:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    accept = org.server.get_request

    def encrypted() -> tuple[ssl.SSLSocket, Any]:
        connection, address = accept()
        return context.wrap_socket(connection, server_side=True), address

    org.server.get_request = encrypted
    org.server.handle_error = lambda *_: None  # a client that trusts nobody hangs up
    org.url = org.url.replace("http:", "https:")
    return org


def test_an_untrusted_certificate_is_said_at_once_and_names_the_setting(tls_org: Any, connect: Any, clock: Any) -> None:
    session = connect()
    for _ in range(2):
        with pytest.raises(CertificateError, match=r"127\.0\.0\.1 is not trusted .*`ca_bundle`"):
            session.get_json("limits")
    assert clock.slept == 0


def test_a_ca_bundle_makes_the_certificate_trusted(tls_org: Any, connect: Any, certificate: Path) -> None:
    assert connect(ca_bundle=str(certificate)).get_json("limits") == {"ok": True}


def test_a_ca_bundle_in_ones_home_is_one_path_for_the_check_and_for_the_connection(
    tls_org: Any, pem: str, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(certificate.parent))
    given = {"login_url": tls_org.url, "client_id": "x", "username": "user@example.invalid", "private_key": pem}
    with pytest.raises(ConfigurationError, match="`ca_bundle`"):
        load(LoginSettings, {**given, "ca_bundle": "~/none.pem"})
    with open_session(load(LoginSettings, {**given, "ca_bundle": f"~/{certificate.name}"})) as session:
        assert session.get_json("limits") == {"ok": True}


def test_the_ca_bundle_setting_goes_before_the_environment(
    tls_org: Any, connect: Any, certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "missing.pem"))
    assert connect(ca_bundle=str(certificate)).get_json("limits") == {"ok": True}
    with pytest.raises(CertificateError, match="REQUESTS_CA_BUNDLE"):
        connect().get_json("limits")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    assert connect().get_json("limits") == {"ok": True}


def test_a_host_that_refuses_is_tried_some_times_and_named_with_its_setting(connect: Any, clock: Any) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(UnreachableError, match=r"127\.0\.0\.1 refuses the connection: check `login_url`"):
            connect(login_url=url).get_json("limits")
    assert clock.slept == pytest.approx(0.5 + 1)


def test_a_name_that_does_not_exist_names_the_domain(pem: str, clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_such_name(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", no_such_name)
    settings = LoginSettings(domain="acme", client_id="c", username="u", private_key=pem)
    with (
        open_session(settings, clocks=clock.clocks) as session,
        pytest.raises(UnreachableError, match=r"acme\.my\.salesforce\.com is a name that is not found: check `domain`"),
    ):
        session.login()


def test_a_server_that_does_not_answer_in_time_is_tried_again(org: Any, pem: str) -> None:
    silent = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{silent.getsockname()[1]}"
    settings = LoginSettings(
        login_url=url, client_id="c", username="u", private_key=pem, read_timeout_seconds=1, connect_timeout_seconds=1
    )
    pauses: list[float] = []
    clocks = Clocks(sleep=pauses.append, random=lambda: 1.0)
    with (
        silent,
        open_session(settings, clocks=clocks) as session,
        pytest.raises(UnreachableError, match="does not answer in time"),
    ):
        session.login()
    assert sum(pauses) == pytest.approx(1.5)


def test_plain_http_behind_an_https_address_is_said(org: Any, transport: Any) -> None:
    with pytest.raises(TransportFault, match="does not speak TLS"):
        transport.send(Request(method="GET", url=org.url.replace("http:", "https:")))


def test_this_machine_is_not_reached_through_a_proxy(org: Any, connect: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    assert connect().get_json("limits") == {"ok": True}


def test_other_hosts_are_reached_through_the_proxy_of_the_environment(
    org: Any, transport: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", org.url)
    monkeypatch.setenv("http_proxy", org.url)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    transport.send(Request(method="GET", url="http://acme.invalid/x"))
    assert org.calls[0].headers["Host"] == "acme.invalid"


def test_netrc_never_replaces_the_token(
    org: Any, connect: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password something\n")
    monkeypatch.setenv("NETRC", str(netrc))
    connect().get_json("limits")
    assert org.calls[0].headers["Authorization"] == f"Bearer {org.issued[0]}"
    assert "Authorization" not in org.token_calls[0].headers


def test_cookies_are_not_kept(org: Any, connect: Any) -> None:
    org.script(org.reply.json({}, Set_Cookie="sid=abcdef; Path=/"))
    session = connect()
    session.get_json("limits")
    session.get_json("limits")
    assert "Cookie" not in org.calls[1].headers


def _scenarios(org: Any) -> list[tuple[str, Any]]:
    echo = lambda call: org.reply(400, call.body or str(call.headers).encode())  # noqa: E731
    return [
        ("good", lambda: None),
        ("data echoes headers", lambda: setattr(org, "answer", echo)),
        ("data is HTML with the token", lambda: setattr(org, "answer", lambda c: org.reply(500, c.token.encode()))),
        ("expired", lambda: setattr(org, "answer", lambda _: org.reply.error(401, "INVALID_SESSION_ID"))),
        ("cut", lambda: setattr(org, "answer", lambda c: org.reply(200, c.token.encode() * 9, cut=30))),
        ("login echoes the form", lambda: setattr(org, "token_answer", echo)),
        (
            "login describes with the assertion",
            lambda: setattr(
                org,
                "token_answer",
                lambda c: org.reply.json({"error": "odd", "error_description": c.form["assertion"]}, 400),
            ),
        ),
        ("login is cut", lambda: setattr(org, "token_answer", lambda _: org.reply(200, b"{" * 50, cut=10))),
        ("login answers nonsense", lambda: setattr(org, "token_answer", lambda _: org.token_reply("T.secret!", id=1))),
    ]


@pytest.mark.parametrize("number", range(9))
def test_no_secret_shows_in_any_log_or_error(
    org: Any, connect: Any, pem: str, caplog: pytest.LogCaptureFixture, number: int
) -> None:
    caplog.set_level(logging.DEBUG)
    _, prepare = _scenarios(org)[number]
    prepare()
    shown = ""
    session = connect()
    try:
        session.get_json("queryAll", {"q": "SELECT Id FROM Case"})
    except MicroDecisionError as error:
        shown = "".join(traceback.format_exception(error)) + repr(error.__context__)  # loggers print it too
    shown += caplog.text + repr(session) + repr(session.login if number > 4 else session.login())
    assertions = [call.form.get("assertion", "") for call in org.token_calls]
    assert assertions
    for secret in [*org.issued, *assertions, pem, pem.splitlines()[3], "T.secret!"]:
        assert secret not in shown


def test_even_a_handler_that_logs_the_raw_request_is_blanked(
    org: Any, connect: Any, caplog: pytest.LogCaptureFixture
) -> None:
    session = connect()
    token = session.login().access_token
    caplog.handler.addFilter(RedactingFilter())
    logging.getLogger("anyone").warning("sending %s", {"Authorization": f"Bearer {token}"})
    assert token not in caplog.text


def test_an_error_of_login_keeps_its_kind_for_every_thread(org: Any, connect: Any) -> None:
    org.token_answer = lambda _: org.reply(302, b"", {"Location": "https://acme.invalid/"})
    session = connect()
    for _ in range(2):
        with pytest.raises(LoginError, match=r"did not answer the login like Salesforce \(HTTP 302\)"):
            session.login()
