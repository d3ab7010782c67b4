"""TLS by a private authority, and the proxy that leads hard-coded hosts to the org and nowhere else."""

from __future__ import annotations

import socket
import ssl
import stat
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import certifi
import grpc
import pytest
import requests
from cryptography import x509

from localcloud.proxy import route
from localcloud.salesforce.login import load_credentials
from localcloud.salesforce.org import Org
from localcloud.salesforce.server import Running, serve_in_thread
from localcloud.tls import Certificates, certificates, trusting

CLIENT_ID = "localcloud.demo.app"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates(tmp_path_factory.mktemp("org"))


@pytest.fixture
def running(own_org: Org) -> Iterator[Running]:
    files = certificates(own_org.path)
    with serve_in_thread(own_org, tls_cert=files.certificate, tls_key=files.key, proxy_port=0) as server:
        yield server


@pytest.fixture
def http(running: Running) -> Iterator[requests.Session]:
    """A client behind the proxy, which trusts the org's authority alone."""
    with requests.Session() as session:
        session.trust_env = False
        session.verify = str(running.org_path / "tls" / "ca.pem")
        session.proxies = {"https": str(running.proxy)}
        yield session


def dial(running: Running, line: str) -> bytes:
    """What the proxy answers to a request line, up to the end of its header."""
    host, _, port = str(running.proxy).removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(f"{line}\r\nHost: x\r\n\r\n".encode())
        got = b""
        while b"\r\n\r\n" not in got:
            chunk = connection.recv(4096)
            if not chunk:
                break
            got += chunk
        return got


def names(path: Path) -> set[str]:
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {*found.get_values_for_type(x509.DNSName), *map(str, found.get_values_for_type(x509.IPAddress))}


def test_the_certificate_is_for_every_host_that_clients_hard_code(made: Certificates) -> None:
    hosts = {"localhost", "127.0.0.1", "login.salesforce.com", "test.salesforce.com", "*.my.salesforce.com"}
    assert names(made.certificate) >= hosts | {"api.pubsub.salesforce.com"}
    assert stat.S_IMODE(made.key.stat().st_mode) == 0o600
    assert not list(made.key.parent.glob("ca*.key"))


def test_certificates_are_made_once_and_again_before_they_expire(tmp_path: Path) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    first = certificates(tmp_path, now=lambda: start).certificate.read_bytes()
    assert certificates(tmp_path, now=lambda: start + timedelta(days=300)).certificate.read_bytes() == first
    assert certificates(tmp_path, now=lambda: start + timedelta(days=340)).certificate.read_bytes() != first


def test_a_missing_file_makes_all_of_them_anew(tmp_path: Path) -> None:
    files = certificates(tmp_path)
    before = files.authority.read_bytes()
    files.key.unlink()
    assert certificates(tmp_path).authority.read_bytes() != before
    files.server_context()


def test_a_bundle_gets_one_more_authority(made: Certificates, tmp_path: Path) -> None:
    bundle = trusting(Path(certifi.where()), made.authority, tmp_path / "bundle.pem")
    context = ssl.create_default_context(cafile=str(bundle))
    subjects = [dict(pair[0] for pair in found["subject"]) for found in context.get_ca_certs()]  # type: ignore[misc]
    assert len(subjects) > 50
    assert {"commonName": "localcloud private authority"} in subjects


@pytest.mark.parametrize("host", ["login.salesforce.com", "test.salesforce.com", "acme.my.salesforce.com"])
def test_a_hard_coded_host_is_the_org(running: Running, http: requests.Session, host: str) -> None:
    secrets = load_credentials(running.org_path)
    form = {"grant_type": "refresh_token", "refresh_token": str(secrets.refresh_token), "client_id": CLIENT_ID}
    form["client_secret"] = secrets.client_secret
    answer = http.post(f"https://{host}/services/oauth2/token", data=form, timeout=30)
    granted = answer.json()
    assert granted["instance_url"] == running.url
    headers = {"Authorization": f"Bearer {granted['access_token']}"}
    through = http.get(f"{running.url}/services/data/v60.0/limits", headers=headers, timeout=30)
    assert through.status_code == 200


def test_the_host_that_is_asked_for_decides_where_client_credentials_are_refused(
    running: Running, http: requests.Session
) -> None:
    app = (CLIENT_ID, load_credentials(running.org_path).client_secret)
    form = {"grant_type": "client_credentials"}
    login = http.post("https://login.salesforce.com/services/oauth2/token", data=form, auth=app, timeout=30)
    assert login.json()["error_description"] == "request not supported on this domain"
    own = http.post("https://acme.my.salesforce.com/services/oauth2/token", data=form, auth=app, timeout=30)
    assert own.status_code == 200


def test_whoever_does_not_trust_the_authority_gets_no_answer(running: Running, http: requests.Session) -> None:
    http.verify = certifi.where()
    with pytest.raises(requests.exceptions.SSLError):
        http.get("https://login.salesforce.com/services/data", timeout=30)


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("CONNECT example.com:443 HTTP/1.1", b"403"),
        ("CONNECT salesforce.com.example.com:443 HTTP/1.1", b"403"),
        ("CONNECT 10.0.0.1:443 HTTP/1.1", b"403"),
        ("CONNECT api.pubsub.salesforce.com:1 HTTP/1.1", b"403"),
        ("CONNECT [::1]:443 HTTP/1.1", b"405"),
        ("CONNECT login.salesforce.com HTTP/1.1", b"405"),
        ("GET http://login.salesforce.com/ HTTP/1.1", b"405"),
        ("CONNECT " + "a" * 20_000 + ":443 HTTP/1.1", b"431"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_no_tunnel_leads_elsewhere(own_org: Org, line: str, status: bytes) -> None:
    with serve_in_thread(own_org, proxy_port=0) as server:
        assert dial(server, line).split(b" ", 2)[1] == status


def test_a_long_answer_and_many_tunnels_come_through_whole(running: Running, http: requests.Session) -> None:
    client = requests.Session()
    client.trust_env = False
    with client:
        form = {"grant_type": "client_credentials"}
        app = (CLIENT_ID, load_credentials(running.org_path).client_secret)
        token = http.post(f"{running.url}/services/oauth2/token", data=form, auth=app, timeout=30).json()
        headers = {"Authorization": f"Bearer {token['access_token']}", "Accept-Encoding": "identity"}
        path = "/services/data/v60.0/sobjects/Opportunity/describe"
        client.verify = http.verify
        direct = client.get(running.url + path, headers=headers, timeout=30).content
    assert len(direct) > 20_000
    assert [http.get(running.url + path, headers=headers, timeout=30).content for _ in range(3)] == [direct] * 3


def test_tunnels_end_where_the_org_listens() -> None:
    ends: Callable[[str, int], int | None] = route(1111, 2222)
    assert ends("login.salesforce.com", 443) == 1111
    assert ends("127.0.0.1", 1111) == 1111
    assert ends("127.0.0.1", 9999) == 1111
    assert ends("api.pubsub.salesforce.com", 7443) == 2222
    assert ends("127.0.0.1", 2222) == 2222
    assert ends("api.pubsub.salesforce.com.example.com", 7443) is None
    assert route(1111, None)("api.pubsub.salesforce.com", 7443) is None


def test_a_proxy_port_that_is_taken_is_said(own_org: Org) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with (
            pytest.raises(OSError, match="address already in use"),
            serve_in_thread(own_org, proxy_port=taken.getsockname()[1]),
        ):
            pass


def test_without_a_proxy_there_is_none(own_org: Org, serve: Callable[..., Any]) -> None:
    assert serve(own_org).server.proxy is None


def test_grpc_reaches_the_pubsub_api_under_its_own_name(running: Running) -> None:
    authority = (running.org_path / "tls" / "ca.pem").read_bytes()
    channel = grpc.secure_channel(
        "api.pubsub.salesforce.com:7443",
        grpc.ssl_channel_credentials(authority),
        options=[("grpc.http_proxy", running.proxy)],
    )
    with channel:
        call: Callable[..., bytes] = channel.unary_unary("/eventbus.v1.PubSub/GetTopic")
        with pytest.raises(grpc.RpcError) as refused:
            call(b"", timeout=20)
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
